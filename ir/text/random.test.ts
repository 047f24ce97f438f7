/** Random well-typed layers: print → parse → print is the identity, spans included. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { argument, Builder, checkLayer } from "../core/builder.ts";
import { Dim } from "../core/dim.ts";
import { layerHash } from "../core/hash.ts";
import type { AttributeMap, Layer, Region, Value } from "../core/layer.ts";
import { apply, bool, f32, i32, type ScalarExpr, type ScalarType, variable } from "../core/scalar.ts";
import type { Span } from "../core/span.ts";
import { noSpan } from "../core/span.ts";
import { dtypes, isFloat, tensorType } from "../core/types.ts";
import { uniform } from "../ops/testing.ts";
import { parseLayer, printLayer } from "./index.ts";

const seed = 20260714;

class Generator {
  readonly random: () => number;
  #next = 0;

  constructor(data: number) {
    this.random = uniform(data);
  }

  below = (n: number): number => Math.floor(this.random() * n);
  pick = <T>(list: readonly T[]): T => list[this.below(list.length)];

  name(): string {
    const stem = this.pick(["x", "gate.up", "a b", "true", 'quo"te', "ü", "_1", "layer"]);
    // Every second name is taken again, so that the printer has to make it unique.
    return this.random() < 0.5 ? stem : `${stem}_${this.#next++}`;
  }

  dim(): Dim {
    const symbol = () => Dim.symbol(this.pick(["H", "I", "E", "T"]));
    return this.pick([
      () => symbol(),
      () => symbol().plus(symbol()),
      () => symbol().times(symbol()).times(3).plus(this.below(5)),
      () => Dim.of(1 + this.below(9)),
    ])();
  }

  span(): Span {
    if (this.random() < 0.5) return noSpan;
    return {
      file: this.pick(["a.ts", 'dir/"b" c.ts']),
      line: 1 + this.below(99),
      column: 1 + this.below(99),
      length: 1 + this.below(9),
    };
  }

  scalar(type: ScalarType, params: readonly string[], depth: number): ScalarExpr {
    const sub = (t: ScalarType) => this.scalar(t, params, depth - 1);
    const leaf = depth <= 0 || this.random() < 0.2;
    if (type === "f32") {
      if (leaf)
        return this.random() < 0.5 && params.length > 0
          ? variable(this.pick(params), "f32")
          : f32(
              this.pick([
                0,
                -0,
                1,
                -1.5,
                1e-7,
                1e300,
                123456789,
                2 ** 70,
                Number.POSITIVE_INFINITY,
                Number.NEGATIVE_INFINITY,
                Number.NaN,
              ]),
            );
      return this.pick([
        () => apply(this.pick(["add", "sub", "mul", "div", "min", "max"] as const), sub("f32"), sub("f32")),
        () => apply(this.pick(["neg", "abs", "exp", "log", "sqrt"] as const), sub("f32")),
        () => apply("select", sub("bool"), sub("f32"), sub("f32")),
        () => apply("toFloat", sub("i32")),
      ])();
    }
    if (type === "i32") {
      if (leaf) return i32(this.pick([0, 1, -7, 1000]));
      return this.pick([
        () => apply(this.pick(["add", "sub", "mul", "floorDiv", "mod"] as const), sub("i32"), sub("i32")),
        () => apply("toInt", sub("f32")),
      ])();
    }
    if (leaf) return bool(this.random() < 0.5);
    return this.pick([
      () => apply(this.pick(["lt", "le", "eq"] as const), sub("f32"), sub("f32")),
      () => apply(this.pick(["and", "or"] as const), sub("bool"), sub("bool")),
      () => apply("not", sub("bool")),
    ])();
  }

  fn(arity: number) {
    const params = ["g", "exp", "inf", "$odd"].slice(0, arity);
    return { params, body: this.scalar("f32", params, 4) };
  }
}

function randomLayer(data: number): Layer {
  const g = new Generator(data);
  const args = Array.from({ length: 1 + g.below(4) }, () => {
    const type = tensorType(
      g.pick(dtypes),
      Array.from({ length: g.below(4) }, () => g.dim()),
    );
    return argument(g.name(), type, g.pick(["input", "weight"] as const), g.pick(["auto", "fixed"] as const));
  });
  const [T, H, I, E, K] = ["T", "H", "I", "E", "K"].map(Dim.symbol);
  const x: Value = argument(g.name(), tensorType("f32", [T, H]), "input").value;
  const router: Value = argument(g.name(), tensorType("f32", [E, H]), "weight").value;
  const up: Value = argument(g.name(), tensorType("bf16", [E, I, H]), "weight").value;
  const down: Value = argument(g.name(), tensorType("f16", [E, H, I]), "weight").value;
  const builder = new Builder();
  const add = (to: Builder, op: string, operands: Value[], attributes: AttributeMap, regions: Region[] = []) =>
    to.add(op, operands, attributes, { span: g.span(), names: [g.name(), g.name(), g.name()], regions });
  const pool: Value[] = [x];
  for (const { value } of args) if (isFloat(value.type.dtype)) pool.push(value);
  const steps = [
    () => {
      const [logits] = add(builder, "linear", [x, router], {});
      const score = g.pick(["softmax", "sigmoid", "none"]);
      const attributes = {
        score,
        top_k: K,
        scale: g.pick([1, -2.5, 1e-9, 1e21]),
        renormalise: g.pick(["none", "sum"]),
      };
      const [ids, weights] = add(builder, "route", [logits], attributes);
      const body = new Builder();
      const token: Value = { name: g.name(), type: tensorType("f32", [H]) };
      const expert: Value = { name: g.name(), type: tensorType("i32", []) };
      const [u] = add(body, "index", [up, expert], {});
      const [d] = add(body, "index", [down, expert], {});
      const [h] = add(body, "linear", [token, u, u], { epilogue: g.fn(2), result: g.pick(["f32", "bf16"]) });
      const [o] = add(body, "linear", [h, d], {});
      const region = { args: [token, expert], body: body.body, results: [o] };
      return add(builder, "mix", [x, ids, weights], { ffn: E, identity: g.below(2) === 0 ? 0 : Dim.symbol("Z") }, [
        region,
      ]);
    },
    () => add(builder, "cast", [g.pick(pool)], { to: g.pick(["f32", "f16", "bf16"]) }),
    () => {
      const a = g.pick(pool);
      const arity = 1 + g.below(4);
      return add(builder, "map", new Array<Value>(arity).fill(a), { fn: g.fn(arity) });
    },
  ];
  for (let i = g.below(6); i >= 0; i--) {
    const made = g.pick(steps)();
    pool.push(...made.filter((v) => isFloat(v.type.dtype)));
  }
  const fixed = [x, router, up, down].map((value) => ({ value, role: "weight", storage: "auto" }) as const);
  return {
    name: g.name(),
    params: { H: 4, I: 3, E: 5, Z: 1, K: 2, scale: g.pick([6, -0.5, 1e-12]) },
    args: [...args, ...fixed],
    body: builder.body,
    results: Array.from({ length: g.below(3) }, () => ({ name: g.name(), value: g.pick(pool) })),
    ...(g.below(2) === 0
      ? {}
      : {
          config: { params: { H: "a.b ?? 'c'" }, requires: g.below(2) === 0 ? {} : { [g.name()]: [true, -1.5, "\n"] } },
        }),
    bindings: g.pick<Layer["bindings"]>([
      {},
      { [g.name()]: 'a.{e}."b"\\\n' },
      { [g.name()]: ["a", { tensor: "b", dims: ["2*I", 1, "H"], part: 1, format: "mxfp4", scales: "c" }] },
    ]),
    span: g.span(),
  };
}

test(`random layers survive printing and parsing (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.integer(), (data) => {
      const layer = randomLayer(data);
      for (const spans of [false, true]) {
        const printed = printLayer(layer, { spans });
        const parsed = parseLayer(printed);
        expect(printLayer(parsed, { spans })).toBe(printed);
        expect(checkLayer(parsed)).toBe(parsed);
        expect(layerHash(parsed)).toBe(layerHash(layer));
      }
    }),
    { seed, numRuns: 300 },
  );
});
