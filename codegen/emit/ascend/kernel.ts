import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import { formatSpan } from "../../../ir/core/span.ts";
import type { Kernel } from "../../tile/types.ts";
import { dimText } from "../c-family/offset.ts";
import { CodeWriter } from "../c-family/writer.ts";
import type { AscendIsa } from "./isa.ts";
import { type ExchangeMemory, type LoweredKernel, lowerKernel } from "./lower-kernel.ts";
import { exchangeSlots } from "./mix.ts";
import type { Node } from "./nodes.ts";
import type { LocalBuffer } from "./place.ts";

/** A kernel as Ascend C, and what its launch needs. */
export interface EmittedKernel {
  /** Name of the entry point. */
  readonly name: string;
  readonly kernel: Kernel;
  /** KERNEL_TYPE_… that the kernel declares. */
  readonly type: LoweredKernel["type"];
  /** Bytes of each memory space that a core gives to it. */
  readonly memory: ReadonlyMap<string, number>;
  /** Bytes of global memory that each cube core needs to hand tiles to its vector cores: a parameter before the tiling. */
  readonly exchangeBytes: number;
  /** Queues and buffers of local memory. */
  readonly local: readonly LocalBuffer[];
  readonly text: string;
}

/** Prints one kernel as a file of Ascend C++. Throws DiagnosticError for what cannot be written or does not fit. */
export function emitKernel(kernel: Kernel, name: string, symbols: readonly string[], isa: AscendIsa): EmittedKernel {
  const { type, symbols: locals, buffers, exchange, parts, memory } = lowerKernel(kernel, symbols, isa);
  const out = new CodeWriter();
  const source = kernel.origin.span.file === "" ? "" : ` (${formatSpan(kernel.origin.span)})`;
  out.lines([
    `// ${kernel.origin.op}: ${kernel.origin.summary.replaceAll("\n", " ")}${source}`,
    ...buffers.map((b) => `//   ${b.access.padEnd(9)} ${b.name}: ${b.dtype}[${b.dims.join(", ")}]`),
    `// ${grid(kernel)}`,
    '#include "kernel_operator.h"',
    '#include "unmoor_kernel.h"',
    "",
    "using namespace AscendC;",
    "using namespace unmoor;",
    "",
  ]);
  const parameters = [...buffers.map((b) => b.parameter), ...(exchange ? [exchange.parameter] : []), "tiling"]
    .map((p) => `GM_ADDR ${p}`)
    .join(", ");
  out.block(`extern "C" __global__ __aicore__ void ${name}(${parameters})`, () => {
    out.line(`KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_${type});`);
    if (locals.size === 0) out.line("(void)tiling;");
    else {
      out.line("GlobalTensor<int64_t> sizes;");
      out.line(`sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), ${symbols.length});`);
      for (const [symbol, localName] of locals)
        out.line(`const int64_t ${localName} = sizes.GetValue(${symbols.indexOf(symbol)});`);
    }
    for (const b of buffers) {
      const count = dimText(b.dims.reduce((x, y) => x.times(y), Dim.of(1)));
      out.line(`GlobalTensor<${b.type}> ${b.local};`);
      out.line(`${b.local}.SetGlobalBuffer(reinterpret_cast<__gm__ ${b.type} *>(${b.parameter}), ${count});`);
    }
    if (exchange) out.lines(exchangeLines(exchange));
    for (const part of parts) {
      const print = (): void => {
        out.line("TPipe pipe;");
        for (const b of part.local) out.lines(bufferLines(b));
        out.line("");
        printNodes(out, part.body);
      };
      out.line("");
      if (exchange) out.block(`if ASCEND_IS_${part.core}`, print);
      else print();
    }
  });
  const local = parts.flatMap((p) => p.local);
  return { name, kernel, type, memory, exchangeBytes: exchange?.bytes ?? 0, local, text: out.toString() };
}

const grid = (kernel: Kernel): string =>
  kernel.grid.length === 0
    ? "One block."
    : `Blocks, dealt to the cores in turn: ${kernel.grid.map((g) => `${g.name} < ${g.extent}`).join(", ")}.`;

/** The memory between the cores of all groups, and the flags by which they tell each other of it. */
function exchangeLines({ local, parameter, type, elements, full, free }: ExchangeMemory): string[] {
  return [
    "",
    "// The cube core of a group fills tiles, its vector cores read them: two tiles are under way at a time.",
    `constexpr uint16_t ${full} = 0;`,
    `constexpr uint16_t ${free} = 1;`,
    `GlobalTensor<${type}> ${local};`,
    `${local}.SetGlobalBuffer(reinterpret_cast<__gm__ ${type} *>(${parameter}), GetBlockNum() * ${exchangeSlots * elements});`,
  ];
}

function bufferLines(b: LocalBuffer): string[] {
  if (b.kind === "queue")
    return [`TQue<TPosition::${b.position}, 1> ${b.name};`, `pipe.InitBuffer(${b.name}, ${b.count}, ${b.bytes});`];
  return [`TBuf<TPosition::${b.position}> ${b.name};`, `pipe.InitBuffer(${b.name}, ${b.bytes});`];
}

function printNodes(out: CodeWriter, nodes: readonly Node[]): void {
  for (const node of nodes) {
    switch (node.kind) {
      case "line":
        if (node.text !== "") out.line(node.text);
        break;
      case "queue":
        out.lines(node.lines);
        break;
      case "loop":
        out.block(node.head, () => printNodes(out, node.body));
        break;
      case "if":
        out.block(`if (${node.condition})`, () => printNodes(out, node.then));
        if (node.otherwise.length > 0) out.block("else", () => printNodes(out, node.otherwise));
        break;
      case "local":
      case "release":
        throw new IrError(`${node.variable.name} has no place`, "Place local tensors before printing.");
    }
  }
}
