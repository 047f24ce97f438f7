import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Layer } from "../core/layer.ts";
import { formatScalar, type ScalarFunction } from "../core/scalar.ts";
import * as dsl from "../dsl/index.ts";
import { printLayer } from "../text/index.ts";
import { compileSource, memoryHost } from "./index.ts";
import { builtinNames, typeNames } from "./names.ts";

const example = "examples/longcat-moe.ts";

const compile = (file: string, more: Readonly<Record<string, string>> = {}, params = {}): Promise<Layer> =>
  compileSource({ host: memoryHost({ "src/moe.ts": file, ...more }), entry: "src/moe.ts", params });

/** A layer over x [T, H] and weights up, down, whose body is these statements. */
const withBody = (body: string, before = ""): string => `
import { add, cast, exp, layer, linear, map, max, mul, range, route, sigmoid, silu, type Tensor } from "unmoor";
${before}
export const moe = layer({ H: 8, I: 4, N: 3, scale: 6 },
  (p, x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]>; down: Tensor<["H", "I"], "bf16"> }) => {
    if (p.H < 0) return linear(linear(x, w.up), w.down);
    ${body}
  });`;

const ops = (layer: Layer): string[] => layer.body.map((o) => o.op);

/** The expression of the layer's last map. */
const fn = (layer: Layer): string => {
  const found = layer.body.findLast((o) => o.op === "map")?.attributes.fn as ScalarFunction;
  return `(${found.params.join(", ")}) => ${formatScalar(found.body)}`;
};

test("the example compiles to its printed form", async () => {
  const golden = new URL("fixtures/longcat-moe.moe", import.meta.url);
  const layer = await compileSource({
    host: memoryHost({ [example]: readFileSync(example, "utf8") }),
    entry: example,
  });
  const printed = printLayer(layer);
  if (process.env.UPDATE_FIXTURES === "1") writeFileSync(golden, printed);
  expect(printed).toBe(readFileSync(golden, "utf8"));
  expect(layer.body.map((o) => `${o.op} ${o.span.file}:${o.span.line}:${o.span.column}`)).toEqual([
    "linear examples/longcat-moe.ts:43:27",
    "route examples/longcat-moe.ts:43:21",
    "mix examples/longcat-moe.ts:50:12",
  ]);
});

test("given parameters replace defaults; dimensions stay symbolic", async () => {
  const layer = await compile(withBody("return linear(linear(x, w.up), w.down);"), {}, { H: 16, scale: 2.5 });
  expect(layer.params).toEqual({ H: 16, I: 4, N: 3, scale: 2.5 });
  expect(layer.results.map((r) => `${r.name} ${r.value.type.dims.join()}`)).toEqual(["y T,H"]);
  expect(layer.args.map((a) => `${a.role} ${a.storage} ${a.value.type.dtype} ${a.value.name}`)).toEqual([
    "input auto f32 x",
    "weight auto f32 up",
    "weight fixed bf16 down",
  ]);
});

test("compiling executes nothing of the file", async () => {
  const marker = new URL("fixtures/written-by-a-compiled-file", import.meta.url).pathname;
  const layer = await compile(
    withBody(
      "return quiet(helper(x, w));",
      `
import { writeFileSync } from "node:fs";
import { quiet } from "./danger.ts";
writeFileSync(${JSON.stringify(marker)}, "executed");
globalThis.unmoorWasExecuted = true;
throw new Error("executed");
const unused = writeFileSync(${JSON.stringify(marker)}, "executed");
function danger() { writeFileSync(${JSON.stringify(marker)}, "executed"); throw new Error("executed"); }
const helper = (x, w) => (false ? danger() : linear(x, w.up));
class Executed { static { throw new Error("executed"); } }`,
    ),
    {
      "src/danger.ts": `
import { silu } from "unmoor";
import { writeFileSync } from "node:fs";
writeFileSync(${JSON.stringify(marker)}, "executed");
export const alarm = (() => { throw new Error("executed"); })();
export const quiet = (y, loud = false) => (loud ? alarm : silu(y));`,
    },
  );
  expect(ops(layer)).toEqual(["linear", "map"]);
  expect(() => readFileSync(marker)).toThrow("ENOENT");
  expect(globalThis).not.toHaveProperty("unmoorWasExecuted");
});

