// What the tests of this folder share: programs made of a few kernels, run on the device that set-up provides.
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import type { Kernel, KernelBuffer } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
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
    routings: [],
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

/** Loads a program, runs it once, and gives the elements of its outputs. */
export async function runOnce(
  program: Program,
  inputs: Readonly<Record<string, Tensor>>,
  dims: Readonly<Record<string, number>> = {},
  weights: Readonly<Record<string, Tensor>> = {},
): Promise<Record<string, number[]>> {
  const layer: LoadedLayer = await createWgsl().load(program, wgslTarget);
  try {
    await layer.setWeights(new Map(Object.entries(weights)));
    const { outputs } = await layer.run(new Map(Object.entries(inputs)), dims);
    return Object.fromEntries([...outputs].map(([name, tensor]) => [name, Array.from(tensor.data)]));
  } finally {
    await layer.close();
  }
}
