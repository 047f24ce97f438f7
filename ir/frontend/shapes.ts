import { ts } from "ts-morph";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Builtin } from "./builtins.ts";
import type { Machine } from "./machine.ts";
import { dimOf } from "./operators.ts";
import { options } from "./options.ts";
import { Problem, problem } from "./source.ts";
import { list, nearest } from "./suggest.ts";
import { describe, numberValue, type StaticValue, undefinedValue } from "./values.ts";

/** Functions of "unmoor" that move elements and change none. */
export const shapeBuiltins: Readonly<Record<string, Builtin>> = {
  reshape(machine, args, call, hint) {
    checkCount(call, "reshape", args.length, 2);
    const x = tensorArgument(args[0], "the operand of reshape", argumentNode(call, 0));
    const at = argumentNode(call, 1);
    const known = x.type.dims.flatMap((d) => d.symbols);
    const dims = items(args[1], at, "the shape is an array of dimensions").map(({ value, node }) =>
      dimension(machine, value, node, known),
    );
    return machine.one("reshape", [x], { dims }, call, { names: [hint ?? "reshape"] });
  },
  concat(machine, args, call, hint) {
    checkCount(call, "concat", args.length, 2);
    const tensors = items(args[0], argumentNode(call, 0), "concat joins an array of tensors").map(({ value, node }) =>
      tensorArgument(value, "an operand of concat", node),
    );
    if (tensors.length === 0)
      throw problem("U025", argumentNode(call, 0), "concat joins at least one tensor, found none");
    const axis = axisArgument(args[1], argumentNode(call, 1), "concat", tensors[0]?.type.dims.length ?? 0);
    return machine.one("concat", tensors, { axis }, call, { names: [hint ?? "concat"] });
  },
  slice(machine, args, call, hint) {
    checkCount(call, "slice", args.length, 3, 4);
    const x = tensorArgument(args[0], "the operand of slice", argumentNode(call, 0));
    const at = argumentNode(call, 3);
    const given = options(args[3] ?? noOptions, at, "slice", ["step", "axis"]);
    const known = x.type.dims.flatMap((d) => d.symbols);
    const size = (i: number, name: string, least: number): Dim => {
      const value = args[i];
      if (value?.kind === "string") return dimension(machine, value, argumentNode(call, i), known);
      return wholeNumber(value, argumentNode(call, i), `${name} of slice`, least);
    };
    const [start, count] = [size(1, "start", 0), size(2, "count", 1)];
    const step = given.get("step");
    const axis = given.get("axis") ?? numberValue(-1);
    const attributes: AttributeMap = {
      axis: axisArgument(axis, given.at("axis"), "slice", x.type.dims.length),
      start,
      count,
      step: step === undefined ? 1 : (wholeNumber(step, given.at("step"), "step of slice", 1).constant ?? 1),
    };
    return machine.one("slice", [x], attributes, call, { names: [hint ?? "slice"] });
  },
  transpose(machine, args, call, hint) {
    checkCount(call, "transpose", args.length, 2);
    const x = tensorArgument(args[0], "the operand of transpose", argumentNode(call, 0));
    const order = items(args[1], argumentNode(call, 1), "the order is an array of dimensions").map(
      ({ value, node }) => {
        if (value.kind === "number") return value.value;
        throw problem("U013", node, `a dimension of transpose is ${describe(value)}`);
      },
    );
    return machine.one("transpose", [x], { order }, call, { names: [hint ?? "transpose"] });
  },
  expand(machine, args, call, hint) {
    checkCount(call, "expand", args.length, 3);
    const x = tensorArgument(args[0], "the operand of expand", argumentNode(call, 0));
    const axis = axisArgument(args[1], argumentNode(call, 1), "expand", x.type.dims.length);
    const known = x.type.dims.flatMap((d) => d.symbols);
    const size = dimension(machine, args[2] ?? undefinedValue, argumentNode(call, 2), known);
    return machine.one("expand", [x], { axis, size }, call, { names: [hint ?? "expand"] });
  },
  gather(machine, args, call, hint) {
    checkCount(call, "gather", args.length, 2);
    const x = tensorArgument(args[0], "the table of gather", argumentNode(call, 0));
    const ids = tensorArgument(args[1], "the ids of gather", argumentNode(call, 1));
    return machine.one("gather", [x, ids], {}, call, { names: [hint ?? "gather"] });
  },
  scatter(machine, args, call, hint) {
    checkCount(call, "scatter", args.length, 3);
    const operands = ["tensor", "ids", "rows"].map((what, i) =>
      tensorArgument(args[i], `the ${what} of scatter`, argumentNode(call, i)),
    );
    return machine.one("scatter", operands, {}, call, { names: [hint ?? "scatter"] });
  },
  ngramIds(machine, args, call, hint) {
    checkCount(call, "ngramIds", args.length, 3);
    const operands = ["tokens", "tokens before those"].map((what, i) =>
      tensorArgument(args[i], `the ${what} of ngramIds`, argumentNode(call, i)),
    );
    const given = options(args[2], argumentNode(call, 2), "ngramIds", ["heads", "rows", "vocab", "eos"]);
    const size = (name: string): Dim => wholeNumber(given.get(name), given.at(name), `${name} of ngramIds`, 1);
    const [heads, rows, vocab] = [size("heads"), size("rows"), size("vocab")];
    const eos = given.get("eos");
    const attributes: AttributeMap = { heads, rows, vocab };
    if (eos === undefined || eos.kind === "undefined")
      return machine.one("ngram_ids", operands, attributes, call, { names: [hint ?? "ngrams"] });
    wholeNumber(eos, given.at("eos"), "eos of ngramIds", 0);
    const all = { ...attributes, eos: eos.kind === "number" ? eos.value : 0 };
    return machine.one("ngram_ids", operands, all, call, { names: [hint ?? "ngrams"] });
  },
};

