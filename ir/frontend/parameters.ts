import type { ts } from "ts-morph";
import type { Attempt } from "./bindings.ts";
import { member } from "./options.ts";
import { problem } from "./source.ts";
import { list, nearest } from "./suggest.ts";
import { describe, type StaticValue } from "./values.ts";

/** The defaults of a layer's parameters, with the expression that gives them. */
export interface Defaults {
  readonly members: ReadonlyMap<string, StaticValue>;
  readonly node: ts.Expression;
}

/** @throws Problem U030 where the parameters are no object */
export function defaultsOf(value: StaticValue, node: ts.Expression): Defaults {
  if (value.kind === "object") return { members: value.members, node };
  throw problem("U030", node, `the parameters of a layer are an object of numbers, found ${describe(value)}`);
}

/**
 * Parameters with their final values: a value that is given goes before the config's, and that before the default.
 * Undefined where one has none.
 */
export function parameterValues(
  { members, node }: Defaults,
  config: ReadonlyMap<string, number>,
  given: Readonly<Record<string, number>>,
  attempt: Attempt,
): ReadonlyMap<string, number> | undefined {
  const params = new Map<string, number>();
  for (const [name, value] of members) {
    attempt(() => {
      if (value.kind === "number" && Number.isFinite(value.value)) params.set(name, config.get(name) ?? value.value);
      else
        throw problem("U012", member(node, name) ?? node, `parameter ${name} is ${describe(value)}`, {
          expected: "a finite number",
        });
    });
  }
  const names = [...members.keys()];
  for (const [name, value] of Object.entries(given)) {
    attempt(() => {
      if (!members.has(name)) {
        const near = nearest(name, names);
        throw problem("U011", node, `the layer has no parameter ${name}`, {
          expected: `one of ${list(names)}`,
          help: near === undefined ? "Give a parameter that the layer declares." : `Did you mean ${near}?`,
        });
      }
      if (!Number.isFinite(value)) {
        throw problem("U012", member(node, name) ?? node, `the value given for parameter ${name} is ${value}`, {
          expected: "a finite number",
        });
      }
      params.set(name, value);
    });
  }
  return params.size === members.size ? params : undefined;
}

/**
 * Parameters that are sizes of tensors are whole numbers.
 * @param sizes parameters that are sizes, with the tensor that has them
 */
export function checkWhole(
  sizes: ReadonlyMap<string, string>,
  params: ReadonlyMap<string, number>,
  node: ts.Expression,
  attempt: Attempt,
): void {
  for (const [name, tensor] of sizes) {
    const value = params.get(name);
    if (value === undefined || Number.isSafeInteger(value)) continue;
    attempt(() => {
      throw problem(
        "U013",
        member(node, name) ?? node,
        `parameter ${name} is ${value}, but it is a size of ${tensor}`,
        { expected: "a whole number" },
      );
    });
  }
}
