import { ts } from "ts-morph";
import { Builder } from "../core/builder.ts";
import { type Diagnostic, DiagnosticError, IrError } from "../core/diagnostic.ts";
import type { AttributeMap, Operation, Region, Value } from "../core/layer.ts";
import { formatType, isFloat } from "../core/types.ts";
import { isBodyOp } from "../ops/mix.ts";
import { evaluateExpression, propertyName } from "./expressions.ts";
import { checkGrowth } from "./growth.ts";
import type { AddOptions, Machine } from "./machine.ts";
import type { Module, Modules } from "./module.ts";
import { Scope } from "./scope.ts";
import { calledName, diagnostic, Problem, problem, spanOf } from "./source.ts";
import { runBlock } from "./statements.ts";
import { describe, endedValue, type StaticValue, undefinedValue } from "./values.ts";

/** Deepest nesting of calls, and number of expressions evaluated, before a layer counts as endless. */
const deepest = 100;
const most = 1_000_000;
/** Deepest nesting of expressions, over all calls. */
const nested = 600;
/** Most operations that a layer may have. */
const longest = 10_000;

/** The partial evaluator: keeps the state of one compilation, and ties its parts together. */
export class Interpreter implements Machine {
  readonly diagnostics: Diagnostic[] = [];
  params: Readonly<Record<string, number>> = {};
  readonly #modules: Modules;
  readonly #names = new Set<string>();
  #builder = new Builder();
  #depth = 0;
  #nesting = 0;
  #steps = 0;
  #operations = 0;
  #inExpert = false;

  constructor(modules: Modules) {
    this.#modules = modules;
  }

  /** The operations built so far, in order. */
  get body(): readonly Operation[] {
    return this.#builder.body;
  }

  evaluate(node: ts.Expression, scope: Scope, hint?: string): StaticValue {
    this.#steps++;
    if (this.#steps > most) throw problem("U028", node, `the layer is still not built after ${most} steps`);
    if (this.#nesting >= nested) {
      throw problem("U071", node, `expressions are nested more than ${nested} deep`, {
        help: "Name parts of the expression with const, or make the recursion shorter.",
      });
    }
    this.#nesting++;
    try {
      return checkGrowth(evaluateExpression(this, node, scope, hint), node);
    } finally {
      this.#nesting--;
    }
  }

  invoke(
    fn: StaticValue & { kind: "function" },
    args: readonly StaticValue[],
    at: ts.Node,
    hint?: string,
  ): StaticValue {
    const { node } = fn;
    const asynchronous = ts.getModifiers(node)?.find((m) => m.kind === ts.SyntaxKind.AsyncKeyword);
    if (asynchronous !== undefined) {
      throw problem("U009", asynchronous, "async is outside the language", {
        help: "A layer computes at once. Leave async out.",
      });
    }
    if (node.asteriskToken !== undefined) {
      throw problem("U009", node.asteriskToken, "a generator is outside the language", { help: "Return an array." });
    }
    if (this.#depth >= deepest) {
      throw problem("U028", at, `calls are nested more than ${deepest} deep`, {
        help: "Make the recursion end on a parameter or constant.",
      });
    }
    this.#depth++;
    try {
      const scope = fn.scope.enter();
      for (const [i, p] of node.parameters.entries()) {
        const rest = p.dotDotDotToken !== undefined;
        const given = rest ? ({ kind: "array", items: args.slice(i) } as const) : (args[i] ?? undefinedValue);
        this.#bindWithDefault(p, given, scope, true);
      }
      const { body } = node;
      if (body === undefined) throw problem("U008", at, "a function without a body cannot be called");
      if (!ts.isBlock(body)) return this.evaluate(body, scope, hint);
      const end = runBlock(this, body.statements, scope, hint);
      return end?.kind === "return" ? end.value : endedValue;
    } finally {
      this.#depth--;
    }
  }

  bind(name: ts.BindingName, value: StaticValue, scope: Scope, assignable: boolean): void {
    if (ts.isIdentifier(name)) {
      if (scope.has(name.text)) throw problem("U062", name, `${name.text} is declared twice`);
      scope.declare(name.text, value, assignable);
      return;
    }
    if (value.kind === "unknown") throw new Problem(undefined);
    if (ts.isArrayBindingPattern(name)) {
      if (value.kind !== "array") throw wrongPattern(name, value, "an array");
      name.elements.forEach((element, i) => {
        if (ts.isOmittedExpression(element)) return;
        const item: StaticValue =
          element.dotDotDotToken === undefined
            ? (value.items[i] ?? undefinedValue)
            : { kind: "array", items: value.items.slice(i) };
        this.#bindWithDefault(element, item, scope, assignable);
      });
      return;
    }
    if (value.kind !== "object") throw wrongPattern(name, value, "an object");
    const taken = new Set<string>();
    for (const element of name.elements) {
      if (element.dotDotDotToken !== undefined) {
        const rest = new Map([...value.members].filter(([key]) => !taken.has(key)));
        this.#bindWithDefault(element, { kind: "object", members: rest }, scope, assignable);
        continue;
      }
      const key = element.propertyName ?? (ts.isIdentifier(element.name) ? element.name : undefined);
      if (key === undefined) continue;
      const text = propertyName(this, key, scope);
      taken.add(text);
      const member = value.members.get(text);
      if (member === undefined && element.initializer === undefined) {
        throw problem("U014", element, `${value.what ?? "the object"} has no ${text}`, {
          help: `It has ${[...value.members.keys()].join(", ") || "no members"}.`,
        });
      }
      this.#bindWithDefault(element, member ?? undefinedValue, scope, assignable);
    }
  }

  #bindWithDefault(
    element: ts.BindingElement | ts.ParameterDeclaration,
    value: StaticValue,
    scope: Scope,
    assignable: boolean,
  ): void {
    const missing = value.kind === "undefined" && element.initializer !== undefined;
    const bound = missing && element.initializer ? this.evaluate(element.initializer, scope) : value;
    this.bind(element.name, bound, scope, assignable);
  }

