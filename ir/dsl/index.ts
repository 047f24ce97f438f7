// What authors import from "unmoor". The frontend knows each of these names; a test holds the two lists together.
export type { WeightBinding } from "../core/bindings.ts";
export type { RopeScaling } from "../ops/rope-frequencies.ts";
export { type AttentionOptions, attention, headLinear } from "./attention.ts";
export { type Concrete, type LayerFunction, type LayerOptions, layer, type Params } from "./layer.ts";
export * from "./ops.ts";
export { type RopeOptions, rope } from "./rope.ts";
export { type RouteOptions, type Routing, route } from "./routing.ts";
export { amax, amin, argMax, cumsum, layerNorm, mean, rmsNorm, softmax, sum } from "./rows.ts";
export { concat, expand, gather, type NgramOptions, ngramIds, reshape, scatter, slice, transpose } from "./shapes.ts";
export { type ConcreteTensor, tensor } from "./tensor.ts";
export type { AnyTensor, Dims, Expert, Storage, Tensor } from "./types.ts";
