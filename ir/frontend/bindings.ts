import type { ts } from "ts-morph";
import { isPerExpert, layoutOf, readBinding, sourcesOf, type WeightBinding } from "../core/bindings.ts";
import {
  allowed,
  type ConfigBinding,
  type ConfigLiteral,
  type ConfigResult,
  evaluateConfig,
  formatJson,
  type Json,
  keysOf,
  lookUp,
  parseConfigExpression,
  pathsOf,
} from "../core/config.ts";
import { IrError } from "../core/diagnostic.ts";
import type { Argument, Attribute, Layer } from "../core/layer.ts";
import { isFloat } from "../core/types.ts";
import type { Code } from "./codes.ts";
import { member, type Options } from "./options.ts";
import { Problem, problem } from "./source.ts";
import { list, nearest } from "./suggest.ts";
import { describe, type StaticValue } from "./values.ts";

/** The options of a layer. */
export const layerOptions = ["config", "requires", "weights"] as const;

/** Runs something; reports what it throws, and then gives undefined. */
export type Attempt = <T>(run: () => T) => T | undefined;

/** A config.json, and the name that messages give it. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Json;
}

/** `config` and `requires`. Undefined where the layer has neither. */
export function configBinding(given: Options, params: readonly string[], attempt: Attempt): ConfigBinding | undefined {
  const config = entries(given, "config", "expressions over a config");
  const requires = entries(given, "requires", "values by expressions over a config");
  if (config === undefined && requires === undefined) return undefined;
  const known = (config ?? []).flatMap(({ name, value, at }) => {
    const text = attempt(() => {
      if (!params.includes(name)) {
        const near = nearest(name, params);
        throw problem("U011", at, `the layer has no parameter ${name}`, {
          help: near === undefined ? `Its parameters are ${list(params)}.` : `Did you mean ${near}?`,
        });
      }
      if (value.kind !== "string") throw notText(at, name, value);
      checkExpression(at, value.value);
      return value.value;
    });
    return text === undefined ? [] : [[name, text] as const];
  });
  const conditions = (requires ?? []).flatMap(({ name, value, at }) => {
    const values = attempt(() => {
      checkExpression(at, name);
      return literals(at, name, value);
    });
    return values === undefined ? [] : [[name, values] as const];
  });
  return { params: Object.fromEntries(known), requires: Object.fromEntries(conditions) };
}

/** Where checkpoints hold the weights, from `weights`. */
export function weightBindings(
  given: Options,
  args: ReadonlyMap<string, Argument>,
  attempt: Attempt,
): Layer["bindings"] {
  const weights = [...args].filter(([, a]) => a.role === "weight").map(([name]) => name);
  const bindings = (entries(given, "weights", "published names") ?? []).flatMap(({ name, value, at }) => {
    const binding = attempt(() => {
      const argument = args.get(name);
      if (argument?.role !== "weight") {
        const near = nearest(name, weights);
        throw problem("U031", at, `the layer has no weight ${name}`, {
          help: near === undefined ? `Its weights are ${list(weights)}.` : `Did you mean ${near}?`,
        });
      }
      return explained("U031", at, `wrong published name of ${name}`, () => {
        const found = readBinding(plain(at, value));
        for (const source of sourcesOf(name, found)) checkSource(argument, source);
        return found;
      });
    });
    return binding === undefined ? [] : [[name, binding, at] as const];
  });
  attempt(() => checkParts(bindings, args));
  return Object.fromEntries(bindings);
}

/** Each part of a published tensor is one weight's. @throws Problem U031 where two weights read one part, or none reads it */
function checkParts(
  bindings: readonly (readonly [name: string, binding: WeightBinding, at: ts.Node])[],
  args: ReadonlyMap<string, Argument>,
): void {
  /** Tensor → part → the weight that reads it. */
  const readers = new Map<string, Map<number, string>>();
  for (const [name, binding, at] of bindings) {
    const dims = args.get(name)?.value.type.dims ?? [];
    for (const source of sourcesOf(name, binding)) {
      if (source.part === undefined) continue;
      const parts = readers.get(source.tensor) ?? new Map<number, string>();
      readers.set(source.tensor, parts);
      const other = parts.get(source.part);
      if (other !== undefined) {
        throw problem("U031", at, `${other} and ${name} both read part ${source.part} of ${source.tensor}`, {
          help: "Give each weight a part of its own.",
        });
      }
      parts.set(source.part, name);
    }
    for (const source of sourcesOf(name, binding)) {
      const count = layoutOf(dims, source).factors.find((f) => f.dim === undefined && f.size.constant !== 1);
      const last = bindings.findLast(([n, b]) => sourcesOf(n, b).some((s) => s.tensor === source.tensor))?.[0];
      const parts = readers.get(source.tensor);
      if (count === undefined || parts === undefined || last !== name || parts.size === count.size.constant) continue;
      throw problem("U031", at, `of the ${count.size} parts of ${source.tensor}, ${parts.size} is read`, {
        found: [...parts].map(([part, reader]) => `part ${part} as ${reader}`).join(", "),
        help: "Bind a weight to each part: what is left out would be missing from the result.",
      });
    }
  }
}

function checkSource({ value: { type } }: Argument, source: ReturnType<typeof sourcesOf>[number]): void {
  if (isPerExpert(source) && type.dims.length === 0)
    throw new IrError("{e} counts the first dimension, and the weight has none", "Leave {e} out.");
  layoutOf(type.dims, source);
  if (source.format !== undefined && !isFloat(type.dtype))
    throw new IrError(`${source.format} holds floats, and the weight is ${type.dtype}`, "Leave format and scales out.");
}

