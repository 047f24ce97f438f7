export { chipOf, socNames } from "./figures.ts";
export { type LayerModel, modelLayer, type RoutingChoice } from "./layer.ts";
