import { scalarFunctions } from "../dsl/scalar-functions.ts";

/** Functions that authors import from "unmoor", but for the elementwise ones. */
const ownNames: readonly string[] = [
  "layer",
  "linear",
  "map",
  "route",
  "attention",
  "headLinear",
  "rope",
  "cast",
  "slice",
  "reshape",
  "concat",
  "transpose",
  "expand",
  "gather",
  "scatter",
  "ngramIds",
  "sum",
  "mean",
  "amax",
  "amin",
  "rmsNorm",
  "layerNorm",
  "softmax",
  "cumsum",
  "argMax",
  "range",
  "tensor",
];

/** Functions that authors import from "unmoor". */
export const builtinNames: readonly string[] = [...ownNames, ...Object.keys(scalarFunctions)];

/** The same in words; the elementwise ones are many. */
export const builtinWords = `${ownNames.join(", ")} and elementwise ones such as add, mul, exp and silu (docs/language.md lists them)`;

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
  "NgramOptions",
  "Params",
  "RopeOptions",
  "RopeScaling",
  "RouteOptions",
  "Routing",
  "Storage",
  "Tensor",
  "WeightBinding",
];