/**
 * The values that a config gives for parameters, without those that are given otherwise.
 * @throws Problem U041 … U044; reports what it can go on after
 */
export function configParams(
  { path, values }: ConfigFile,
  layer: { readonly binding: ConfigBinding | undefined; readonly given: Options | undefined; readonly node: ts.Node },
  override: Readonly<Record<string, number>>,
  attempt: Attempt,
): ReadonlyMap<string, number> {
  const { binding, given, node } = layer;
  if (binding === undefined || given === undefined) {
    throw problem("U044", node, `${path} is given, but the layer does not say how it reads a config`);
  }
  const place = (option: "config" | "requires", name: string): ts.Node => {
    const at = given.at(option);
    return member(at, name) ?? at;
  };
  const evaluate = (at: ts.Node, text: string, what: string, help?: string): ConfigLiteral => {
    const result = explained("U042", at, path, (): ConfigResult => evaluateConfig(text, values));
    if ("value" in result) return result.value;
    const near = result.missing.map((key) => nearest(key, pathsOf(values))).find((key) => key !== undefined);
    throw problem("U041", at, `${path} has no ${list(result.missing)}${what}`, {
      ...(near === undefined
        ? help === undefined
          ? {}
          : { help }
        : { help: `It has ${near}. Mend the layer's expression, or the config.` }),
    });
  };
  for (const [text, wanted] of Object.entries(binding.requires)) {
    attempt(() => {
      const at = place("requires", text);
      const expected = allowed(wanted).map(formatJson).join(" or ");
      const help = `The layer is right where it is ${expected}: give a config that says so.`;
      const found = evaluate(at, text, ", on which the layer relies", help);
      if (allowed(wanted).includes(found)) return;
      const keys = keysOf(text).map((key) => `${key} = ${formatJson(lookUp(values, key) ?? null)}`);
      throw problem("U043", at, `${path} is not one that the layer is for: ${text} is ${formatJson(found)}`, {
        expected,
        found: keys.join(", "),
      });
    });
  }
  const params = new Map<string, number>();
  for (const [name, text] of Object.entries(binding.params)) {
    if (Object.hasOwn(override, name)) continue;
    attempt(() => {
      const at = place("config", name);
      const found = evaluate(at, text, `, from which parameter ${name} reads`);
      const value = typeof found === "string" ? Number.NaN : Number(found);
      if (Number.isFinite(value)) params.set(name, value);
      else {
        throw problem("U042", at, `${path} gives no number for parameter ${name}`, {
          expected: "a finite number",
          found: typeof found === "number" ? String(found) : formatJson(found),
        });
      }
    });
  }
  return params;
}

interface Entry {
  readonly name: string;
  readonly value: StaticValue;
  readonly at: ts.Node;
}

/** The members of an option that is an object. */
function entries(given: Options, option: (typeof layerOptions)[number], what: string): readonly Entry[] | undefined {
  const value = given.get(option);
  const at = given.at(option);
  if (value === undefined || value.kind === "undefined") return undefined;
  if (value.kind === "unknown") throw new Problem(undefined);
  if (value.kind !== "object") {
    throw problem("U025", at, `${option} is ${describe(value)}`, { expected: `an object of ${what}` });
  }
  return [...value.members].map(([name, v]) => ({ name, value: v, at: member(at, name) ?? at }));
}

const notText = (at: ts.Node, name: string, value: StaticValue): Problem =>
  problem("U040", at, `the expression of ${name} is ${describe(value)}`, { expected: "a text" });

const checkExpression = (at: ts.Node, text: string): void => {
  explained("U040", at, undefined, () => parseConfigExpression(text));
};

/** What a requirement allows: a number, a text, true or false, or several of them. */
function literals(at: ts.Node, name: string, value: StaticValue): ConfigLiteral | readonly ConfigLiteral[] {
  const found = plain(at, value);
  const isLiteral = (v: Attribute): v is ConfigLiteral => ["number", "string", "boolean"].includes(typeof v);
  if (isLiteral(found)) return found;
  if (Array.isArray(found) && found.length > 0 && found.every(isLiteral)) return found;
  throw problem("U040", at, `what ${name} must be is ${describe(value)}`, {
    expected: "a number, a text, true or false, or a list of them",
  });
}

/** A value of numbers, texts, true and false, in arrays and objects. */
function plain(at: ts.Node, value: StaticValue): Attribute {
  if (value.kind === "number" || value.kind === "string" || value.kind === "boolean") return value.value;
  if (value.kind === "array") return value.items.map((item) => plain(at, item));
  if (value.kind === "unknown") throw new Problem(undefined);
  if (value.kind === "object" && value.what === undefined) {
    const members = [...value.members].filter(([, v]) => v.kind !== "undefined");
    return Object.fromEntries(members.map(([name, v]) => [name, plain(at, v)]));
  }
  throw problem("U025", at, `${describe(value)} does not belong here`, {
    expected: "numbers, texts, true and false, in lists and objects",
  });
}

/** Runs a check that knows no place, and adds the place and, before the message, what it is about. */
function explained<T>(code: Code, at: ts.Node, what: string | undefined, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof IrError)) throw error;
    throw problem(code, at, what === undefined ? error.message : `${what}: ${error.message}`, { help: error.help });
  }
}
