import { ts } from "ts-morph";
import { argument, checkLayer } from "../core/builder.ts";
import type { ConfigBinding } from "../core/config.ts";
import { type Diagnostic, DiagnosticError, IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Argument, Layer } from "../core/layer.ts";
import { formatSpan } from "../core/span.ts";
import { Annotations, type TensorSpec } from "./annotations.ts";
import { type Attempt, configBinding, configParams, layerOptions, weightBindings } from "./bindings.ts";
import type { CompileOptions } from "./index.ts";
import { Interpreter } from "./interpreter.ts";
import { type Module, Modules } from "./module.ts";
import { type Options, options } from "./options.ts";
import { checkWhole, defaultsOf, parameterValues } from "./parameters.ts";
import { checkResults, checkUsed, resultsOf } from "./results.ts";
import { Scope } from "./scope.ts";
import { diagnostic, Problem, problem, Sources, spanOf, withinStack } from "./source.ts";
import { list, nearest } from "./suggest.ts";
import { describe, type FunctionNode, numberValue, type StaticValue } from "./values.ts";

/** See compileSource. */
export function compile(given: CompileOptions): Layer {
  const modules = new Modules(new Sources(given.host));
  const interpreter = new Interpreter(modules);
  const attempt = <T>(run: () => T): T | undefined => {
    try {
      return run();
    } catch (error) {
      interpreter.report(error);
      return undefined;
    }
  };
  const layer = attempt(() =>
    withinStack(given.entry, () => new LayerCompiler(given, modules, interpreter, attempt).compile()),
  );
  interpreter.diagnostics.push(...modules.wrong);
  if (layer !== undefined && interpreter.diagnostics.length === 0) return layer;
  throw new DiagnosticError(inOrder(interpreter.diagnostics));
}

/** Most errors that one run reports. */
const most = 30;

