import { emitKernels } from "../../../codegen/emit/ascend/index.ts";
import { type Program, routingsOf } from "../../../codegen/program.ts";
import { isLaunched } from "../../../codegen/tile/launch.ts";
import { IrError } from "../../../ir/core/diagnostic.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { ascendIsa } from "../target.ts";
import { type Chip, launchSeconds } from "./figures.ts";
import { type KernelModel, type ModelOptions, modelKernel } from "./kernel.ts";
import { L2 } from "./l2.ts";
import { Memory } from "./memory.ts";

/** How the model's tokens choose their experts. */
export type RoutingChoice = { readonly kind: "balanced" } | { readonly kind: "seeded"; readonly seed: number };

/** The modelled run of a layer on one chip. Nothing was run. */
export interface LayerModel {
  readonly soc: string;
  readonly kernels: readonly KernelModel[];
  /** Seconds of all kernels one after the other, and of their launches, which are not in it. */
  readonly seconds: number;
  readonly launchSeconds: number;
  readonly hbmBytes: number;
  /** The least seconds that memory, the cube units and the vector units need for the layer. */
  readonly roofs: { readonly hbm: number; readonly cube: number; readonly vector: number };
  /** Bytes of weights where the chip's memory cannot hold them. */
  readonly overfull: number | undefined;
}

/**
 * Models a run of a program: the kernels are emitted for the chip, and their text is walked with concrete sizes and a routing.
 * @param dims run-time sizes by symbol
 * @throws IrError where a kernel cannot be walked
 */
export function modelLayer(
  program: Program,
  chip: Chip,
  dims: Readonly<Record<string, number>>,
  routing: RoutingChoice,
  options: ModelOptions = {},
): LayerModel {
  const { kernels: emitted } = emitKernels(program, ascendIsa(chip.soc));
  const memories = new Map(
    program.buffers.map((b) => {
      const elements = b.dims.reduce((n, d) => n * d.evaluate(dims), 1);
      const values = b.dtype === "i32" ? new Float64Array(elements).fill(Number.NaN) : undefined;
      const given = values !== undefined && routeInto(program, b.name, values, dims, routing);
      return [b.name, new Memory(b.name, "gm", values, given)];
    }),
  );
  const sizes = Float64Array.from(program.symbols, (s) => {
    const size = dims[s];
    if (size === undefined) throw new IrError(`${s} has no value`, `Give a number for ${s}.`);
    return size;
  });
  const tiling = new Memory("tiling", "gm", sizes, true);
  const l2 = new L2(chip);
  const launched = emitted.filter(({ kernel }) => isLaunched(kernel, dims));
  const kernels = launched.map(({ kernel, type, text }) => {
    const source = { name: kernel.name, summary: kernel.origin.summary, type, text };
    const parameters = kernel.buffers.map((b) => b.name);
    return modelKernel({ ...source, parameters }, memories, tiling, chip, l2, options);
  });
  const sum = (pick: (k: KernelModel) => number): number => kernels.reduce((n, k) => n + pick(k), 0);
  const held = program.buffers
    .filter((b) => b.role === "weight" || b.role === "prepared")
    .reduce((n, b) => n + b.dims.reduce((m, d) => m * d.evaluate(dims), dtypeBytes[b.dtype]), 0);
  return {
    soc: chip.soc,
    kernels,
    seconds: sum((k) => k.seconds),
    launchSeconds: kernels.filter((k) => k.blocks > 0).length * launchSeconds,
    hbmBytes: sum((k) => k.hbmBytes),
    roofs: { hbm: sum((k) => k.roofs.hbm), cube: sum((k) => k.roofs.cube), vector: sum((k) => k.roofs.vector) },
    overfull: held > chip.hbmBytes ? held : undefined,
  };
}

/** Fills the ids of a router, and says whether it did; other integers stay unknown until a kernel writes them. */
function routeInto(
  program: Program,
  buffer: string,
  values: Float64Array,
  dims: Readonly<Record<string, number>>,
  routing: RoutingChoice,
): boolean {
  if (!routingsOf(program).some((r) => r.ids === buffer)) return false;
  const kernel = program.kernels.find((k) => k.buffers.some((b) => b.name === buffer && b.access !== "read"));
  const [logits] = kernel?.buffers ?? [];
  const ids = kernel?.buffers.find((b) => b.name === buffer);
  const experts = logits?.dims.at(-1)?.evaluate(dims);
  const topK = ids?.dims.at(-1)?.evaluate(dims);
  if (!experts || !topK) throw new IrError(`${buffer} is not the ids of a router`, "Write ids from logits.");
  values.set(chooseExperts(values.length / topK, topK, experts, routing));
  return true;
}

/**
 * Expert ids [tokens, topK], different within a token. Balanced: every expert as often as any other, give or take one, with
 * neighbours far apart. Seeded: each token's experts drawn evenly.
 */
export function chooseExperts(tokens: number, topK: number, experts: number, routing: RoutingChoice): Int32Array {
  const ids = new Int32Array(tokens * topK);
  if (routing.kind === "balanced") {
    const step = coprimeNear(experts, Math.round(experts * 0.618));
    for (let i = 0; i < ids.length; i++) ids[i] = (i * step) % experts;
    return ids;
  }
  let state = (routing.seed ^ 0x9e3779b9) >>> 0;
  const random = (below: number): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
  for (let token = 0; token < tokens; token++) {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(topK, experts)) chosen.add(random(experts));
    ids.set([...chosen], token * topK);
  }
  return ids;
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** The first number from `start` on that shares no factor with n. */
function coprimeNear(n: number, start: number): number {
  let step = Math.max(1, start);
  while (gcd(n, step) !== 1) step++;
  return step;
}
