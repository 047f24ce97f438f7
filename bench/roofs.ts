import { availableParallelism } from "node:os";
import type { Backend, LoadedLayer } from "../backends/backend.ts";
import type { Program, ProgramBuffer } from "../codegen/program.ts";
import { isStorage, type RegisterMatmul, type Storage, type Target } from "../codegen/target.ts";
import { type KernelBuilder, kernelBuilder, range, view, whole } from "../codegen/tile/builder.ts";
import { formatOf, isBlockFormat } from "../ir/core/block-formats.ts";
import { Dim } from "../ir/core/dim.ts";
import { apply } from "../ir/core/scalar.ts";
import { noSpan } from "../ir/core/span.ts";
import { elementArrays, type Tensor } from "../ir/core/tensor.ts";
import { dtypeBytes, type ElementType } from "../ir/core/types.ts";
import { lastCacheBytes } from "../runtime/machine.ts";
import { NativeMemory } from "../runtime/native.ts";
import type { BenchRow } from "./measure.ts";
import { median } from "./statistics.ts";

/** What a machine gives at most, as seen by micro-kernels of the same code generator: all threads, nothing else to do. */
export interface Roofs {
  readonly target: string;
  readonly isa: string;
  readonly device: string;
  /** GB/s of reading a buffer much larger than the caches. */
  readonly read_gbps: number;
  /** The same on one thread. */
  readonly read_gbps_one_thread: number;
  /** GB/s of reading again and again what the last cache holds and those before it do not; absent where its size is not known. */
  readonly cache_gbps?: number;
  /** GFLOP/s of register products whose operands stay in the first cache, by storage of the weights. */
  readonly gflops: Readonly<Partial<Record<Storage, number>>>;
}

const READ_BYTES = 512 * 2 ** 20;
const READ_BLOCKS = 512;
const BLOCKS = 256;
/** Steps of k that a product's operands hold: they stay in the first cache. */
const STEPS = 64;
const REPEATS = 200;
const RUNS = 7;
/** Passes over what the last cache holds. */
const PASSES = 32;

/** Measures the roofs of a target that runs products in registers; undefined for other targets and for emulated ones. */
export async function measureRoofs(backend: Backend, isa: string): Promise<Roofs | undefined> {
  const probe = await openRoofProbe(backend, isa);
  if (!probe) return undefined;
  try {
    return await probe.roofs();
  } finally {
    await probe.close();
  }
}

/** What a machine gives at this moment: what medians of other times are held against. */
export type RoofsNow = Pick<Roofs, "read_gbps" | "gflops">;

/** Micro-kernels loaded once: a figure of the moment beside each measurement, since a shared machine's speed changes within seconds. */
export interface RoofProbe {
  /** The best of some runs each. */
  roofs(): Promise<Roofs>;
  /** The median pass over memory, and the median run of products. */
  now(storage: Storage, threads?: number): Promise<RoofsNow>;
  close(): Promise<void>;
}

/** Undefined for targets that have no products in registers, and for emulated ones. */
export async function openRoofProbe(backend: Backend, isa: string): Promise<RoofProbe | undefined> {
  const target = backend.target(isa);
  const { matmul } = target;
  if (matmul.kind !== "registers" || !matmul.packed) return undefined;
  const reading = await loadMicro(backend, target, readProgram(target, READ_BLOCKS, READ_BYTES / READ_BLOCKS, 1));
  if (reading.loaded.evidence !== "measured") {
    await reading.close();
    return undefined;
  }
  const multiplying = new Map<Storage, { readonly micro: Micro; readonly flops: number }>();
  const rates = async ({ times }: Micro, work: number, threads?: number) => (await times(threads)).map((t) => work / t);
  /** GB/s of some passes over a buffer much larger than the caches, on all threads or so many. */
  const read = (threads?: number) => rates(reading, READ_BYTES, threads);
  /** GFLOP/s of some runs; undefined where the target does not multiply the storage. */
  const products = async (storage: Storage, threads?: number) => {
    const dot = matmul.dot[storage];
    if (!dot) return undefined;
    let found = multiplying.get(storage);
    if (!found) {
      const { program, flops } = productProgram(target, dot.rows ?? matmul.rows, matmul.columns, storage, dot);
      found = { micro: await loadMicro(backend, target, program), flops };
      multiplying.set(storage, found);
    }
    return rates(found.micro, found.flops, threads);
  };
  return {
    roofs: async () => {
      const cache = lastCacheBytes();
      const held = cache === undefined ? undefined : Math.floor(cache / 2 / availableParallelism() / 4096) * 4096;
      const gflops: Partial<Record<Storage, number>> = {};
      const read_gbps = Math.max(...(await read()));
      const read_gbps_one_thread = Math.max(...(await read(1)));
      for (const storage of target.storages) {
        const found = await products(storage);
        if (found) gflops[storage] = Math.max(...found);
      }
      return {
        target: target.name,
        isa,
        device: reading.loaded.device,
        read_gbps,
        read_gbps_one_thread,
        ...(held === undefined ? {} : { cache_gbps: await readAgain(backend, target, held) }),
        gflops,
      };
    },
    now: async (storage, threads) => {
      const found = await products(storage, threads);
      return {
        read_gbps: median(await read(threads)),
        gflops: found === undefined ? {} : { [storage]: median(found) },
      };
    },
    close: async () => {
      await reading.close();
      for (const { micro } of multiplying.values()) await micro.close();
    },
  };
}

