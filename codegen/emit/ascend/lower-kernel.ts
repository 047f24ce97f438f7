import { type Diagnostic, DiagnosticError, IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import { expressionsOf, subexpressions } from "../../tile/shape.ts";
import type { Kernel, KernelBuffer, Statement } from "../../tile/types.ts";
import { atom } from "../c-family/atom.ts";
import { sizeIdentifier } from "../c-family/names.ts";
import { dimText } from "../c-family/offset.ts";
import { type AscendIsa, AscendTable } from "./isa.ts";
import { localise } from "./localise.ts";
import { Lowering } from "./lowering.ts";
import { accessesOf, type Node } from "./nodes.ts";
import { doubleBuffer, type LocalBuffer, placeTensors } from "./place.ts";
import { elementType, kernelNames, Scope } from "./scope.ts";
import { lowerList, mentions } from "./statements.ts";
import { cleanCache, synchronise } from "./synchronise.ts";

/** A buffer of a kernel with its names in C++. */
export interface GlobalBuffer extends KernelBuffer {
  /** The GlobalTensor. */
  readonly local: string;
  /** The parameter. */
  readonly parameter: string;
  /** The element's type. */
  readonly type: string;
}

/** A kernel before it becomes text. */
export interface LoweredKernel {
  readonly kernel: Kernel;
  /** KERNEL_TYPE_... that the kernel declares. */
  readonly type: "AIV_ONLY" | "AIC_ONLY";
  /** Run-time symbols that it uses, with their names in C++. */
  readonly symbols: ReadonlyMap<string, string>;
  readonly buffers: readonly GlobalBuffer[];
  /** Queues and buffers of local memory. */
  readonly local: readonly LocalBuffer[];
  /** The queue or buffer of each local tensor, by name. */
  readonly physical: ReadonlyMap<string, string>;
  /** Bytes taken of each memory space. */
  readonly memory: ReadonlyMap<string, number>;
  readonly body: readonly Node[];
}

/**
 * Lowers a kernel: its statements to instructions, its tiles to queues and buffers, with the waits between pipes.
 * Throws DiagnosticError, at the kernel's place, for what cannot be written or does not fit.
 */
export function lowerKernel(kernel: Kernel, symbols: readonly string[], isa: AscendIsa): LoweredKernel {
  const names = kernelNames();
  const scope = new Scope(names);
  const used = usedSymbols(kernel);
  const locals = new Map<string, string>();
  for (const symbol of symbols) {
    if (!used.has(symbol)) continue;
    const local = names.unique(sizeIdentifier(symbol));
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
        const block = blocks.constant === 1 ? "0" : "block";
        const quotient = inner.constant === 1 ? block : `${block} / ${atom(dimText(inner))}`;
        if (mentions(kernel.body, hint))
          coordinates.unshift(
            `const int64_t ${local} = ${last ? quotient : `${quotient} % ${atom(dimText(extent))}`};`,
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
    // A single block comes after no other: nothing of a block before it has to be waited for.
    blocks.constant === 1
      ? onlyIf("GetBlockIdx() == 0", body)
      : {
          kind: "loop",
          head: `for (int64_t block = GetBlockIdx(); block < ${dimText(blocks)}; block += GetBlockNum())`,
          body,
        },
    ...written.map((b) => cleanCache(b.local)),
  ];
  return {
    kernel,
    type: cube ? "AIC_ONLY" : "AIV_ONLY",
    symbols: locals,
    buffers,
    local,
    physical,
    memory,
    body: synchronise(loop, (resource) => physical.get(resource) ?? resource, global),
  };
}

const onlyIf = (condition: string, then: readonly Node[]): Node => ({ kind: "if", condition, then, otherwise: [] });

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
