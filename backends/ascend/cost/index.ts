export { type Chip, chipOf, socNames } from "./figures.ts";
export type { KernelModel } from "./kernel.ts";
export { type LayerModel, modelLayer, type RoutingChoice } from "./layer.ts";
