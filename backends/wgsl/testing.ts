// What the tests of this folder share: programs made of a few kernels, run on the device that set-up provides.
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import type { Target } from "../../codegen/target.ts";
import { runProgram, type TypedArray } from "../../codegen/tile/interpreter.ts";
import type { Kernel, KernelBuffer } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import { elementArrays, type Tensor } from "../../ir/core/tensor.ts";
import type { ElementType } from "../../ir/core/types.ts";
import type { LoadedLayer } from "../backend.ts";
import { createWgsl } from "./backend.ts";
import { wgslTarget } from "./target.ts";

/** A program of kernels that share no temporaries: what a kernel only reads is an input, all else an output. */
export function programOf(
  kernels: readonly Kernel[],
  roles: Readonly<Record<string, ProgramBuffer["role"]>> = {},
): Program {
  const buffers = new Map<string, ProgramBuffer>();
  for (const b of kernels.flatMap((k): readonly KernelBuffer[] => k.buffers)) {
    const role = roles[b.name] ?? (b.access === "read" ? "input" : "output");
    const before = buffers.get(b.name);
    if (before === undefined || before.role === "input") buffers.set(b.name, { ...b, role });
  }
  const all = [...buffers.values()];
  return {
    name: "test",
    params: {},
    symbols: [
      ...new Set(
        [...all.flatMap((b) => b.dims), ...kernels.flatMap((k) => k.grid.map((g) => g.extent))].flatMap(
          (d) => d.symbols,
        ),
      ),
    ].sort(),
    buffers: all,
    prepare: [],
    kernels,
    choices: [],
    results: [],
    memory: {
      slots: all
        .filter((b) => b.role === "temporary")
        .map((b) => ({ buffers: [b.name], bytes: [b.dims.reduce((x, y) => x.times(y), Dim.of(4))] })),
    },
  };
}

export const f32s = (dims: readonly number[], data: readonly number[] | Float32Array): Tensor => ({
  dtype: "f32",
  dims,
  data: Float32Array.from(data),
});
export const i32s = (dims: readonly number[], data: readonly number[] | Int32Array): Tensor => ({
  dtype: "i32",
  dims,
  data: Int32Array.from(data),
});

/** Numbers in [-1, 1) that depend on the seed only (mulberry32). */
export function random(seed: number, count: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

/**
 * Loads a program, runs it once, and gives the elements of its outputs. They must be those of the tile interpreter, within
 * `tolerance` relative to the largest of 1 and the value; what no kernel writes is not compared. A tolerance of
 * infinity leaves the interpreter out. The target says which features of the device kernels may use.
 */
export async function runOnce(
  program: Program,
  inputs: Readonly<Record<string, Tensor>>,
  dims: Readonly<Record<string, number>> = {},
  weights: Readonly<Record<string, Tensor>> = {},
  tolerance = 1e-5,
  target: Target = wgslTarget,
): Promise<Record<string, number[]>> {
  const layer: LoadedLayer = await createWgsl().load(program, target);
  try {
    await layer.setWeights(new Map(Object.entries(weights)));
    const { outputs } = await layer.run(new Map(Object.entries(inputs)), dims);
    const found = Object.fromEntries([...outputs].map(([name, tensor]) => [name, Array.from(tensor.data)]));
    if (tolerance !== Number.POSITIVE_INFINITY) compare(program, { inputs, dims, weights }, found, tolerance);
    return found;
  } finally {
    await layer.close();
  }
}

function compare(
  program: Program,
  given: {
    readonly inputs: Readonly<Record<string, Tensor>>;
    readonly dims: Readonly<Record<string, number>>;
    readonly weights: Readonly<Record<string, Tensor>>;
  },
  found: Readonly<Record<string, readonly number[]>>,
  tolerance: number,
): void {
  const arrays = (tensors: Readonly<Record<string, Tensor>>): Map<string, TypedArray> =>
    new Map(
      Object.entries(tensors).map(([name, { dtype, data }]) => [name, elementArrays[dtype as ElementType].from(data)]),
    );
  const expected = runProgram(program, {
    inputs: arrays(given.inputs),
    weights: arrays(given.weights),
    dims: given.dims,
  });
  for (const [name, values] of Object.entries(found)) {
    const exact = program.buffers.some((b) => b.name === name && b.dtype === "i32");
    for (const [i, x] of (expected.get(name) ?? []).entries()) {
      if (exact ? x === -2147483648 : Number.isNaN(x)) continue;
      const y = values[i] ?? Number.NaN;
      if (x === y || Math.abs(x - y) <= (exact ? 0 : tolerance * Math.max(1, Math.abs(x)))) continue;
      throw new Error(`${name}, element ${i}: the tile interpreter gives ${x}, the device ${y}`);
    }
  }
}