const noOptions: StaticValue = { kind: "object", members: new Map() };

/** A whole number of at least `least`, as a polynomial over parameters where it is one. @throws Problem U013 */
function wholeNumber(value: StaticValue | undefined, at: ts.Node, what: string, least: number): Dim {
  if (value?.kind === "unknown") throw new Problem(undefined);
  if (value?.kind === "number" && Number.isSafeInteger(value.value) && value.value >= least)
    return dimOf(value) ?? Dim.of(value.value);
  throw problem("U013", at, `${what} is ${describe(value ?? undefinedValue)}`, {
    expected: `a whole number of at least ${least}`,
  });
}

/** The items of an array, each with the place where it stands: its own where the array is written out. */
function items(
  value: StaticValue | undefined,
  at: ts.Node,
  what: string,
): readonly { readonly value: StaticValue; readonly node: ts.Node }[] {
  if (value?.kind === "unknown") throw new Problem(undefined);
  if (value?.kind !== "array")
    throw problem("U025", at, `${what}, found ${describe(value ?? undefinedValue)}`, { expected: "an array" });
  const written = ts.isArrayLiteralExpression(at) && !at.elements.some(ts.isSpreadElement) ? at.elements : undefined;
  return value.items.map((item, i) => ({ value: item, node: written?.[i] ?? at }));
}

/**
 * A dimension from a name, a number, or text with sums and products of them. Its names are parameters or `known` run-time
 * sizes. @throws Problem U017
 */
function dimension(machine: Machine, value: StaticValue, at: ts.Node, known: readonly string[]): Dim {
  if (value.kind === "unknown") throw new Problem(undefined);
  const dim = dimensionOf(value);
  if (dim === undefined || dim.terms.some((t) => t.coefficient < 0) || dim.constant === 0)
    throw problem("U017", at, `${describe(value)} is no dimension`);
  const names = [...Object.keys(machine.params), ...known];
  const unknown = dim.symbols.find((s) => !names.includes(s));
  if (unknown === undefined) return dim;
  const near = nearest(unknown, names);
  throw problem("U017", at, `${unknown} is no parameter, and no dimension of the operand`, {
    expected: list([...new Set(names)]),
    ...(near === undefined ? {} : { help: `Did you mean ${near}?` }),
  });
}

function dimensionOf(value: StaticValue): Dim | undefined {
  if (value.kind === "number") return dimOf(value);
  if (value.kind !== "string") return undefined;
  try {
    return Dim.parse(value.value);
  } catch (error) {
    if (error instanceof IrError) return undefined;
    throw error;
  }
}

/** A dimension of a tensor of `rank`, counted from the last: −1 … −rank. @throws Problem U013 */
function axisArgument(value: StaticValue | undefined, at: ts.Node, what: string, rank: number): number {
  if (value?.kind === "unknown") throw new Problem(undefined);
  const axis = value?.kind === "number" ? value.value : Number.NaN;
  if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis : axis - rank;
  throw problem("U013", at, `the dimension of ${what} is ${describe(value ?? undefinedValue)}`, {
    expected: `a whole number from ${-rank} to ${rank - 1}, since the tensor has ${rank} dimension${rank === 1 ? "" : "s"}`,
  });
}
