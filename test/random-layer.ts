import { argument, Builder, checkLayer } from "../ir/core/builder.ts";
import { Dim } from "../ir/core/dim.ts";
import type { Argument, AttributeMap, Layer, Region, Value } from "../ir/core/layer.ts";
import { apply, f32, type ScalarExpr, type ScalarFunction, sigmoid, silu, variable } from "../ir/core/scalar.ts";
import { noSpan } from "../ir/core/span.ts";
import { type DType, isFloat, tensorType } from "../ir/core/types.ts";
import { uniform } from "../ir/ops/testing.ts";

/**
 * For tests: random well-typed layers over tokens [T, …], of sizes that no tile divides. Numbers stay within some tens, so that bounds
 * stay meaningful. A new op is one more entry of `steps`.
 */
export function randomLayer(seed: number): Layer {
  return new RandomLayer(seed).make();
}

/** The ops that a random layer may have, in its body or in an expert's. */
export const randomOps = (): readonly string[] => [...new Set([...Object.keys(steps), "index", "route", "mix"])].sort();

class RandomLayer {
  readonly #random: () => number;
  readonly #args: Argument[] = [];
  readonly #builder = new Builder();
  /** Float tensors [T, n] made so far. */
  readonly rows: Value[] = [];
  readonly params: Readonly<Record<string, number>>;
  readonly seed: number;
  #names = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.#random = uniform(seed);
    const size = (): number => 1 + this.below(13);
    const E = 2 + this.below(5);
    const Z = this.below(3);
    this.params = { H: size(), I: size(), J: 2 * size(), E, Z, K: 1 + this.below(Math.min(3, E)) };
  }

  below = (n: number): number => Math.floor(this.#random() * n);
  chance = (p: number): boolean => this.#random() < p;
  pick = <T>(list: readonly T[]): T => list[this.below(list.length)] as T;
  width = (): string => this.pick(["H", "I", "J"]);
  name = (): string => `v${this.#names++}`;

  /** A new argument of the layer. */
  argument(role: Argument["role"], dtype: DType, dims: readonly (string | number | Dim)[], fixed = false): Value {
    const made = argument(this.name(), tensorType(dtype, dims), role, fixed ? "fixed" : "auto");
    this.#args.push(made);
    return made.value;
  }

  weight(...dims: readonly (string | number | Dim)[]): Value {
    const pinned = this.chance(0.2);
    return this.argument("weight", pinned && this.chance(0.5) ? "bf16" : "f32", dims, pinned);
  }

  add(op: string, operands: readonly Value[], attributes: AttributeMap, to = this.#builder, regions: Region[] = []) {
    return to.add(op, operands, attributes, { span: noSpan, names: [this.name(), this.name()], regions });
  }

  one(op: string, operands: readonly Value[], attributes: AttributeMap = {}, to = this.#builder): Value {
    return this.add(op, operands, attributes, to)[0] as Value;
  }

  row = (): Value => this.pick(this.rows);
  dim = (value: Value): Dim => value.type.dims.at(-1) ?? Dim.of(1);
  size = (dim: Dim): number => dim.evaluate(this.params);

  /** A product of a row, as heads [T, count, depth]. */
  heads(count: number, depth: string): Value {
    const x = this.row();
    const all = this.one("linear", [x, this.weight(Dim.symbol(depth).times(count), this.dim(x))]);
    return this.one("reshape", [all], { dims: [Dim.symbol("T"), Dim.of(count), Dim.symbol(depth)] });
  }

  /** Heads [T, A, D] as a row [T, A*D]. */
  flat(heads: Value): Value {
    const [tokens, count, depth] = heads.type.dims as [Dim, Dim, Dim];
    return this.one("reshape", [heads], { dims: [tokens, count.times(depth)] });
  }

  /** A smooth, tame function of these variables. */
  expression(variables: readonly ScalarExpr[], depth = 3): ScalarExpr {
    const leaf = (): ScalarExpr => (this.chance(0.8) ? this.pick(variables) : f32(this.pick([0.5, -1, 2, 0.125])));
    if (depth === 0 || this.chance(0.15)) return leaf();
    const inner = (): ScalarExpr => this.expression(variables, depth - 1);
    return this.pick([
      () => apply(this.pick(["add", "sub", "mul", "min", "max"] as const), inner(), inner()),
      () => sigmoid(inner()),
      () => silu(inner()),
      () => apply(this.pick(["neg", "abs"] as const), inner()),
      () => apply("div", inner(), apply("add", f32(1), apply("abs", inner()))),
      () => apply("sqrt", apply("abs", inner())),
      // Continuous where the condition turns, so that its rounding does not matter.
      () =>
        apply("select", apply("lt", this.pick(variables), f32(0)), f32(0), apply("max", this.pick(variables), f32(0))),
    ])();
  }

  fn(arity: number): ScalarFunction {
    const params = ["a", "b", "c"].slice(0, arity);
    return { params, body: this.expression(params.map((p) => variable(p, "f32"))) };
  }

  make(): Layer {
    for (let i = 1 + this.below(2); i > 0; i--) {
      this.rows.push(this.argument("input", this.chance(0.1) ? "bf16" : "f32", ["T", this.width()]));
    }
    const chosen: Value[] = [];
    for (let i = 2 + this.below(6); i > 0; i--) {
      const made = steps[this.pick(Object.keys(steps))]?.(this) ?? [];
      chosen.push(...made);
      this.rows.push(...made.filter((v) => isFloat(v.type.dtype) && v.type.dims.length === 2));
    }
    const results = [...new Set([chosen.at(-1), ...chosen.filter(() => this.chance(0.2))])].slice(0, 3);
    return checkLayer({
      name: `random_${this.seed >>> 0}`,
      params: this.params,
      args: this.#args,
      body: this.#builder.body,
      results: results.flatMap((value, i) => (value === undefined ? [] : [{ name: `r${i}`, value }])),
      bindings: {},
      span: noSpan,
    });
  }
}