/** Each error once, file by file in the order of the text, and not more than a person reads. */
function inOrder(found: readonly Diagnostic[]): Diagnostic[] {
  const once = new Map(found.map((d) => [`${d.code} ${formatSpan(d.span)} ${d.message}`, d]));
  const files = [...new Set([...once.values()].map((d) => d.span.file))];
  const sorted = [...once.values()].sort(
    ({ span: a }, { span: b }) =>
      files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
  const shown = sorted.slice(0, most);
  if (sorted.length > most) shown.push(diagnostic("U077", undefined, `and ${sorted.length - most} errors more`));
  return shown;
}

/** Reads one `layer(params, options?, body)` and builds its IR. */
class LayerCompiler {
  readonly #given: CompileOptions;
  readonly #modules: Modules;
  readonly #interpreter: Interpreter;
  readonly #attempt: Attempt;
  readonly #args = new Map<string, Argument>();
  /** Where inputs and weights are declared. */
  readonly #places = new Map<string, ts.Node>();
  /** Parameters that are sizes, with the first input or weight that has them. */
  readonly #sizes = new Map<string, string>();
  /** Dimensions already reported as below 1. */
  readonly #tooSmall = new Set<string>();
  #options: Options | undefined;
  #config: ConfigBinding | undefined;

  constructor(given: CompileOptions, modules: Modules, interpreter: Interpreter, attempt: Attempt) {
    this.#given = given;
    this.#modules = modules;
    this.#interpreter = interpreter;
    this.#attempt = attempt;
  }

  /** @throws Problem, or undefined where errors were reported */
  compile(): Layer | undefined {
    const module = this.#modules.load(this.#given.entry);
    const { name, call } = this.#choose(module);
    const [paramsNode, second, third] = call.arguments;
    const bodyNode = third ?? second;
    const optionsNode = third === undefined ? undefined : second;
    if (paramsNode === undefined || bodyNode === undefined || call.arguments.length > 3) {
      throw problem("U030", call, "layer takes parameters, maybe options, and a body", {
        found: `${call.arguments.length} argument${call.arguments.length === 1 ? "" : "s"}`,
      });
    }
    const scope = new Scope(module, {});
    const params = this.#params(paramsNode, optionsNode, scope);
    const body = this.#attempt(() => this.#body(bodyNode, scope));
    const values = body && params && this.#arguments(module, body.node, params);
    if (params !== undefined) checkWhole(this.#sizes, params, paramsNode, this.#attempt);
    if (params === undefined || body === undefined || values === undefined) return undefined;
    const options = this.#options;
    const bindings =
      options === undefined ? {} : this.#attempt(() => weightBindings(options, this.#args, this.#attempt));
    this.#interpreter.params = Object.fromEntries(params);
    const result = this.#interpreter.invoke(body, values, bodyNode, "y");
    const results = resultsOf(result, body.node);
    if (results === undefined || bindings === undefined || this.#interpreter.diagnostics.length > 0) return undefined;
    if (this.#modules.wrong.length > 0) return undefined;
    checkResults(results, this.#args, body.node);
    const layer = checked(call, {
      name,
      params: Object.fromEntries(params),
      args: [...this.#args.values()],
      body: this.#interpreter.body,
      results,
      ...(this.#config === undefined ? {} : { config: this.#config }),
      bindings,
      span: spanOf(call),
    });
    checkUsed(this.#args, this.#interpreter.body, body.node, this.#modules, this.#places);
    return layer;
  }

  #choose(module: Module): Module["layers"][number] {
    const { layers } = module;
    const names = layers.map((l) => l.name);
    const wanted = this.#given.layer;
    const [first] = layers;
    if (first === undefined) throw module.notALayer() ?? problem("U003", undefined, `${module.path} declares no layer`);
    if (wanted === undefined) {
      if (layers.length === 1) return first;
      const second = layers[1]?.call.parent ?? first.call;
      throw problem("U004", second, `${module.path} declares ${layers.length} layers, and none is named`, {
        expected: `one of ${list(names)}`,
        help: `Name one: --layer ${names[0]}.`,
      });
    }
    const found = layers.find((l) => l.name === wanted);
    if (found !== undefined) return found;
    const near = nearest(wanted, names);
    throw problem("U005", undefined, `${module.path} has no layer ${wanted}`, {
      help: near === undefined ? `It has ${list(names)}.` : `Did you mean ${near}?`,
    });
  }

  /** Parameters with their final values; reads the layer's options on the way, of which a config is one. */
  #params(node: ts.Expression, optionsNode: ts.Expression | undefined, scope: Scope) {
    const evaluate = (at: ts.Expression): StaticValue => this.#interpreter.evaluate(at, scope);
    const defaults = this.#attempt(() => defaultsOf(evaluate(node), node));
    if (optionsNode !== undefined) {
      this.#options = this.#attempt(() => options(evaluate(optionsNode), optionsNode, "layer", layerOptions));
    }
    if (defaults === undefined) return undefined;
    const { params = {}, config } = this.#given;
    const given = this.#options;
    if (given !== undefined) {
      this.#config = this.#attempt(() => configBinding(given, [...defaults.members.keys()], this.#attempt));
    }
    const layer = { binding: this.#config, given, node };
    const read =
      config === undefined ? new Map() : this.#attempt(() => configParams(config, layer, params, this.#attempt));
    return parameterValues(defaults, read ?? new Map(), params, this.#attempt);
  }

  #body(node: ts.Expression, scope: Scope): StaticValue & { kind: "function" } {
    const value = this.#interpreter.evaluate(node, scope);
    if (value.kind === "function") return value;
    throw problem("U030", node, `the body of a layer is a function, found ${describe(value)}`);
  }

  /** Makes inputs and weights of the body's parameters. Undefined where one is wrong. */
  #arguments(module: Module, body: FunctionNode, params: ReadonlyMap<string, number>): StaticValue[] | undefined {
    const annotations = new Annotations(this.#modules);
    const members = new Map([...params].map(([name, value]) => [name, numberValue(value, Dim.symbol(name))]));
    const p = body.parameters[0]?.name;
    const what = p !== undefined && ts.isIdentifier(p) ? p.text : "the object of parameters";
    const values: (StaticValue | undefined)[] = [{ kind: "object", members, what }];
    for (const p of body.parameters.slice(1)) {
      values.push(
        this.#attempt((): StaticValue => {
          if (p.initializer !== undefined || p.dotDotDotToken !== undefined || p.questionToken !== undefined) {
            throw problem("U009", p, "an input cannot be optional", { help: "Write name: Tensor<…>." });
          }
          const spec = annotations.read(module, p.type, p.name);
          if (spec.kind === "tensor") {
            if (ts.isIdentifier(p.name)) return this.#declare(p.name.text, spec, "input", p.name, params);
            throw problem("U025", p.name, "a tensor cannot be taken apart", { expected: "a name" });
          }
          const weights = [...spec.members].map(
            ([name, s]) => [name, this.#attempt(() => this.#declare(name, s, "weight", s.name, params))] as const,
          );
          const known = weights.flatMap(([name, v]) => (v === undefined ? [] : [[name, v] as const]));
          if (known.length < weights.length) throw new Problem(undefined);
          return {
            kind: "object",
            members: new Map(known),
            what: ts.isIdentifier(p.name) ? p.name.text : "the weights",
          };
        }),
      );
    }
    const known = values.flatMap((v) => (v === undefined ? [] : [v]));
    return known.length === values.length && this.#reserveSizes(params) ? known : undefined;
  }

  /** Sizes known at run time have names in kernels, as tensors have. False where one name is both. */
  #reserveSizes(params: ReadonlyMap<string, number>): boolean {
    const symbols = new Set([...this.#args.values()].flatMap((a) => a.value.type.dims.flatMap((d) => d.symbols)));
    const sizes = [...symbols].filter((s) => !params.has(s));
    this.#interpreter.reserve(sizes);
    const both = sizes.filter((s) => this.#args.has(s));
    for (const name of both) {
      this.#attempt(() => {
        throw problem("U029", this.#places.get(name), `${name} is the name of a tensor and of a size`);
      });
    }
    return both.length === 0;
  }

  #declare(
    name: string,
    spec: TensorSpec,
    role: Argument["role"],
    at: ts.Node,
    params: ReadonlyMap<string, number>,
  ): StaticValue {
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw problem("U009", at, `${name} is no name of an input or weight`, { help: "Use letters, digits and _." });
    }
    if (this.#args.has(name)) throw problem("U029", at, `${name} is the name of two inputs or weights`);
    for (const symbol of spec.dims.flatMap((d) => d.symbols)) {
      const value = params.get(symbol);
      if (value === undefined && role === "weight") {
        const near = nearest(symbol, params.keys());
        throw problem("U018", spec.node, `weight ${name} has dimension ${symbol}, which is no parameter`, {
          expected: `parameters: ${list([...params.keys()])}`,
          ...(near === undefined
            ? {}
            : { help: `Did you mean ${near}? Sizes of weights must be parameters of the layer.` }),
        });
      }
      if (value !== undefined && !this.#sizes.has(symbol)) this.#sizes.set(symbol, name);
    }
    const whole = Object.fromEntries([...params].filter(([, value]) => Number.isSafeInteger(value)));
    for (const dim of spec.dims) {
      const size = dim.substitute(whole).constant;
      if (size !== undefined && size < 1) {
        if (this.#tooSmall.has(String(dim))) throw new Problem(undefined);
        this.#tooSmall.add(String(dim));
        throw problem("U013", spec.node, `dimension ${dim} of ${name} is ${size}`, {
          expected: "at least 1",
          help: "Give parameters that make it at least 1.",
        });
      }
    }
    const made = argument(this.#interpreter.fresh(name), { dtype: spec.dtype, dims: spec.dims }, role, spec.storage);
    this.#args.set(name, made);
    this.#places.set(name, at);
    return { kind: "tensor", value: made.value };
  }
}

/** A layer whose operations do not fit together is reported at its declaration. */
function checked(call: ts.CallExpression, layer: Layer): Layer {
  try {
    return checkLayer(layer);
  } catch (error) {
    if (error instanceof IrError) throw problem("U020", call, error.message, { help: error.help });
    throw error;
  }
}