test("helpers, constants and types come from other files", async () => {
  const files = {
    "src/experts/index.ts": `export * from "./swiglu.ts"; export { depth as layers } from "../constants.js";`,
    "src/experts/swiglu.ts": `
import { linear, mul as times, silu } from "unmoor";
import type { Weights } from "../types.ts";
export function swiglu(x, { up, down }: Weights) { const h = linear(x, up); return linear(times(silu(h), h), down); }`,
    "src/constants.ts": "export const depth = 2;",
    "src/types.ts": `
import { type Tensor } from "unmoor";
type Hidden = "H";
interface Up { up: Tensor<readonly ["I", Hidden]> }
export interface Weights extends Up { down: Tensor<[out: Hidden, inner: "I"]> }`,
  };
  const layer = await compile(
    `import { layer, range, type Tensor } from "unmoor";
import { layers, swiglu as expert } from "./experts";
import type { Weights } from "./types.ts";
export const moe = layer({ H: 8, I: 4 }, (p, x: Tensor<["T", "H"]>, w: Weights) => {
  let y = x;
  for (const _ of range(layers)) y = expert(y, w);
  return y;
});`,
    files,
  );
  const expert = ["linear", "map", "map", "linear"];
  expect(ops(layer)).toEqual([...expert, ...expert]);
  expect(layer.args.map((a) => a.value.name)).toEqual(["x", "up", "down"]);
  expect(layer.body[0]?.span).toEqual({ file: "src/experts/swiglu.ts", line: 4, column: 62, length: 13 });
});

test.each([
  [
    "map(x, (v) => (v + 1) * v * sigmoid(1.702 * v))",
    "(v) => (((v + 1.0) * v) * (1.0 / (1.0 + exp(neg((1.702 * v))))))",
  ],
  ["map(x, x, (a, b) => a > 0 && b !== 0 ? a : -b)", "(a, b) => select(((0.0 < a) && not((b == 0.0))), a, neg(b))"],
  ["map(x, (v) => Math.max(v, 0) ** 2 / p.scale)", "(v) => ((max(v, 0.0) * max(v, 0.0)) / 6.0)"],
  ["map(x, (v) => { const s = exp(v); let t = s; t *= 2; return t + half; })", "(v) => ((exp(v) * 2.0) + 0.5)"],
  ["map(x, (v) => twice(v))", "(v) => (2.0 * v)"],
  ["map(x, sigmoid)", "(x) => (1.0 / (1.0 + exp(neg(x))))"],
  ["mul(x, p.H / 2)", "(a) => (a * 4.0)"],
  ["max(0, x)", "(b) => max(0.0, b)"],
  ["map(x, (v) => Math.floor(v) + Math.sin(v) * Math.cos(v))", "(v) => (floor(v) + (sin(v) * cos(v)))"],
  ["map(x, () => 1)".replace("()", "(_)"), "(_) => 1.0"],
])("%s becomes an expression", async (expression, expected) => {
  const before = "const half = 1 / 2;\nfunction twice(v: number): number { return 2 * v; }";
  expect(fn(await compile(withBody(`return ${expression};`, before)))).toBe(expected);
});

test.each([
  [
    "if and else",
    "if (p.N > 4) { return linear(x, w.up); } else if (p.N === 3) return cast(x, 'bf16'); return silu(x);",
    ["cast"],
  ],
  ["ternary", "return p.N < 3 || !p.scale ? linear(x, w.up) : silu(x);", ["map"]],
  [
    "for … of with break and continue",
    "let y = x; for (const i of range(1, 9)) { if (i === 2) continue; if (i > 4) break; y = silu(y); } return y;",
    ["map", "map", "map"],
  ],
  [
    "arrays",
    "const [first, ...rest] = [1, 2, 3].map((n) => n * 2); return rest.reduce((y, n) => mul(y, n + first), x);",
    ["map", "map"],
  ],
  [
    "objects",
    "const { a: { b = 2 }, ...c } = { a: {}, d: 1, ...{ e: 3 } }; return c.d + c['e'] + b === 6 ? silu(x) : x;",
    ["map"],
  ],
  ["template strings", "const name = `n$" + "{p.N}`; return { n3: silu(x) }[name];", ["map"]],
  ["functions of unmoor as arguments", "return [x, x, x].map(silu).reduce(add);", ["map", "map", "map", "map", "map"]],
  [
    "functions in functions",
    "return twice(twice(x)); function twice(y) { const add1 = (z, n = 1) => add(z, n); return add1(add1(y)); }",
    ["map", "map", "map", "map"],
  ],
  [
    "defaults and rest",
    "const f = (a, ...others) => others.length; return f(...[1, 2, 3]) === 2 ? silu(x) : x;",
    ["map"],
  ],
  [
    "recursion that ends",
    "const f = (n, y) => (n === 0 ? y : f(n - 1, silu(y))); return f(p.N, x);",
    ["map", "map", "map"],
  ],
  [
    "operators on numbers",
    "let n = 7 % 4 + 2 ** 3 - Math.floor(9 / 2); n++; n -= 1; return n === 7 ? silu(x) : x;",
    ["map"],
  ],
])("%s is evaluated at compile time", async (_, body, expected) => {
  expect(ops(await compile(withBody(body)))).toEqual(expected);
});

