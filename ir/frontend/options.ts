import { ts } from "ts-morph";
import { Problem, problem } from "./source.ts";
import { nearest } from "./suggest.ts";
import { describe, type StaticValue } from "./values.ts";

/** An object of options: its values, and the places where they stand. */
export interface Options {
  get(name: string): StaticValue | undefined;
  /** Where the value of an option stands; where that is not written out, the whole object. */
  at(name: string): ts.Node;
}

/** @throws Problem U025 where it is no object, U022 for an option that is not `known` */
export function options(
  value: StaticValue | undefined,
  node: ts.Node,
  what: string,
  known: readonly string[],
): Options {
  if (value?.kind === "unknown") throw new Problem(undefined);
  if (value?.kind !== "object") {
    throw problem(
      "U025",
      node,
      `${what} takes an object of options, found ${value === undefined ? "nothing" : describe(value)}`,
      {
        help: `Write { ${known.join(", ")} }.`,
      },
    );
  }
  for (const name of value.members.keys()) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw problem("U022", member(node, name) ?? node, `${what} has no option ${name}`, {
      help: near === undefined ? `The options are ${known.join(", ")}.` : `Did you mean ${near}?`,
    });
  }
  return {
    get: (name) => value.members.get(name),
    at: (name) => {
      const property = member(node, name);
      return property !== undefined && ts.isPropertyAssignment(property) ? property.initializer : (property ?? node);
    },
  };
}

/** Whether an option is given. */
export const isGiven = (from: Options, name: string): boolean => (from.get(name)?.kind ?? "undefined") !== "undefined";

/** The member of this name where the object is written out in place. */
export function member(node: ts.Node, name: string): ts.ObjectLiteralElementLike | undefined {
  if (!ts.isObjectLiteralExpression(node)) return undefined;
  return node.properties.find(
    (p) => p.name !== undefined && !ts.isComputedPropertyName(p.name) && p.name.text === name,
  );
}

/** One of a few words. @throws Problem U023 */
export function choice<const T extends string>(
  from: Options,
  name: string,
  choices: readonly T[],
  fallback?: NoInfer<T>,
): T {
  const value = from.get(name);
  if (value?.kind === "unknown") throw new Problem(undefined);
  if ((value === undefined || value.kind === "undefined") && fallback !== undefined) return fallback;
  const found = choices.find((c) => value?.kind === "string" && value.value === c);
  if (found !== undefined) return found;
  throw problem("U023", from.at(name), `${name} cannot be ${value === undefined ? "left out" : describe(value)}`, {
    expected: choices.map((c) => `"${c}"`).join(", "),
  });
}

/** True or false. @throws Problem U023 */
export function booleanOption(from: Options, name: string, fallback: boolean): boolean {
  const value = from.get(name);
  if (value === undefined || value.kind === "undefined") return fallback;
  if (value.kind === "boolean") return value.value;
  throw problem("U023", from.at(name), `${name} is ${describe(value)}`, { expected: "true or false" });
}

/** A number. @throws Problem U023 */
export function number(from: Options, name: string, fallback?: number): StaticValue & { kind: "number" } {
  const value = from.get(name);
  if (value?.kind === "unknown") throw new Problem(undefined);
  if ((value === undefined || value.kind === "undefined") && fallback !== undefined)
    return { kind: "number", value: fallback };
  if (value?.kind === "number" && Number.isFinite(value.value)) return value;
  throw problem(
    "U023",
    from.at(name),
    `${name} is ${value === undefined || value.kind === "undefined" ? "missing" : describe(value)}`,
    {
      expected: "a finite number",
      help: `Give ${name} a number.`,
    },
  );
}
