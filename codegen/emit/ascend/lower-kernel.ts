import { type Diagnostic, DiagnosticError, IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { expressionsOf, mentions, subexpressions } from "../../tile/shape.ts";
import type { Kernel, KernelBuffer, Statement, Tile } from "../../tile/types.ts";
import { type Names, sizeIdentifier } from "../c-family/names.ts";
import { dimText } from "../c-family/offset.ts";
import { atom } from "../c-family/parentheses.ts";
import { type AscendIsa, AscendTable } from "./isa.ts";
import { localise } from "./localise.ts";
import { Lowering } from "./lowering.ts";
import {
  beginExchange,
  type CoreType,
  drainExchange,
  type Exchange,
  exchangeOf,
  exchangeSlots,
  partOf,
} from "./mix.ts";
import { accessesOf, type Node } from "./nodes.ts";
import { doubleBuffer, type LocalBuffer, placeTensors } from "./place.ts";
import { elementType, kernelNames, Scope } from "./scope.ts";
import { lowerList } from "./statements.ts";
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

/** What one kind of core does of a kernel. */
export interface KernelPart {
  readonly core: CoreType;
  /** Queues and buffers of local memory. */
  readonly local: readonly LocalBuffer[];
  /** The queue or buffer of each local tensor, by name. */
  readonly physical: ReadonlyMap<string, string>;
  readonly body: readonly Node[];
}

/** Global memory through which the cores of a group hand each other tiles, and the names of the flags for it. */
export interface ExchangeMemory {
  /** The GlobalTensor, its parameter, and the element's type. */
  readonly local: string;
  readonly parameter: string;
  readonly type: string;
  readonly full: string;
  readonly free: string;
  /** Elements, and bytes, of a group. */
  readonly elements: number;
  readonly bytes: number;
}

/** A kernel before it becomes text. */
export interface LoweredKernel {
  readonly kernel: Kernel;
  /** KERNEL_TYPE_... that the kernel declares. */
  readonly type: "AIV_ONLY" | "AIC_ONLY" | "MIX_AIC_1_2";
  /** Run-time symbols that it uses, with their names in C++. */
  readonly symbols: ReadonlyMap<string, string>;
  readonly buffers: readonly GlobalBuffer[];
  /** Of a MIX kernel. */
  readonly exchange: ExchangeMemory | undefined;
  /** One, or two in a MIX kernel. */
  readonly parts: readonly KernelPart[];
  /** Bytes taken of each memory space. */
  readonly memory: ReadonlyMap<string, number>;
}

/**
 * Lowers a kernel: its statements to instructions, its tiles to queues and buffers, with the waits between pipes. One that has
 * an exchange tile becomes a MIX kernel, of which cube cores and vector cores each get a part.
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
  const statements = localise(kernel);
  const tile = exchangeOf(statements);
  const exchange = tile && exchangeMemory(tile, names);
  const lower = (core: CoreType): KernelPart =>
    lowerPart(kernel, exchange ? partOf(statements, core) : statements, scope.part(), isa, {
      core,
      buffers,
      ...(tile && exchange ? { exchange: { tile: tile.name, ...exchange } } : {}),
    });
  const parts = exchange ? [lower("AIC"), lower("AIV")] : [onlyPart(kernel, lower)];
  const local = parts.flatMap((p) => p.local);
  const memory = doubleBuffer(local, (space) => isa.spaces[space]?.capacity);
  checkCapacity(kernel, memory, isa);
  return {
    kernel,
    type: exchange ? "MIX_AIC_1_2" : parts[0]?.core === "AIC" ? "AIC_ONLY" : "AIV_ONLY",
    symbols: locals,
    buffers,
    exchange,
    parts,
    memory,
  };
}

/** A kernel without an exchange runs on cores of one kind: those whose memories it uses. */
function onlyPart(kernel: Kernel, lower: (core: CoreType) => KernelPart): KernelPart {
  const part = lower("AIV");
  const spaces = new Set(part.local.map((b) => b.space));
  const cube = [...spaces].some((s) => s !== "ub");
  if (cube && spaces.has("ub"))
    throw new IrError(
      `kernel ${kernel.name} uses UB and the memories of a cube core, which are different cores`,
      "Use two kernels, or hand tiles over in the space exchange.",
    );
  return cube ? { ...part, core: "AIC" } : part;
}

function exchangeMemory(tile: Tile, names: Names): ExchangeMemory {
  const elements = tile.dims.reduce((a, b) => a * b, 1);
  const local = names.unique("exchanged");
  return {
    local,
    parameter: names.unique(`${local}_gm`),
    type: elementType(tile.dtype, tile.name),
    full: names.unique(`${tile.name}_full`),
    free: names.unique(`${tile.name}_free`),
    elements,
    bytes: exchangeSlots * elements * dtypeBytes[tile.dtype],
  };
}

interface PartContext {
  readonly core: CoreType;
  readonly buffers: readonly GlobalBuffer[];
  readonly exchange?: ExchangeMemory & { readonly tile: string };
}

function lowerPart(
  kernel: Kernel,
  statements: readonly Statement[],
  scope: Scope,
  isa: AscendIsa,
  { core, buffers, exchange: shared }: PartContext,
): KernelPart {
  const { names } = scope;
  const exchange: Exchange | undefined = shared && {
    ...shared,
    core,
    name: names.unique(shared.tile),
    memory: shared.local,
    group: names.unique("group"),
    turn: names.unique("turn"),
  };
  const blocks = kernel.grid.reduce((d, g) => d.times(g.extent), Dim.of(1));
  const to = new Lowering(new AscendTable(isa), scope, exchange);
  const inside = describeErrors(kernel, () =>
    to.collect(() => {
      let inner = Dim.of(1);
      const coordinates: string[] = [];
      kernel.grid.toReversed().forEach(({ name: hint, extent }, i) => {
        const local = names.unique(hint);
        const last = i === kernel.grid.length - 1;
        const block = blocks.constant === 1 ? "0" : "block";
        const quotient = inner.constant === 1 ? block : `${block} / ${atom(dimText(inner))}`;
        if (mentions(statements, hint))
          coordinates.unshift(
            `const int64_t ${local} = ${last ? quotient : `${quotient} % ${atom(dimText(extent))}`};`,
          );
        const most = extent.constant === undefined ? undefined : extent.constant - 1;
        to.scope.bind(hint, { kind: "scalar", name: local, type: "i32", divisor: 1, most });
        inner = inner.times(extent);
      });
      for (const text of coordinates) to.emit(text);
      lowerList(to, statements);
    }),
  );
  const { body, buffers: local, physical } = placeTensors(inside, names);
  const global = new Map(buffers.map((b) => [b.local, { ordered: b.access === "readwrite" }]));
  if (exchange) global.set(exchange.name, { ordered: false });
  const written = buffers.filter((b) =>
    [...accessesOf(body)].some((a) => a.resource === b.local && a.pipe === "S" && a.write),
  );
  const index = exchange ? exchange.group : "GetBlockIdx()";
  const loop: Node[] = [
    ...(exchange ? beginExchange(exchange) : []),
    // A single block comes after no other: nothing of a block before it has to be waited for.
    blocks.constant === 1
      ? onlyIf(`${index} == 0`, body)
      : {
          kind: "loop",
          head: `for (int64_t block = ${index}; block < ${dimText(blocks)}; block += GetBlockNum())`,
          body,
        },
    ...written.map((b) => cleanCache(b.local)),
    ...(exchange?.core === "AIC" ? [drainExchange(exchange)] : []),
  ];
  return {
    core,
    local,
    physical,
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