type Step = (g: RandomLayer) => readonly Value[];

/** Makes something of what there is, by op. Each gives what it made last. */
const steps: Readonly<Record<string, Step>> = {
  linear: (g) => {
    const x = g.row();
    return [g.one("linear", [x, g.weight(g.width(), g.dim(x))])];
  },
  map: (g) => {
    const x = g.row();
    const same = g.rows.filter((v) => g.dim(v).equals(g.dim(x)));
    const others = Array.from({ length: g.below(3) }, () =>
      g.chance(0.6) ? g.pick(same) : g.argument("weight", "f32", [g.dim(x)]),
    );
    return [g.one("map", [x, ...others], { fn: g.fn(1 + others.length) })];
  },
  cast: (g) => [g.one("cast", [g.row()], { to: g.pick(["f32", "bf16"]) })],
  slice: (g) => {
    // Columns of a product: of them only those that are taken are computed.
    const x = g.row();
    const parts = 2 + g.below(2);
    const count = Dim.symbol(g.width());
    const both = g.one("linear", [x, g.weight(count.times(parts), g.dim(x))]);
    const [start, step] = g.chance(0.5) ? [count.times(g.below(parts)), 1] : [Dim.of(g.below(parts)), parts];
    return [g.one("slice", [both], { axis: -1, start, count, step })];
  },
  concat: (g) => [g.one("concat", [g.row(), g.row()], { axis: -1 })],
  reshape: (g) => {
    // As heads, turned around, and back.
    const turned = g.one("transpose", [g.heads(2, "J")], { order: [0, 2, 1] });
    return [g.flat(turned)];
  },
  reduce: (g) => [g.one("reduce", [g.row()], { kind: g.pick(["sum", "mean", "max", "min"]) })],
  norm: (g) => {
    const x = g.row();
    const weighed = g.chance(0.6);
    const kind = g.pick(["rms", "layer"]);
    const operands = weighed ? [x, g.argument("weight", "f32", [g.dim(x)])] : [x];
    return [g.one("norm", operands, { kind, epsilon: 0.0625, ...(weighed ? { with: ["weight"] } : {}) })];
  },
  softmax: (g) => [g.one("softmax", [g.row()])],
  cumsum: (g) => [g.one("cumsum", [g.row()])],
  arg_max: (g) => [g.one("arg_max", [g.row()])],
  gather: (g) => {
    const ids = g.argument("input", "i32", ["T"]);
    return [g.one("gather", [g.argument("weight", "f32", ["E", g.width()]), ids])];
  },
  scatter: (g) => {
    const x = g.row();
    const table = g.argument("weight", "f32", ["E", g.dim(x)]);
    const replaced = g.one("scatter", [table, g.argument("input", "i32", ["T"]), x]);
    return [g.one("gather", [replaced, g.argument("input", "i32", ["T"])])];
  },
  expand: (g) => [g.flat(g.one("expand", [g.heads(1, "H")], { axis: -2, size: 2 }))],
  head_linear: (g) => [g.flat(g.one("head_linear", [g.heads(2, "J"), g.weight(2, g.width(), "J")]))],
  rope: (g) => {
    const depth = g.size(Dim.symbol("J"));
    const pairs = 1 + g.below(depth / 2);
    const frequencies = g.one("constant", [], { values: Array.from({ length: pairs }, (_, i) => 2 ** -i) });
    const operands = [g.heads(2, "J"), g.argument("input", "i32", ["T"]), frequencies];
    const turned = g.one("rope", operands, {
      style: g.pick(["half", "interleaved"]),
      start: g.below(depth - 2 * pairs + 1),
      factor: g.pick([1, 1.5]),
    });
    return [g.flat(turned)];
  },
  attention: (g) => {
    const columns = g.width();
    const causal = g.chance(0.7);
    const sinks = g.chance(0.3) ? [g.argument("weight", "f32", [2])] : [];
    const operands = [g.heads(2, "J"), g.heads(1, "J"), g.heads(1, columns), ...sinks];
    const mixed = g.one("attention", operands, {
      causal,
      ...(causal && g.chance(0.4) ? { window: 1 + g.below(3) } : {}),
      ...(g.chance(0.3) ? { soft_cap: 2 } : {}),
      ...(g.chance(0.5) ? { scale: 0.25 } : {}),
    });
    return [g.flat(mixed)];
  },
  ngram_ids: (g) => {
    const operands = [g.argument("input", "i32", ["T"]), g.argument("input", "i32", [1 + g.below(3)])];
    const eos = g.chance(0.5) ? { eos: 1 } : {};
    return [g.one("ngram_ids", operands, { heads: 1 + g.below(3), rows: 5 + g.below(1000), vocab: 50000, ...eos })];
  },
  mix: (g) => mixture(g),
};

