import type { ts } from "ts-morph";
import type { AttributeMap, Value } from "../core/layer.ts";
import { formatType, isFloat } from "../core/types.ts";
import type { Reduction } from "../ops/reduce.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Builtin } from "./builtins.ts";
import { number, type Options, options } from "./options.ts";
import { problem } from "./source.ts";
import { describe, type StaticValue } from "./values.ts";

/** A tensor of floats with at least so many dimensions. @throws Problem U025, U020 */
function rowsArgument(value: StaticValue | undefined, name: string, at: ts.Node, least = 1): Value {
  const x = tensorArgument(value, `the operand of ${name}`, at);
  if (isFloat(x.type.dtype) && x.type.dims.length >= least) return x;
  throw problem("U020", at, `${name} works on floats along the last dimension`, {
    expected: `a tensor of floats with at least ${least === 1 ? "one dimension" : "two dimensions"}`,
    found: formatType(x.type),
  });
}

/** A function of a tensor alone. */
const ofRows =
  (name: string, op: string, attributes: AttributeMap = {}, least = 1): Builtin =>
  (machine, args, call, hint) => {
    checkCount(call, name, args.length, 1);
    const x = rowsArgument(args[0], name, argumentNode(call, 0), least);
    return machine.one(op, [x], attributes, call, { names: [hint ?? name] });
  };

const reduction = (name: string, kind: Reduction): Builtin => ofRows(name, "reduce", { kind });

/** A norm with the vectors that its options may give. */
const norm =
  (name: string, kind: "rms" | "layer", vectors: readonly string[], more: readonly string[]): Builtin =>
  (machine, args, call, hint) => {
    checkCount(call, name, args.length, 2);
    const x = rowsArgument(args[0], name, argumentNode(call, 0));
    const given = options(args[1], argumentNode(call, 1), name, [...vectors, "epsilon", ...more]);
    const present = vectors.filter((v) => (given.get(v)?.kind ?? "undefined") !== "undefined");
    const operands = present.map((v) => vectorArgument(given, v, name, x));
    const epsilon = number(given, "epsilon").value;
    if (epsilon < 0)
      throw problem("U023", given.at("epsilon"), `epsilon is ${epsilon}`, { expected: "a number of at least 0" });
    const offset = unitOffset(given);
    if (offset && !present.includes("weight"))
      throw problem("U023", given.at("unitOffset"), "unitOffset adds 1 to a weight, but there is none", {
        help: "Give a weight, or leave unitOffset out.",
      });
    const attributes = {
      kind,
      epsilon,
      ...(offset ? { offset: 1 } : {}),
      ...(present.length === 0 ? {} : { with: present }),
    };
    return machine.one("norm", [x, ...operands], attributes, call, { names: [hint ?? name] });
  };

/** A vector as long as the rows. @throws Problem U025, U020 */
function vectorArgument(given: Options, which: string, name: string, x: Value): Value {
  const vector = tensorArgument(given.get(which), `the ${which} of ${name}`, given.at(which));
  const columns = x.type.dims.at(-1);
  const [own, ...rest] = vector.type.dims;
  if (own !== undefined && columns !== undefined && rest.length === 0 && own.equals(columns)) return vector;
  throw problem("U020", given.at(which), `the ${which} of ${name} is no vector as long as the rows`, {
    expected: `a tensor [${columns}], since the rows are those of ${formatType(x.type)}`,
    found: formatType(vector.type),
  });
}

/** @throws Problem U023 */
function unitOffset(given: Options): boolean {
  const value = given.get("unitOffset");
  if (value === undefined || value.kind === "undefined") return false;
  if (value.kind === "boolean") return value.value;
  throw problem("U023", given.at("unitOffset"), `unitOffset is ${describe(value)}`, { expected: "true or false" });
}

/** Functions of "unmoor" that work along the last dimension. */
export const rowBuiltins: Readonly<Record<string, Builtin>> = {
  sum: reduction("sum", "sum"),
  mean: reduction("mean", "mean"),
  amax: reduction("amax", "max"),
  amin: reduction("amin", "min"),
  rmsNorm: norm("rmsNorm", "rms", ["weight"], ["unitOffset"]),
  layerNorm: norm("layerNorm", "layer", ["weight", "bias"], []),
  softmax: ofRows("softmax", "softmax"),
  cumsum(machine, args, call, hint) {
    checkCount(call, "cumsum", args.length, 1);
    const at = argumentNode(call, 0);
    const whole = args[0]?.kind === "tensor" && args[0].value.type.dtype === "i32";
    const x = whole ? tensorArgument(args[0], "the operand of cumsum", at) : rowsArgument(args[0], "cumsum", at);
    return machine.one("cumsum", [x], {}, call, { names: [hint ?? "cumsum"] });
  },
  argMax: ofRows("argMax", "arg_max", {}, 2),
};