/** The mean of two moments. */
export function between(a: RoofsNow, b: RoofsNow): RoofsNow {
  const gflops = Object.entries(a.gflops).map(([storage, n]) => [
    storage,
    (n + (b.gflops[storage as Storage] ?? n)) / 2,
  ]);
  return { read_gbps: (a.read_gbps + b.read_gbps) / 2, gflops: Object.fromEntries(gflops) };
}

/** GB/s of all threads reading a part of the last cache each, again and again. */
async function readAgain(backend: Backend, target: Target, bytes: number): Promise<number> {
  const blocks = availableParallelism();
  const micro = await loadMicro(backend, target, readProgram(target, blocks, bytes, PASSES));
  try {
    return (blocks * bytes * PASSES) / Math.min(...(await micro.times()));
  } finally {
    await micro.close();
  }
}

/**
 * How near a figure comes to the roofs: the least time that its operations and bytes take at the roofs, over its median time.
 * Above 1 where the weights stay in the caches.
 */
export function shareOfRoof(row: BenchRow, roofs: Roofs): number | undefined {
  if (!isStorage(row.storage) || roofs.gflops[row.storage] === undefined) return undefined;
  if (row.target !== roofs.target || row.isa !== roofs.isa || row.kind !== "measured") return undefined;
  return timeAtRoofs(row, row.storage, roofs) / (row.median_ms * 1e6);
}

/** The least time, in ns, that work on weights in a storage takes at the roofs: that of its bytes or that of its operations. */
export function timeAtRoofs(
  { flops, bytes }: { readonly flops: number; readonly bytes: number },
  storage: Storage,
  roofs: RoofsNow,
): number {
  return Math.max(flops / (roofs.gflops[storage] ?? Number.POSITIVE_INFINITY), bytes / roofs.read_gbps);
}

const buffer = (
  name: string,
  dtype: ElementType,
  dims: readonly number[],
  role: ProgramBuffer["role"],
): ProgramBuffer => ({
  name,
  dtype,
  dims: dims.map((d) => Dim.of(d)),
  role,
});

function microProgram(
  name: string,
  buffers: readonly ProgramBuffer[],
  write: (b: KernelBuilder, buffers: readonly ProgramBuffer[]) => void,
): Program {
  const b = kernelBuilder(name, { op: name, summary: "micro-kernel for a roof", span: noSpan });
  for (const each of buffers) each.role === "output" ? b.write(each) : b.read(each);
  write(b, buffers);
  const out = buffers.at(-1)?.name ?? "";
  return {
    name,
    params: {},
    symbols: [],
    buffers,
    prepare: [],
    kernels: [b.build()],
    choices: [],
    results: [{ name: out, buffer: out }],
    memory: { slots: [] },
  };
}

