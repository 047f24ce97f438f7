import { IrError } from "./diagnostic.ts";

/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What an expression over a config can give. */
export type ConfigLiteral = number | string | boolean;

/**
 * How a layer reads a config.json. Expressions are keys (`text_config.hidden_size`), numbers, 'texts', true, false, + - * /, ==,
 * and, or, and parentheses; `a ?? b` is b where the config leaves out (or has null for) something of a.
 */
export interface ConfigBinding {
  /** Expressions of parameters, by their names. true counts 1, false 0. */
  readonly params: Readonly<Record<string, string>>;
  /** Expressions, and what they must give: the layer is right for no other config. */
  readonly requires: Readonly<Record<string, ConfigLiteral | readonly ConfigLiteral[]>>;
}

/** The values that a requirement allows. */
export const allowed = (values: ConfigLiteral | readonly ConfigLiteral[]): readonly ConfigLiteral[] =>
  Array.isArray(values) ? values : [values as ConfigLiteral];

type Node =
  | { readonly kind: "literal"; readonly value: ConfigLiteral }
  | { readonly kind: "key"; readonly path: string }
  | { readonly kind: "apply"; readonly op: Operator; readonly left: Node; readonly right: Node };

type Operator = "+" | "-" | "*" | "/" | "??" | "==" | "and" | "or";

const token = /\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*(?:\.\w+)*)|'([^']*)'|(\?\?|==|[-+*/()]))/y;

/**
 * Reads an expression.
 * @throws IrError where it is none
 */
export function parseConfigExpression(text: string): Node {
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (text.slice(token.lastIndex).trim() !== "") {
    const start = token.lastIndex;
    const found = token.exec(text);
    if (found === null) throw wrong(text, text.slice(start).trim());
    tokens.push(found[0].trim());
  }
  let next = 0;
  const accept = (...marks: readonly string[]): string | undefined => {
    const found = tokens[next];
    if (found === undefined || !marks.includes(found)) return undefined;
    next++;
    return found;
  };
  const chain = (operand: () => Node, ...operators: readonly Operator[]): Node => {
    let left = operand();
    for (let op = accept(...operators); op !== undefined; op = accept(...operators)) {
      left = { kind: "apply", op: op as Operator, left, right: operand() };
    }
    return left;
  };
  const alternatives = (): Node => chain(() => chain(() => chain(primary, "*", "/"), "+", "-"), "??");
  const condition = (): Node => chain(() => chain(() => chain(alternatives, "=="), "and"), "or");
  const primary = (): Node => {
    const found = tokens[next++];
    if (found === "-") return { kind: "apply", op: "-", left: { kind: "literal", value: 0 }, right: primary() };
    if (found === "(") {
      const inner = condition();
      if (accept(")") === undefined) throw wrong(text, tokens[next]);
      return inner;
    }
    if (found === "true" || found === "false") return { kind: "literal", value: found === "true" };
    if (found?.startsWith("'")) return { kind: "literal", value: found.slice(1, -1) };
    if (found !== undefined && /^\d/.test(found)) return { kind: "literal", value: Number(found) };
    if (found !== undefined && /^\w/.test(found) && found !== "and" && found !== "or")
      return { kind: "key", path: found };
    throw wrong(text, found);
  };
  const node = condition();
  if (next < tokens.length) throw wrong(text, tokens[next]);
  return node;
}

const wrong = (text: string, found: string | undefined): IrError =>
  new IrError(
    `"${text}" is no expression over a config: ${found === undefined ? "it ends too early" : `${found} does not belong there`}`,
    'Write keys, numbers, \'texts\', + - * / ( ) ?? == and or, such as "moe_intermediate_size * n_shared_experts" or "head_dim ?? 128".',
  );

/** What an expression gives: its value, or the keys that the config would need for one. */
export type ConfigResult = { readonly value: ConfigLiteral } | { readonly missing: readonly string[] };

/**
 * The value of an expression.
 * @throws IrError where the text is no expression, or the config has a value of the wrong kind
 */
export function evaluateConfig(text: string, config: Json): ConfigResult {
  const evaluate = (node: Node): ConfigResult => {
    if (node.kind === "literal") return { value: node.value };
    if (node.kind === "key") {
      const found = lookUp(config, node.path);
      if (found === undefined || found === null) return { missing: [node.path] };
      if (typeof found !== "object") return { value: found };
      throw new IrError(
        `${node.path} is ${Array.isArray(found) ? "a list" : "an object"}`,
        "Name a number, a text, true or false in it, as in rope_scaling.factor or layers.0.",
      );
    }
    const left = evaluate(node.left);
    if (node.op === "??") {
      if ("value" in left) return left;
      const right = evaluate(node.right);
      return "value" in right ? right : { missing: [...left.missing, ...right.missing] };
    }
    // Where one side of a condition decides, the other may be left out.
    if ((node.op === "or" || node.op === "and") && "value" in left && left.value === (node.op === "or")) return left;
    const right = evaluate(node.right);
    if ("missing" in left) return { missing: [...left.missing, ...("missing" in right ? right.missing : [])] };
    if ("missing" in right) return right;
    if (node.op === "==") return { value: left.value === right.value };
    if (node.op === "or" || node.op === "and") {
      // The left side did not decide.
      booleanOf(node.left, left.value);
      return { value: booleanOf(node.right, right.value) };
    }
    return { value: compute(node.op, numberOf(node.left, left.value), numberOf(node.right, right.value)) };
  };
  return evaluate(parseConfigExpression(text));
}

const compute = (op: "+" | "-" | "*" | "/", a: number, b: number): number => {
  if (op === "+") return a + b;
  if (op === "-") return a - b;
  return op === "*" ? a * b : a / b;
};

function numberOf(node: Node, value: ConfigLiteral): number {
  if (typeof value === "number") return value;
  throw wrongKind(node, value, "a number");
}

function booleanOf(node: Node, value: ConfigLiteral): boolean {
  if (typeof value === "boolean") return value;
  throw wrongKind(node, value, "true or false");
}

const wrongKind = (node: Node, value: ConfigLiteral, needed: string): IrError =>
  new IrError(
    `${node.kind === "key" ? node.path : "a part of the expression"} is ${formatJson(value)}, where ${needed} is needed`,
    `Give a config that has ${needed} there.`,
  );

/** The value at a path of keys, and of positions in lists. */
export function lookUp(config: Json, path: string): Json | undefined {
  let value: Json | undefined = config;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as { readonly [key: string]: Json })[key];
  }
  return value;
}

/** The keys that an expression reads. */
export function keysOf(text: string): readonly string[] {
  const keys = (node: Node): readonly string[] =>
    node.kind === "key" ? [node.path] : node.kind === "apply" ? [...keys(node.left), ...keys(node.right)] : [];
  return [...new Set(keys(parseConfigExpression(text)))];
}

/** All paths of a config that lead to a value. */
export function pathsOf(config: Json, prefix = ""): readonly string[] {
  if (config === null) return [];
  if (typeof config !== "object" || Array.isArray(config)) return [prefix];
  return Object.entries(config).flatMap(([key, value]) => pathsOf(value, prefix === "" ? key : `${prefix}.${key}`));
}

/** A value as a config.json writes it. */
export const formatJson = (value: Json): string => JSON.stringify(value);
