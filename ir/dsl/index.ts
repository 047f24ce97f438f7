// What authors import from "unmoor". The frontend knows each of these names; a test holds the two lists together.
export type { WeightBinding } from "../core/bindings.ts";
export { type AttentionOptions, attention } from "./attention.ts";
export { type Concrete, type LayerFunction, type LayerOptions, layer, type Params } from "./layer.ts";
export * from "./ops.ts";
export { type RouteOptions, type Routing, route } from "./routing.ts";
export { concat, reshape, slice, transpose } from "./shapes.ts";
export { type ConcreteTensor, tensor } from "./tensor.ts";
export type { AnyTensor, Dims, Expert, Storage, Tensor } from "./types.ts";