/** Sums a buffer: every block adds up its part in several vectors, and does so again. */
function readProgram(target: Target, blocks: number, bytes: number, passes: number): Program {
  const { width } = target.vector;
  const chunk = bytes / 4;
  const data = buffer("data", "f32", [blocks, chunk], "weight");
  const sums = buffer("sums", "f32", [blocks, width], "output");
  return microProgram("roof_read", [data, sums], (b) => {
    const block = b.grid("block", blocks);
    const acc = b.alloc("acc", "f32", [width], target.vector.space);
    b.fill(whole(acc), 0);
    b.forLoop("pass", 0, passes, 1, () =>
      b.forLoop("from", 0, chunk, width, (from) => {
        const part = view(data, block, range(from, width));
        b.map(whole(acc), { a: whole(acc), x: part }, ({ a, x }) => apply("add", a, x));
      }),
    );
    b.copy(view(sums, block, range(0, width)), whole(acc));
  });
}

/** Element types of a product's operands and sums, and the steps of k of one instruction. */
interface Operands {
  readonly a: ElementType;
  readonly w: ElementType;
  readonly sums: "f32" | "i32";
  readonly depth: number;
}

/** Of a block format, the products of codes alone are the roof: scaling them is the format's own cost. */
function operandsOf(storage: Storage, dot: NonNullable<RegisterMatmul["dot"][Storage]>): Operands {
  if (isBlockFormat(storage) && formatOf(storage, 0).codes === "f8")
    return { a: "f32", w: "f8", sums: "f32", depth: 1 };
  if (isBlockFormat(storage) || isBlockFormat(dot.activations))
    return { a: "i8", w: dot.signed ? "i8" : "u8", sums: "i32", depth: 4 };
  return { a: dot.activations, w: storage, sums: "f32", depth: dot.depth };
}

/** The largest register product that a target makes of a storage, over and over on the same operands. */
function productProgram(
  target: Target,
  [rows = 1]: readonly number[],
  columns: number,
  storage: Storage,
  dot: NonNullable<RegisterMatmul["dot"][Storage]>,
) {
  const operands = operandsOf(storage, dot);
  const { depth, sums } = operands;
  const a = buffer("a", operands.a, [rows, STEPS * depth], "weight");
  const w = buffer("w", operands.w, [STEPS, columns, depth], "weight");
  const y = buffer("y", sums, [BLOCKS, rows, columns], "output");
  const program = microProgram(`roof_${storage}`, [a, w, y], (b) => {
    const block = b.grid("block", BLOCKS);
    const acc = b.alloc("acc", sums, [rows, columns], target.vector.space);
    b.fill(whole(acc), 0);
    b.forLoop("again", 0, REPEATS, 1, () =>
      b.forLoop("step", 0, STEPS, 1, (step) => {
        const from = apply("mul", step, { kind: "const", type: "i32", value: depth });
        b.mma(
          whole(acc),
          view(a, range(0, rows), range(from, depth)),
          view(w, step, range(0, columns), range(0, depth)),
        );
      }),
    );
    b.copy(view(y, block, range(0, rows), range(0, columns)), whole(acc));
  });
  return { program, flops: 2 * BLOCKS * REPEATS * STEPS * rows * columns * depth };
}

/** A micro-program that is loaded. */
interface Micro {
  readonly loaded: LoadedLayer;
  /** ns of each of some runs, on all threads or so many. */
  times(threads?: number): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** Loads a micro-program with weights of its own. */
async function loadMicro(backend: Backend, target: Target, program: Program): Promise<Micro> {
  const loaded = await backend.load(program, target);
  const memories: NativeMemory[] = [];
  const close = async (): Promise<void> => {
    await loaded.close();
    for (const memory of memories) memory.free();
  };
  const weights = program.buffers
    .filter((b) => b.role === "weight")
    .map(({ name, dtype, dims }): [string, Tensor] => {
      const shape = dims.map((d) => d.evaluate());
      const memory = NativeMemory.allocate(shape.reduce((x, y) => x * y, dtypeBytes[dtype]));
      memories.push(memory);
      const { buffer: bytes } = memory.bytesView();
      // Written, because pages that never were are all one page of zeros, which the cache holds.
      const data = new elementArrays[dtype](bytes).fill(dtype === "f32" ? 1 : 0);
      return [name, { dtype, dims: shape, data }];
    });
  try {
    await loaded.setWeights(new Map(weights));
  } catch (error) {
    await close();
    throw error;
  }
  const times = async (threads?: number): Promise<readonly number[]> => {
    const options = threads === undefined ? {} : { threads };
    return [...(await loaded.run(new Map(), {}, { repeat: RUNS, ...options })).nanoseconds];
  };
  return { loaded, times, close };
}
