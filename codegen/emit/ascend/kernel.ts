import { type Diagnostic, DiagnosticError, IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import { formatSpan } from "../../../ir/core/span.ts";
import { expressionsOf, subexpressions } from "../../tile/shape.ts";
import type { Kernel, Statement } from "../../tile/types.ts";
import { dimText } from "../c/offset.ts";
import { CodeWriter } from "../c/writer.ts";
import { type AscendIsa, AscendTable } from "./isa.ts";
import { localise } from "./localise.ts";
import { Lowering } from "./lowering.ts";
import { accessesOf, type Node } from "./nodes.ts";
import { doubleBuffer, type LocalBuffer, placeTensors } from "./place.ts";
import { atom, elementType, kernelNames, Scope } from "./scope.ts";
import { lowerList } from "./statements.ts";
import { cleanCache, synchronise } from "./synchronise.ts";

/** A kernel as Ascend C, and what its launch needs. */
export interface EmittedKernel {
  /** Name of the entry point. */
  readonly name: string;
  readonly kernel: Kernel;
  /** KERNEL_TYPE_… that the kernel declares. */
  readonly type: "AIV_ONLY" | "AIC_ONLY";
  /** Bytes of each memory space that a core gives to it. */
  readonly memory: ReadonlyMap<string, number>;
  readonly text: string;
}

/** Prints one kernel as a file of Ascend C++. Throws DiagnosticError where it does not fit, IrError where it cannot be said. */
export function emitKernel(kernel: Kernel, name: string, symbols: readonly string[], isa: AscendIsa): EmittedKernel {
  const names = kernelNames();
  const scope = new Scope(names);
  const used = usedSymbols(kernel);
  const locals = new Map<string, string>();
  for (const symbol of symbols) {
    if (!used.has(symbol)) continue;
    const local = names.unique(symbol);
    locals.set(symbol, local);
    scope.bind(symbol, { kind: "scalar", name: local, type: "i32", divisor: 1, most: undefined });
  }
  const buffers = kernel.buffers.map((b) => {
    const local = names.unique(b.name);
    scope.bind(b.name, { kind: "global", name: local, dtype: b.dtype, dims: b.dims });
    return { ...b, local, parameter: names.unique(`${b.name}_gm`), type: elementType(b.dtype, b.name) };
  });
  const blocks = kernel.grid.reduce((d, g) => d.times(g.extent), Dim.of(1));
  const to = new Lowering(new AscendTable(isa), scope);
  const inside = describeErrors(kernel, () =>
    to.collect(() => {
      let inner = Dim.of(1);
      const coordinates: string[] = [];
      kernel.grid.toReversed().forEach(({ name: hint, extent }, i) => {
        const local = names.unique(hint);
        const last = i === kernel.grid.length - 1;
        const quotient = inner.constant === 1 ? "block" : `block / ${atom(dimText(inner))}`;
        coordinates.unshift(
          `[[maybe_unused]] const int64_t ${local} = ${last ? quotient : `${quotient} % ${atom(dimText(extent))}`};`,
        );
        to.scope.bind(hint, { kind: "scalar", name: local, type: "i32", divisor: 1, most: undefined });
        inner = inner.times(extent);
      });
      for (const text of coordinates) to.emit(text);
      lowerList(to, localise(kernel));
    }),
  );
  const { body, buffers: local, physical } = placeTensors(inside, names);
  const spaces = new Set(local.map((b) => b.space));
  const cube = [...spaces].some((s) => s !== "ub");
  if (cube && spaces.has("ub"))
    throw new IrError(
      `kernel ${kernel.name} uses UB and the memories of a cube core, which are different cores`,
      "Use two kernels.",
    );
  const memory = doubleBuffer(local, (space) => isa.spaces[space]?.capacity);
  checkCapacity(kernel, memory, isa);
  const global = new Map(buffers.map((b) => [b.local, { ordered: b.access === "readwrite" }]));
  const written = buffers.filter((b) =>
    [...accessesOf(body)].some((a) => a.resource === b.local && a.pipe === "S" && a.write),
  );
  const loop: Node[] = [
    {
      kind: "loop",
      head:
        blocks.constant === 1
          ? "for (int64_t block = GetBlockIdx(); block < 1; block += GetBlockNum())"
          : `for (int64_t block = GetBlockIdx(); block < ${dimText(blocks)}; block += GetBlockNum())`,
      body,
    },
    ...written.map((b) => cleanCache(b.local)),
  ];
  const final = synchronise(loop, (resource) => physical.get(resource) ?? resource, global);
  const type = cube ? "AIC_ONLY" : "AIV_ONLY";

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
  const parameters = [...buffers.map((b) => b.parameter), "tiling"].map((p) => `GM_ADDR ${p}`).join(", ");
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
    if (local.length > 0) out.line("");
    out.line("TPipe pipe;");
    for (const b of local) out.lines(bufferLines(b));
    out.line("");
    printNodes(out, final);
  });
  return { name, kernel, type, memory, text: out.toString() };
}

const grid = (kernel: Kernel): string =>
  kernel.grid.length === 0
    ? "One block."
    : `Blocks, dealt to the cores in turn: ${kernel.grid.map((g) => `${g.name} < ${g.extent}`).join(", ")}.`;

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

function usedSymbols(kernel: Kernel): Set<string> {
  const found = new Set<string>([
    ...kernel.buffers.flatMap((b) => b.dims.flatMap((d) => d.symbols)),
    ...kernel.grid.flatMap((g) => g.extent.symbols),
  ]);
  const visit = (body: readonly Statement[]): void => {
    for (const s of body) {
      for (const e of expressionsOf(s))
        for (const part of subexpressions(e)) if (part.kind === "var") found.add(part.name);
      if (s.kind === "for") visit(s.body);
      if (s.kind === "if") {
        visit(s.then);
        visit(s.otherwise);
      }
    }
  };
  visit(kernel.body);
  return found;
}

/** What lowering refuses, in the author's words and at the author's place. */
function describeErrors<T>(kernel: Kernel, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof IrError)) throw error;
    throw new DiagnosticError([
      {
        code: "U217",
        span: kernel.origin.span,
        message: `${kernel.origin.summary} cannot be written for Ascend: ${error.message}`,
        help: error.help,
      },
    ]);
  }
}

const spaceNames: Readonly<Record<string, string>> = { ub: "UB", l1: "L1", l0a: "L0A", l0b: "L0B", l0c: "L0C" };

function checkCapacity(kernel: Kernel, memory: ReadonlyMap<string, number>, isa: AscendIsa): void {
  const problems: Diagnostic[] = [];
  for (const [space, bytes] of memory) {
    const capacity = isa.spaces[space]?.capacity;
    if (capacity === undefined || bytes <= capacity) continue;
    problems.push({
      code: "U214",
      span: kernel.origin.span,
      message: `${kernel.origin.summary} does not fit into ${spaceNames[space] ?? space} of ${isa.name}, with the room that its expressions need`,
      expected: `at most ${capacity} bytes per core`,
      found: `${bytes} bytes`,
      help: "Choose smaller sizes with --param, or another target.",
    });
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
}