/** A mixture of experts over a random row: a router, and an expert of a few steps. */
function mixture(g: RandomLayer): readonly Value[] {
  const x = g.row();
  const width = g.dim(x);
  const identity = g.chance(0.6) ? Dim.symbol("Z") : Dim.of(0);
  const experts = Dim.symbol("E").plus(identity);
  const logits = g.one("linear", [x, g.argument("weight", "f32", [experts, width], true)]);
  const biased = g.chance(0.3);
  const score = g.pick(["softmax", "sigmoid", "sqrt_softplus", "none"]);
  const extras = [
    ...(biased ? [["select_bias", g.argument("weight", "f32", [experts], true)] as const] : []),
    ...(g.chance(0.2) ? [["expert_scale", g.argument("weight", "f32", [experts], true)] as const] : []),
  ];
  const [ids, weights] = g.add("route", [logits, ...extras.map(([, v]) => v)], {
    ...(extras.length === 0 ? {} : { with: extras.map(([name]) => name) }),
    score,
    top_k: Dim.symbol("K"),
    ...(g.chance(0.3) && score === "none" ? { weight: g.pick(["softmax", "sigmoid"]) } : {}),
    renormalise: score === "none" ? "none" : g.pick(["none", "sum"]),
    scale: g.pick([1, 2.5]),
  }) as [Value, Value];
  const body = new Builder();
  const token: Value = { name: g.name(), type: { dtype: x.type.dtype, dims: [width] } };
  const expert: Value = { name: g.name(), type: tensorType("i32", []) };
  const own: Value[] = g.chance(0.25) ? [{ name: g.name(), type: tensorType("f32", [1]) }] : [];
  const result = expertBody(g, body, token, expert, own[0], identity.constant === 0 ? undefined : width);
  const region: Region = { args: [token, expert, ...own], body: body.body, results: [result] };
  const mixed = g.add("mix", [x, ids, weights], { ffn: Dim.symbol("E"), identity }, undefined, [region]);
  return [...mixed, ...(g.chance(0.2) ? [ids] : [])].reverse();
}

function expertBody(
  g: RandomLayer,
  body: Builder,
  token: Value,
  expert: Value,
  weight: Value | undefined,
  width: Dim | undefined,
): Value {
  const product = (x: Value, columns: Dim): Value => {
    const stacked = g.chance(0.8);
    const w = stacked ? g.weight("E", columns, g.dim(x)) : g.weight(columns, g.dim(x));
    return g.one("linear", [x, stacked ? g.one("index", [w, expert], {}, body) : w], {}, body);
  };
  const inner = Dim.symbol(g.width());
  let y = product(token, inner);
  if (g.chance(0.5)) y = g.one("map", [y, product(token, inner)], { fn: g.fn(2) }, body);
  if (g.chance(0.3)) {
    const bias = g.one("index", [g.argument("weight", "f32", ["E", inner], true), expert], {}, body);
    y = g.one(
      "map",
      [y, bias],
      { fn: { params: ["a", "b"], body: apply("add", variable("a", "f32"), variable("b", "f32")) } },
      body,
    );
  }
  if (g.chance(0.2)) y = g.one("cast", [y], { to: "bf16" }, body);
  y = product(y, width ?? Dim.symbol(g.width()));
  if (weight !== undefined) {
    y = g.one(
      "map",
      [y, weight],
      { fn: { params: ["a", "b"], body: apply("mul", variable("a", "f32"), variable("b", "f32")) } },
      body,
    );
  }
  return y;
}
