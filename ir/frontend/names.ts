import { scalarFunctions } from "../dsl/scalar-functions.ts";

/** Functions that authors import from "unmoor". */
export const builtinNames: readonly string[] = [
  "layer",
  "linear",
  "map",
  "route",
  "attention",
  "cast",
  "slice",
  "reshape",
  "concat",
  "transpose",
  "sum",
  "range",
  "tensor",
  ...Object.keys(scalarFunctions),
];

/** Types that authors import from "unmoor". */
export const typeNames: readonly string[] = [
  "AnyTensor",
  "AttentionOptions",
  "Concrete",
  "ConcreteTensor",
  "Dims",
  "Expert",
  "LayerFunction",
  "LayerOptions",
  "Params",
  "RouteOptions",
  "Routing",
  "Storage",
  "Tensor",
  "WeightBinding",
];