test("constants, patterns, functions that make functions, and loops go together across files", async () => {
  const layer = await compile(
    `import { add, layer, map, range, silu, type Tensor } from "unmoor";
import { makeExpert, type Weights } from "./experts.ts";
const depth = 2 as const;
const table = { a: [1, 2], b: { c: 3 } } as const satisfies object;
const { a: [first, second = 9], b: { c, d = 4 } } = table;
function pick<T>(n: number, yes: T, no: T): T { if (n > 1) { return yes; } else { return no; } }
export const moe = layer({ H: 4, I: 3 }, function ({ H }, x: Tensor<["T", "H"]>, { up, down }: Weights) {
  const expert = makeExpert({ up, down, act: pick(depth, silu, (v) => v) });
  let y = x;
  for (const i of [...range(depth), 7]) {
    if (i === 7 && first + second + c + d === 10) { y = expert(y); continue; }
    y = add(y, expert(y));
  }
  const scaled = map(y, (v) => { let t = v; for (const k of [1, 2, H]) t += k * v; return c > 2 && t > 0 ? t : -t; });
  return { scaled, y };
});`,
    {
      "src/experts.ts": `import { linear, type Tensor } from "unmoor";
export interface Weights { up: Tensor<["I", "H"]>; down: Tensor<["H", "I"]> }
export const makeExpert = ({ up, down, act = (v) => v }) => (x) => linear(act(linear(x, up)), down);`,
    },
  );
  const expert = ["linear", "map", "linear"];
  expect(ops(layer)).toEqual([...expert, "map", ...expert, "map", ...expert, "map"]);
  expect(layer.results.map((r) => r.name)).toEqual(["scaled", "y"]);
  expect(fn(layer)).toBe(
    "(v) => select((0.0 < (((v + (1.0 * v)) + (2.0 * v)) + (4.0 * v))), (((v + (1.0 * v)) + (2.0 * v)) + (4.0 * v)), neg((((v + (1.0 * v)) + (2.0 * v)) + (4.0 * v))))",
  );
});

test("an object of tensors gives several named results, and the routing is at hand", async () => {
  const layer = await compile(`
import { layer, linear, route, type Tensor } from "unmoor";
export const moe = layer({ H: 8, E: 3, K: 2 }, { weights: { gate: "experts.{e}.weight" } },
  ({ K, E }, x: Tensor<["T", "H"]>, { router, gate }: { router: Tensor<["E", "H"]>; gate: Tensor<["E", "H", "H"]> }) => {
    const choice = route(linear(x, router), { score: "sigmoid", topK: K * 1, renormalise: "sum", experts: { ffn: E } });
    return { ids: choice.ids, weights: choice.weights, out: choice.mix(x, (token, expert) => linear(token, gate[expert])) };
  });`);
  expect(layer.results.map((r) => `${r.name} = ${r.value.name}: ${r.value.type.dtype}[${r.value.type.dims}]`)).toEqual([
    "ids = choice_ids: i32[T,K]",
    "weights = choice_weights: f32[T,K]",
    "out = out: f32[T,H]",
  ]);
  expect(layer.bindings).toEqual({ gate: "experts.{e}.weight" });
  const [, routed, mixed] = layer.body;
  expect(routed?.attributes).toMatchObject({ score: "sigmoid", renormalise: "sum", scale: 1 });
  expect(mixed?.regions[0]?.body.map((o) => o.op)).toEqual(["index", "linear"]);
});

test("one of several layers is chosen by name", async () => {
  const file = `import { layer, silu, type Tensor } from "unmoor";
const one = layer({}, (p, x: Tensor<["T"]>) => silu(silu(x)));
export const two = layer({}, (p, x: Tensor<["T"]>) => silu(x));`;
  const layer = await compileSource({ host: memoryHost({ "a.ts": file }), entry: "a.ts", layer: "two" });
  expect([layer.name, ...ops(layer)]).toEqual(["two", "map"]);
});

test("the frontend knows the same names as the module that authors import", () => {
  expect([...builtinNames].sort()).toEqual(Object.keys(dsl).sort());
  const source = readFileSync(new URL("../dsl/index.ts", import.meta.url), "utf8");
  for (const name of typeNames) expect(source).toMatch(new RegExp(`\\b${name}\\b`));
});
