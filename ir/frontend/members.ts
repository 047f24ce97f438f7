import { ts } from "ts-morph";
import { formatType } from "../core/types.ts";
import { builtin } from "./builtins.ts";
import type { Machine } from "./machine.ts";
import type { Scope } from "./scope.ts";
import { Problem, problem, written } from "./source.ts";
import { nearest } from "./suggest.ts";
import { describe, numberValue, type StaticValue, undefinedValue } from "./values.ts";

/** `object.member`, `array[i]`, `weight[e]`. */
export function memberOf(
  machine: Machine,
  node: ts.PropertyAccessExpression | ts.ElementAccessExpression,
  scope: Scope,
): StaticValue {
  const base = machine.evaluate(node.expression, scope);
  if (base.kind === "unknown") throw new Problem(undefined);
  if (base.kind === "undefined" && node.questionDotToken !== undefined) return undefinedValue;
  if (ts.isPropertyAccessExpression(node)) return named(machine, node, base, node.name.text);
  const key = machine.evaluate(node.argumentExpression, scope);
  if (key.kind === "unknown") throw new Problem(undefined);
  if (base.kind === "tensor") return slice(machine, node, base, key);
  if (base.kind === "array" && key.kind === "number") {
    const item = base.items[key.value];
    if (item !== undefined) return item;
    throw problem("U014", node.argumentExpression, `the array has no element ${key.value}`, {
      expected: `an index from 0 to ${base.items.length - 1}`,
      help: "Use an index inside the array.",
    });
  }
  if (key.kind === "expert") {
    throw problem("U067", node.argumentExpression, `${describe(base)} is indexed by the expert's number`);
  }
  if (key.kind === "string") return named(machine, node, base, key.value);
  throw problem("U025", node.argumentExpression, `${describe(base)} has no element for ${describe(key)}`, {
    expected: "an array with a number, an object with a text, or a weight with an expert",
  });
}

function slice(
  machine: Machine,
  node: ts.ElementAccessExpression,
  base: StaticValue & { kind: "tensor" },
  key: StaticValue,
): StaticValue {
  if (key.kind === "expert") {
    const [stacked] = base.value.type.dims;
    if (stacked !== undefined && !stacked.equals(key.experts)) {
      throw problem(
        "U068",
        node,
        `${written(node.expression)} is stacked for ${stacked} experts, but there are ${key.experts}`,
        {
          found: `${written(node.expression)} is ${formatType(base.value.type)}`,
        },
      );
    }
    return machine.one("index", [base.value, key.value], {}, node, { names: [`${base.value.name}_e`] });
  }
  if (key.kind === "number") return partOf(machine, node, base, key.value);
  throw problem(
    "U025",
    node.argumentExpression,
    `a tensor is indexed by an expert or a number, found ${describe(key)}`,
    {
      expected: "the expert that mix gives to its function, or a whole number",
      help: "Write w.gate[e] inside routing.mix(x, (token, e) => …).",
    },
  );
}

/** `weights[1]`: a part of a tensor along its first dimension. */
function partOf(
  machine: Machine,
  node: ts.ElementAccessExpression,
  { value }: StaticValue & { kind: "tensor" },
  at: number,
): StaticValue {
  const { dims } = value.type;
  const count = dims[0]?.substitute(machine.params).constant ?? Number.POSITIVE_INFINITY;
  if (dims.length < 2 || !Number.isSafeInteger(at) || at < 0 || at >= count)
    throw problem("U014", node.argumentExpression, `${formatType(value.type)} has no part ${at}`, {
      expected:
        dims.length < 2
          ? "a tensor of at least two dimensions"
          : `a whole number from 0${Number.isFinite(count) ? ` to ${count - 1}` : ""}`,
      help: "Index a tensor along its first dimension.",
    });
  const names = [`${value.name}_${at}`];
  const part = machine.one("slice", [value], { axis: -dims.length, start: at, count: 1, step: 1 }, node, { names });
  return part.kind === "tensor" ? machine.one("reshape", [part.value], { dims: dims.slice(1) }, node, { names }) : part;
}

function named(machine: Machine, node: ts.Node, base: StaticValue, name: string): StaticValue {
  const at = ts.isPropertyAccessExpression(node) ? node.name : node;
  if (base.kind === "object") {
    const value = base.members.get(name);
    if (value?.kind === "unknown") throw new Problem(undefined);
    if (value !== undefined) return value;
    if (base.what === "Math" && name === "random") {
      throw problem("U066", at, "Math.random belongs to JavaScript's run time", {
        help: "Take random numbers as an input: the same call then gives the same result.",
      });
    }
    const near = nearest(name, base.members.keys());
    throw problem("U014", at, `${base.what ?? "the object"} has no ${name}`, {
      help:
        near === undefined ? `It has ${[...base.members.keys()].join(", ") || "no members"}.` : `Did you mean ${near}?`,
    });
  }
  if (base.kind === "array") {
    if (name === "length") return numberValue(base.items.length);
    const run = Object.hasOwn(arrayMethods, name) ? arrayMethods[name] : undefined;
    if (run !== undefined) return { kind: "native", name, run: (args, call) => run(machine, base.items, args, call) };
    if (mutators.has(name)) {
      throw problem("U010", at, `${name} would change the array`, {
        help: "Arrays never change. Make a new one: [...array, item], or array.map(…).",
      });
    }
    throw problem("U014", at, `an array has no ${name} in a layer`, {
      help: `It has length, ${Object.keys(arrayMethods).join(", ")}, and the spread [...array].`,
    });
  }
  if (base.kind === "tensor") {
    throw problem("U014", at, `${describe(base)} has no ${name}`, {
      help: 'Inside a layer a tensor has no members: its sizes are the layer\'s parameters, and functions of "unmoor" compute with it.',
    });
  }
  throw problem("U014", at, `${describe(base)} has no ${name}`);
}

/** Methods of arrays that change them. */
const mutators = new Set("push pop shift unshift splice sort reverse fill copyWithin".split(" "));

type ArrayMethod = (
  machine: Machine,
  items: readonly StaticValue[],
  args: readonly StaticValue[],
  call: ts.CallExpression,
) => StaticValue;

/** Calls the function given to a method of an array; one of "unmoor" takes no index. */
function callback(
  machine: Machine,
  fn: StaticValue | undefined,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  index?: number,
): StaticValue {
  if (fn?.kind === "builtin") return builtin(machine, fn.name, args, call);
  const all = index === undefined ? args : [...args, numberValue(index)];
  if (fn?.kind === "function") return machine.invoke(fn, all, call);
  throw problem("U025", call, `a function is expected, found ${fn === undefined ? "nothing" : describe(fn)}`);
}

/** Methods of arrays that make new values and change nothing. */
const arrayMethods: Readonly<Record<string, ArrayMethod>> = {
  map: (machine, items, [fn], call) => ({
    kind: "array",
    items: items.map((item, i) => callback(machine, fn, [item], call, i)),
  }),
  reduce: (machine, items, [fn, initial], call) => {
    const [first, ...rest] = initial === undefined ? items : [initial, ...items];
    if (first === undefined) {
      throw problem("U025", call, "reduce of an empty array has no value", {
        help: "Give reduce a first value as its second argument.",
      });
    }
    return rest.reduce<StaticValue>((sum, item) => callback(machine, fn, [sum, item], call), first);
  },
};