  lookup(module: Module, name: string, at: ts.Node): StaticValue | undefined {
    const known = module.values.get(name);
    if (known === "running")
      throw problem("U028", at, `${name} is defined by itself`, { help: "Break the circle of definitions." });
    if (known !== undefined) return known;
    const declaration = module.declarations.get(name);
    if (declaration === undefined || declaration.kind === "type") return undefined;
    module.values.set(name, "running");
    try {
      const value = this.#declared(module, name, at);
      module.values.set(name, value);
      return value;
    } catch (error) {
      // The next use finds the same error in the same place; it is reported once.
      module.values.delete(name);
      throw error;
    }
  }

  #declared(module: Module, name: string, at: ts.Node): StaticValue {
    const declaration = module.declarations.get(name);
    if (declaration?.kind === "function") {
      return { kind: "function", node: declaration.node, scope: new Scope(module, {}) };
    }
    if (declaration?.kind === "import") {
      const target = this.#modules.follow(module, declaration);
      if ("builtin" in target) return { kind: "builtin", name: target.builtin };
      const value = this.lookup(target.module, target.name, at);
      if (value !== undefined) return value;
      throw problem("U007", at, `${name} is not defined in ${target.module.path}`);
    }
    if (declaration?.kind === "variable") {
      if (!declaration.constant) {
        throw problem("U009", at, `${name} is declared with let or var at the top of a file`, {
          help: "Declare it with const: a layer may not depend on what changes.",
        });
      }
      if (module.layers.some((l) => l.name === name)) return { kind: "layer", name };
      const { initializer, name: pattern } = declaration.node;
      if (initializer !== undefined) {
        const scope = new Scope(module, {});
        this.bind(pattern, this.evaluate(initializer, scope), scope, false);
        const value = scope.find(name);
        return value === undefined || value === "later" ? undefinedValue : value;
      }
    }
    if (declaration?.kind === "module") {
      throw problem("U073", declaration.node, `${name} is a whole module`, {
        help: `Import the names that the layer uses: import { name } from "${declaration.from}".`,
      });
    }
    const what = declaration?.kind === "other" ? declaration.what : "a declaration without a value";
    throw problem("U009", at, `${name} is ${what}, which is outside the language`, {
      help: "Write functions and constants.",
    });
  }

  add(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    at: ts.Node,
    options: AddOptions = {},
  ): readonly Value[] {
    const called = calledName(at);
    if (this.#inExpert && !isBodyOp(op)) {
      throw problem("U075", at, `${called ?? "this"} cannot be called in an expert's body`);
    }
    if (++this.#operations > longest) {
      throw problem("U071", at, `the layer has more than ${longest} operations`);
    }
    try {
      return this.#builder.add(op, operands, attributes, {
        span: spanOf(at),
        names: (options.names ?? []).map((name) => this.fresh(name)),
        regions: options.regions ?? [],
      });
    } catch (error) {
      if (error instanceof IrError) throw refusal(error, op, operands, at);
      throw error;
    }
  }

  one(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    at: ts.Node,
    options?: AddOptions,
  ): StaticValue {
    const [value] = this.add(op, operands, attributes, at, options) as [Value];
    return { kind: "tensor", value };
  }

  region(args: readonly Value[], build: () => Value): Region {
    const outer = this.#builder;
    const inner = new Builder();
    const around = this.#inExpert;
    this.#builder = inner;
    this.#inExpert = true;
    try {
      const result = build();
      return { args, body: inner.body, results: [result] };
    } finally {
      this.#builder = outer;
      this.#inExpert = around;
    }
  }

  fresh(wanted: string): string {
    const base = wanted.replace(/\W/g, "_").replace(/^(?=\d)/, "_");
    let name = base;
    for (let i = 2; this.#names.has(name); i++) name = `${base}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** Keeps names from values: those of sizes, which kernels know as well. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.#names.add(name);
  }

  report(thrown: unknown): void {
    if (thrown instanceof DiagnosticError) this.diagnostics.push(...thrown.diagnostics);
    else if (!(thrown instanceof Problem)) throw thrown;
    else if (thrown.diagnostic !== undefined) this.diagnostics.push(thrown.diagnostic);
  }
}

/** What an op's verifier refused, in the words of the source: where the fault is, and by the names that stand there. */
function refusal(error: IrError, op: string, operands: readonly Value[], at: ts.Node): Problem {
  const called = calledName(at) ?? "indexing by an expert";
  const own = (text: string): string =>
    text
      .replace(new RegExp(`(?<![\\w.])${op}(?!\\w)`, "g"), called)
      .replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) =>
        operands.some((v) => v.name === name) ? name : name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()),
      );
  const code = operands.every((v) => isFloat(v.type.dtype)) || !/float|whole|i32/.test(error.message) ? "U020" : "U069";
  const found = diagnostic(code, at, own(error.message), {
    found: operands.map((v) => formatType(v.type)).join(" and "),
    help: own(error.help),
  });
  return new Problem(error.span === undefined || error.span.file === "" ? found : { ...found, span: error.span });
}

const wrongPattern = (node: ts.Node, value: StaticValue, expected: string): Problem =>
  problem("U025", node, `${describe(value)} cannot be taken apart like this`, { expected });
