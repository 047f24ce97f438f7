import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DiagnosticError, formatDiagnostic } from "../core/diagnostic.ts";
import { type CompileOptions, codes, compileSource, memoryHost } from "./index.ts";

/**
 * Every diagnostic with its full text. The texts are in fixtures/diagnostics.txt; UPDATE_FIXTURES=1 rewrites them as they are
 * now: read the difference as a user would before committing it.
 */
const golden = new URL("fixtures/diagnostics.txt", import.meta.url);

interface Case {
  /** What the file imports from "unmoor". */
  readonly uses?: string;
  /** Lines before the layer. */
  readonly before?: string;
  readonly params?: string;
  readonly options?: string;
  /** Parameters of the body after p. */
  readonly args?: string;
  /** Statements of the body. */
  readonly body?: string;
  /** The whole file, instead of the members above. */
  readonly file?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly compile?: Partial<CompileOptions>;
}

const source = (c: Case): string =>
  c.file ??
  [
    `import { layer, ${c.uses ?? "linear"}, type Tensor } from "unmoor";`,
    ...(c.before === undefined ? [] : [c.before]),
    `export const moe = layer(${c.params ?? "{ H: 8, I: 4, E: 3, K: 2 }"}, ${c.options === undefined ? "" : `${c.options}, `}`,
    `  (p, ${c.args ?? 'x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]>; down: Tensor<["H", "I"]>; router: Tensor<["E", "H"]>; gate: Tensor<["E", "H", "H"]> }'}) => {`,
    c.body ?? "return linear(x, w.up);",
    "});",
    "",
  ].join("\n");

const empty = { score: '"softmax"', topK: "p.K", experts: "{ ffn: p.E }" };
const route = (options: Readonly<Record<string, string>>): string =>
  `return route(linear(x, w.router), { ${Object.entries({ ...empty, ...options })
    .map(([k, v]) => `${k}: ${v}`)
    .join(", ")} }).mix(x, (token, e) => linear(token, w.gate[e]));`;
const routing = { uses: "linear, route" };

/** An attention of one layer, with these options. */
const attending = (options: string, keys = '["S", 2, "D"]'): Case => ({
  uses: "attention",
  params: "{ D: 8 }",
  args: `q: Tensor<["T", 4, "D"]>, k: Tensor<${keys}>, v: Tensor<["S", 2, "D"]>`,
  body: `return attention(q, k, v, ${options});`,
});

/** A rotary embedding of one layer, with these options. */
const rotating = (options: string): Case => ({
  uses: "rope",
  params: "{ D: 8 }",
  args: 'x: Tensor<["T", 4, "D"]>, positions: Tensor<["T"], "i32">',
  body: `return rope(x, positions, ${options});`,
});

/** A product per head with a weight of these dimensions. */
const perHead = (dims: string): Case => ({
  uses: "headLinear",
  params: "{ A: 4, D: 8 }",
  args: `x: Tensor<["T", "A", "D"]>, w: { up: Tensor<${dims}> }`,
  body: "return headLinear(x, w.up);",
});

const cases: Readonly<Record<string, Case>> = {
  "U019 of heads": perHead('["A", "D", 6]'),
  "U020 a dimension to repeat": {
    uses: "expand",
    args: 'x: Tensor<["T", 2, "H"]>',
    body: "return expand(x, 1, p.K);",
  },
  "U017 a size to repeat to": {
    uses: "expand",
    args: 'x: Tensor<["T", 1, "H"]>',
    body: 'return expand(x, 1, "S");',
  },
  "U020 other heads": perHead('[3, 6, "D"]'),
  "U013 a start": rotating("{ theta: 10000, start: -1 }"),
  "U020 too many to rotate": rotating("{ theta: 10000, rotary: 16 }"),
  "U022 of a scaling": rotating('{ theta: 10000, scaling: { kind: "linear", factor: 2, low: 1 } }'),
  "U023 no theta": rotating("{}"),
  "U023 an odd number of dimensions": rotating("{ theta: 10000, rotary: 5 }"),
  "U023 a kind of scaling": rotating('{ theta: 10000, scaling: { kind: "ntk", factor: 2 } }'),
  "U013 a window": attending("{ window: 2.5 }"),
  "U020 keys of another width": attending("{}", '["S", 2, 9]'),
  "U020 heads": attending("{}", '["S", 3, "D"]'),
  "U022 of attention": attending("{ softcap: 2 }"),
  "U023 neither true nor false": attending("{ causal: 1 }"),
  "U023 a window that looks ahead": attending("{ causal: false, window: 4 }"),
  "U023 a cap below 0": attending("{ softCap: -2 }"),
  "U025 sinks": attending("{ sinks: 3 }"),
  "U001 the file": { compile: { entry: "missing.ts" } },
  "U001 an imported file": { before: 'import { f } from "./missing.ts";', body: "return f(x, w);" },
  "U002 two errors": { file: "const a = (1;\nexport const = 2;\n" },
  "U003 no layer": { file: 'import { linear } from "unmoor";\nexport const a = 1;\n' },
  "U003 a layer of somewhere else": { file: 'import { layer } from "other";\nexport const a = layer({}, (p) => p);\n' },
  "U004 two layers": {
    file: 'import { layer } from "unmoor";\nexport const a = layer({}, (p) => p);\nexport const b = layer({}, (p) => p);\n',
  },
  "U005 near": { compile: { layer: "moo" } },
  "U005 far": { compile: { layer: "attention" } },
  "U006 near": { uses: "linear, sigmiod", body: "return sigmiod(linear(x, w.up));" },
  "U006 far": { uses: "linear, convolution" },
  "U006 not exported": {
    before: 'import { scale } from "./other.ts";',
    files: { "other.ts": "const scale = 2;\n" },
    body: "return linear(x, w.up[scale]);",
  },
  "U006 wrong name": {
    before: 'import { scala } from "./other.ts";',
    files: { "other.ts": "export const scale = 2;\n" },
    body: "return linear(x, w.up[scala]);",
  },
  "U007 near": { body: "const hidden = linear(x, w.up);\nreturn linear(hiden, w.down);" },
  "U007 not imported": { body: "return silu(linear(x, w.up));" },
  "U007 far": { body: "return flash(x);" },
  "U007 a type": { args: 'x: Tensro<["T"]>' },
  "U007 Tensor not imported": {
    file: 'import { layer } from "unmoor";\nexport const a = layer({}, (p, x: Tensor<["T"]>) => x);\n',
  },
  "U008 another package": {
    before: 'import { writeFileSync } from "node:fs";',
    body: "writeFileSync('a', 'b');\nreturn x;",
  },
  "U008 not a function": { body: "return p.H(x);" },
  "U008 a type": { body: "return Tensor(x);" },
  "U008 a layer": {
    before: 'export const inner = layer({}, (p, x: Tensor<["T"]>) => x);',
    body: "return inner(x);",
    compile: { layer: "moe" },
  },
  "U008 layer in a layer": { body: "return layer({}, () => x);" },
  "U008 tensor": { uses: "tensor", body: "return tensor([1], [1]);" },
  "U009 while": { body: "let y = x;\nwhile (true) { y = linear(y, w.gate); }\nreturn y;" },
  "U009 for": { body: "for (let i = 0; i < 3; i++) {}\nreturn x;" },
  "U009 class": { body: "class A {}\nreturn x;" },
  "U009 class at the top": { before: "class A {}", body: "return A(x);" },
  "U009 await": { before: "async function f(x) { return await x; }", body: "return f(x);" },
  "U009 new": { body: "const a = new Map();\nreturn x;" },
  "U009 try": { body: "try { return x; } catch { return x; }" },
  "U009 var": { body: "var a = 1;\nreturn x;" },
  "U009 let at the top": { before: "let count = 0;", body: "return count === 0 ? x : linear(x, w.up);" },
  "U009 optional weight": { args: 'w: { up?: Tensor<["I", "H"]> }', body: "return w.up;" },
  "U009 optional input": { args: 'x?: Tensor<["T", "H"]>', body: "return x;" },
  "U009 name of a weight": { args: 'w: { "up-proj": Tensor<["I", "H"]> }', body: "return w;" },
  "U009 operators": { body: "const a = 3 & 1;\nconst b = (1, 2);\nconst c = 'H' in p;\nreturn linear(x, w.up);" },
  "U010 a constant": { body: "const y = x;\ny = linear(x, w.up);\nreturn y;" },
  "U010 a member": { body: "w.up = w.down;\nreturn x;" },
  "U010 of the function around": {
    ...routing,
    body: `let n = 0;\n${route({}).replace("linear(token, w.gate[e])", "{ n += 1; return token; }")}`,
  },
  "U010 in an expression": { body: "let n = 0;\nconst m = (n = 1);\nreturn x;" },
  "U011 near": { compile: { params: { k: 3 } } },
  "U011 far": { compile: { params: { heads: 3 } } },
  "U012 a text": { params: '{ H: "8", I: 4, E: 3, K: 2 }' },
  "U012 given": { compile: { params: { H: Number.NaN } } },
  "U013 a size of a tensor": { compile: { params: { H: 2.5 } } },
  "U013 no size": { compile: { params: { E: 0 } } },
  "U013 below zero": { compile: { params: { H: -8 } } },
  "U013 topK": { ...routing, body: route({ topK: "p.K / 4" }) },
  "U013 range": { uses: "range", body: "for (const i of range(0.5)) {}\nreturn x;" },
  "U014 a parameter": { ...routing, body: route({ topK: "p.Kk" }) },
  "U014 a weight": { body: "return linear(x, w.gat);" },
  "U014 of a tensor": { body: "return linear(x, w.up.dims);" },
  "U014 an element": { body: "const ws = [w.up];\nreturn linear(x, ws[1]);" },
  "U015 nothing written": { args: "x", body: "return x;" },
  "U015 no tensor": { args: "x: number", body: "return x;" },
  "U015 weights in weights": { args: 'w: { shared: { up: Tensor<["I", "H"]> } }', body: "return w;" },
  "U016 near": { args: 'x: Tensor<["T", "H"], "fp32">', body: "return x;" },
  "U016 bytes": { args: 'x: Tensor<["T", "H"], "u8">', body: "return x;" },
  "U016 cast": { uses: "cast", body: 'return cast(x, "i8");' },
  "U017 syntax": { args: 'x: Tensor<["T", "E-Z"]>', body: "return x;" },
  "U017 no tuple": { args: "x: Tensor<string>", body: "return x;" },
  "U017 nothing": { args: "x: Tensor", body: "return x;" },
  "U018 near": { args: 'x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "h"]> }', body: "return linear(x, w.up);" },
  "U019 linear": { body: "return linear(linear(x, w.up), w.up);" },
  "U013 axis": { uses: "concat", body: "return concat([x, x], 2);" },
  "U013 no axis": { uses: "concat", body: "return concat([x, x], p.half);", params: "{ H: 8, I: 4, E: 3, half: 0.5 }" },
  "U017 reshape": { uses: "reshape", body: 'return reshape(x, ["TT", "H"]);' },
  "U017 reshape far": { uses: "reshape", body: 'return reshape(x, ["tokens", p.H]);' },
  "U017 reshape syntax": { uses: "reshape", body: 'return reshape(x, ["T", "H/2", 2]);' },
  "U013 transpose": { uses: "transpose", body: 'return transpose(x, [1, "T"]);' },
  "U013 slice": { uses: "slice", body: "return slice(x, p.I / 3, 1);" },
  "U013 step": { uses: "slice", body: "return slice(x, 0, 1, { step: 0 });" },
  "U017 slice": { uses: "slice", body: 'return slice(x, 0, "t", { axis: 0 });' },
  "U020 slice": { uses: "slice", body: "return slice(x, 1, p.H);" },
  "U020 transpose": { uses: "transpose", body: "return transpose(x, [1, 1]);" },
  "U022 slice": { uses: "slice", body: "return slice(x, 0, 1, { axes: 0 });" },
  "U025 slice": { uses: "slice", body: "return slice(x, 0, 1, 2);" },
  "U201 a run-time size": {
    uses: "slice",
    args: 'x: Tensor<["T", "H"]>, y: Tensor<["P", "H"]>',
    body: 'return slice(x, 0, "T+T", { axis: 0 });',
  },
  "U069 ngramIds": {
    uses: "ngramIds",
    args: 'tokens: Tensor<["T"], "i32">, x: Tensor<["H"]>',
    body: "return ngramIds(tokens, x, { heads: 2, rows: 9, vocab: 10 });",
  },
  "U013 ngramIds": {
    uses: "ngramIds",
    args: 'tokens: Tensor<["T"], "i32">, before: Tensor<[2], "i32">',
    body: "return ngramIds(tokens, before, { heads: 2, vocab: 10 });",
  },
  "U022 ngramIds": {
    uses: "ngramIds",
    args: 'tokens: Tensor<["T"], "i32">, before: Tensor<[2], "i32">',
    body: "return ngramIds(tokens, before, { heads: 2, rows: 9, vocab: 10, end: 2 });",
  },
  "U201 n-grams of a run-time length": {
    uses: "ngramIds",
    args: 'tokens: Tensor<["T"], "i32">, before: Tensor<["P"], "i32">',
    body: "return ngramIds(tokens, before, { heads: 2, rows: 9, vocab: 10 });",
  },
  "U069 a quotient of i32": {
    uses: "map",
    args: 'ids: Tensor<["T", "K"], "i32">',
    body: "return map(ids, (i) => i / 2);",
  },
  "U069 i32 with floats": {
    uses: "add",
    args: 'x: Tensor<["T", "K"]>, ids: Tensor<["T", "K"], "i32">',
    body: "return add(x, ids);",
  },
  "U020 gather": { uses: "gather", body: "return gather(w.up, x);" },
  "U020 scatter": {
    uses: "scatter",
    args: 'x: Tensor<["T", "H"]>, ids: Tensor<["P"], "i32">',
    body: "return scatter(x, ids, x);",
  },
  "U025 gather": { uses: "gather", body: "return gather(w.up, [0, 1]);" },
  "U020 reshape": { uses: "reshape", body: 'return reshape(x, ["T", p.I, 2]);' },
  "U020 concat": { uses: "concat, linear", body: "return concat([x, linear(x, w.up)], 0);" },
  "U025 concat": { uses: "concat", body: "return concat(x, 0);" },
  "U025 concat of nothing": { uses: "concat", body: "return concat([], 0);" },
  "U025 concat of a number": { uses: "concat", body: "return concat([x, p.H], 0);" },
  "U020 map": { uses: "add, linear", body: "return add(x, linear(x, w.up));" },
  "U020 stacked weight": { body: "return linear(x, w.gate);" },
  "U020 experts": { ...routing, body: route({ experts: "{ ffn: p.E, identity: 1 }" }) },
  "U020 mix": { ...routing, body: route({}).replace("mix(x", "mix(w.gate") },
  "U021 parameters": { ...routing, body: route({}), compile: { params: { K: 4 } } },
  "U021 numbers": { ...routing, body: route({ topK: "5" }) },
  "U020 rows of whole numbers": {
    uses: "softmax",
    args: 'ids: Tensor<["T"], "i32">',
    body: "return softmax(ids);",
  },
  "U020 one row": {
    uses: "argMax",
    args: 'x: Tensor<["H"]>',
    body: "return argMax(x);",
  },
  "U020 a vector of a norm": {
    uses: "rmsNorm",
    args: 'x: Tensor<["T", "H"]>, w: { norm: Tensor<["I"]> }',
    body: "return rmsNorm(x, { weight: w.norm, epsilon: 1e-6 });",
  },
  "U023 epsilon": { uses: "layerNorm", body: "return layerNorm(x, { epsilon: -1e-6 });" },
  "U023 unitOffset without a weight": {
    uses: "rmsNorm",
    body: "return rmsNorm(x, { epsilon: 1e-6, unitOffset: true });",
  },
  "U023 unitOffset": { uses: "rmsNorm", body: "return rmsNorm(x, { epsilon: 1e-6, unitOffset: 1 });" },
  "U022 route": { ...routing, body: route({ renormalize: '"sum"' }) },
  "U022 layer": { options: "{ names: {} }" },
  "U023 score": { ...routing, body: route({ score: '"soft"' }) },
  "U023 missing": { ...routing, body: route({ topK: "undefined" }) },
  "U024 linear": { body: "return linear(x);" },
  "U024 own function": { before: "const f = (a, b = 1) => a;", body: "return f(x, 1, 2);" },
  "U024 map": { uses: "map", body: "return map(x, (a, b) => a);" },
  "U025 operator on tensors": { body: "return x + x;" },
  "U025 a number for a tensor": { body: "return linear(p.H, w.up);" },
  "U025 a tensor inside map": { uses: "map, mul", body: "return map(x, (v) => mul(v, x));" },
  "U025 a condition from map": { uses: "map", body: "return map(x, (v) => v > 0);" },
  "U025 index": { body: 'return linear(x, w.gate["0"]);' },
  "U014 a part": { body: "return linear(x, w.gate[3]);" },
  "U014 a part of a vector": {
    args: 'x: Tensor<["T", "H"]>, w: { bias: Tensor<["H"]> }',
    body: "return linear(x, w.bias[0]);",
  },
  "U025 pattern": { body: "const [a] = p;\nreturn x;" },
  "U026 a number": { body: "return p.H;" },
  "U026 nothing": { body: "return undefined;" },
  "U026 a member": { body: "return { y: x, n: p.H };" },
  "U026 expert": { ...routing, body: route({}).replace("linear(token, w.gate[e])", "e") },
  "U027 if in map": { uses: "map", body: "return map(x, (v) => { if (v > 0) return v; return 0; });" },
  "U027 a tensor": { body: "return w.up ? x : x;" },
  "U028 recursion": { before: "const f = (n) => f(n + 1);", body: "return f(0);" },
  "U028 circle": { before: "const a = b + 1;\nconst b = a + 1;", body: "return a > 0 ? x : x;" },
  "U028 range": { uses: "range", body: "for (const i of range(1e9)) {}\nreturn x;" },
  "U029 twice": { args: 'x: Tensor<["T", "H"]>, w: { x: Tensor<["H"]> }', body: "return x;" },
  "U029 a size": { args: 'T: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]> }', body: "return linear(T, w.up);" },
  "U030 parameters": { params: "8" },
  "U030 arguments": { file: 'import { layer } from "unmoor";\nexport const a = layer({ H: 1 });\n' },
  "U030 body": { file: 'import { layer } from "unmoor";\nexport const a = layer({ H: 1 }, 3);\n' },
  "U031 no such weight": { options: '{ weights: { Up: "a" } }' },
  "U031 placeholder": { options: '{ weights: { up: "experts.{expert}.up" } }' },
  "U031 empty": { options: "{ weights: { up: [] } }" },
  "U031 no member": { options: '{ weights: { up: { name: "up" } } }' },
  "U031 a dimension that is not the weight's": {
    options: '{ weights: { up: { tensor: "up", dims: ["2*K", "H"], part: 0 } } }',
  },
  "U031 a dimension left out": { options: '{ weights: { up: { tensor: "up", dims: ["H"] } } }' },
  "U031 part left out": { options: '{ weights: { up: { tensor: "up", dims: ["2*I", "H"] } } }' },
  "U031 part of nothing": { options: '{ weights: { up: { tensor: "up", part: 1 } } }' },
  "U031 part beyond": { options: '{ weights: { up: { tensor: "up", dims: ["H", "I*2"], part: 2 } } }' },
  "U031 parts in two dimensions": {
    options: '{ weights: { up: { tensor: "up", dims: ["2*H", "2*I"], part: 1 } } }',
  },
  "U031 format": { options: '{ weights: { up: { tensor: "up", format: "q4", scales: "s" } } }' },
  "U031 scales": { options: '{ weights: { up: { tensor: "up", scales: "s" } } }' },
  "U031 the second name": { options: '{ weights: { up: ["up", "{up}"] } }' },
  "U031 a part read twice": {
    options:
      '{ weights: { up: { tensor: "up_down", dims: ["2*I", "H"], part: 0 }, down: { tensor: "up_down", dims: ["2*I", "H"], part: 0 } } }',
  },
  "U031 a part left out": { options: '{ weights: { up: { tensor: "gate_up", dims: ["2*I", "H"], part: 1 } } }' },
  "U040 a number": { options: "{ config: { H: 8 } }" },
  "U040 syntax": { options: '{ config: { H: "hidden_size *", I: "a b", E: "num experts?" } }' },
  "U040 requirement": { options: '{ requires: { "a ??": true } }' },
  "U040 value": { options: "{ requires: { hidden_act: [] } }" },
  "U011 config": { options: '{ config: { h: "hidden_size" } }' },
  "U041 near": {
    options: '{ config: { H: "hidden_size", I: "moe_size" }, requires: { norm_topk_prob: true } }',
    compile: { config: { path: "config.json", values: { hidden_sizes: 8, moe_size: null } } },
  },
  "U042 a text": {
    options: '{ config: { H: "2 * hidden_size", I: "rope", E: "name", K: "1 / zero" } }',
    compile: {
      config: { path: "config.json", values: { hidden_size: "8", rope: { factor: 2 }, name: "big", zero: 0 } },
    },
  },
  "U043 another model": {
    options: `{ requires: { hidden_act: "silu", "scoring_func ?? 'softmax'": ["softmax", "none"], n_group: 1 } }`,
    compile: { config: { path: "config.json", values: { hidden_act: "gelu", scoring_func: "sigmoid", n_group: 1 } } },
  },
  "U044 no config": { compile: { config: { path: "config.json", values: {} } } },
  "U044 weights alone": {
    options: '{ weights: { up: "up" } }',
    compile: { config: { path: "config.json", values: {} } },
  },
  "U032 own score": { ...routing, body: route({ score: "(z) => z * z", weight: '"softmax"' }) },
  "U032 score not used": { ...routing, body: route({ selectBy: '"logits"', weight: '"sigmoid"' }) },
  "U032 table and bias": {
    ...routing,
    args: 'x: Tensor<["T", "H"]>, ids: Tensor<["T"], "i32">, w: { router: Tensor<["E", "H"]>; gate: Tensor<["E", "H", "H"]>; b: Tensor<["E"]>; table: Tensor<[9, "K"], "i32"> }',
    body: route({ selectBias: "w.b", table: "{ experts: w.table, tokenIds: ids }" }),
  },
  "U032 sequential by score": { ...routing, body: route({ weight: "{ sequential: 0.02 }" }) },
  "U032 norm": { ...routing, body: route({ renormalise: "{ norm: 0.5 }" }) },
  "U033 count": { ...routing, body: route({ groups: '{ count: 2, keep: 1, by: "max" }' }) },
  "U033 keep": { ...routing, body: route({ groups: '{ count: 3, keep: 4, by: "max" }' }) },
  "U033 by": { ...routing, body: route({ groups: '{ count: 3, keep: 2, by: "top2" }' }) },
  "U033 too few experts": { ...routing, body: route({ groups: '{ count: 3, keep: 1, by: "max" }' }) },
  "U022 groups": { ...routing, body: route({ groups: "{ number: 2 }" }) },
  "U023 weight": { ...routing, body: route({ weight: '"softmin"' }) },
  "U023 renormalise": { ...routing, body: route({ renormalise: "{ epsilon: 1, norm: 2 }" }) },
  "U023 below zero": { ...routing, body: route({ renormalise: "{ atLeast: -1 }" }) },
  "U024 own score": { ...routing, body: route({ score: "(a, b) => a" }) },
  "U025 expertScale": { ...routing, body: route({ expertScale: "3" }) },
  "U060 an input": { body: "return x;" },
  "U060 a member": { body: "return { y: linear(x, w.up), up: w.up };" },
  "U061 twice": { body: "const y = linear(x, w.up);\nreturn { y, again: y };" },
  "U062 in a block": { body: "const y = linear(x, w.up);\nconst y = linear(x, w.router);\nreturn y;" },
  "U062 a parameter": { before: "const f = (a) => { const a = 1; return a; };", body: "return linear(x, w.up, f(1));" },
  "U062 two layers": {
    file: 'import { layer, silu, type Tensor } from "unmoor";\nexport const a = layer({}, (p, x: Tensor<["T"]>) => silu(x));\nexport const a = layer({}, (p, x: Tensor<["T"]>) => silu(silu(x)));\n',
  },
  "U062 an import": { before: "const linear = (a) => a;" },
  "U063 in a block": { body: "const y = linear(hidden, w.down);\nconst hidden = linear(x, w.up);\nreturn y;" },
  "U063 hides another": {
    body: "const z = () => { const y = x; const x = w.up; return y; };\nreturn linear(z(), w.up);",
  },
  "U064 a parameter": { params: "{ H: 8, I: 4, E: 3, K: 2, H: 16 }" },
  "U064 an option": { ...routing, body: route({}).replace("topK: p.K", "topK: p.K, topK: 1") },
  "U064 a weight": { args: 'x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]>; up: Tensor<["H", "I"]> }' },
  "U065 a weight": { body: "return linear(linear(x, w.up), w.down);" },
  "U065 an input": {
    args: 'x: Tensor<["T", "H"]>, mask: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]> }',
    options: '{ weights: { up: "up_proj.weight" } }',
  },
  "U066 console": { body: "console.log(x);\nreturn linear(x, w.up);" },
  "U066 random": { uses: "mul", body: "return mul(x, Math.random());" },
  "U066 several": {
    body: "const config = JSON.parse('{}');\nconst n = Number('3');\nconst fs = require('fs');\nreturn fs;",
  },
  "U067 a condition": { ...routing, body: route({}).replace("linear(token", "e === 0 ? token : linear(token") },
  "U067 arithmetic": { ...routing, body: route({}).replace("w.gate[e]", "w.gate[e + 1]") },
  "U067 a tensor": { uses: "linear, mul, route", body: route({}).replace("linear(token, w.gate[e])", "mul(token, e)") },
  "U067 an array": { ...routing, body: route({}).replace("w.gate[e]", "[w.gate, w.router][e]") },
  "U068 stacked": {
    ...routing,
    args: 'x: Tensor<["T", "H"]>, w: { router: Tensor<["E", "H"]>; gate: Tensor<["I", "H", "H"]> }',
    body: route({}),
  },
  "U069 ids": {
    uses: "exp, linear, route",
    args: 'x: Tensor<["T", "H"]>, w: { router: Tensor<["E", "H"]> }',
    body: route({})
      .replace("return ", "return exp(")
      .replace(/\.mix.*/, ".ids);"),
  },
  "U069 an input": { args: 'x: Tensor<["T", "H"], "i32">, w: { up: Tensor<["I", "H"]> }' },
  "U069 a weight": { args: 'x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"], "i32"> }' },
  "U070 a constant": { uses: "mul", body: "return mul(x, (p.H - p.H) / 0);" },
  "U070 a parameter": { params: "{ H: 8, I: 4, E: 3, K: NaN }" },
  "U070 inside map": { uses: "map", body: "return map(x, (v) => v * Math.log2(-1));" },
  "U071 an array": {
    uses: "linear, range",
    body: "let all = [x];\nfor (const _ of range(40)) all = [...all, ...all];\nreturn linear(all[0], w.up);",
  },
  "U071 a text": { uses: "range", body: 'let text = "ab";\nfor (const _ of range(40)) text += text;\nreturn x;' },
  "U071 an expression": {
    uses: "map, range",
    body: "return map(x, (v) => { let y = v; for (const _ of range(40)) y = y * y + 1; return y; });",
  },
  "U071 a dimension": {
    uses: "range, slice",
    params: "{ H: 1, I: 1, E: 1, K: 1 }",
    body: "let n = p.H * p.I + p.E * p.K - p.H;\nfor (const _ of range(9)) n = n * n;\nreturn slice(x, 0, n);",
  },
  "U071 operations": {
    uses: "range, silu",
    body: "let y = x;\nfor (const _ of range(20000)) y = silu(y);\nreturn y;",
  },
  "U071 nesting": { body: `return linear(x, ${"(".repeat(700)}w.up${")".repeat(700)});` },
  "U072 the layer": { body: "if (p.H > 100) return linear(x, w.up);" },
  "U072 an expert": {
    ...routing,
    body: route({}).replace("linear(token, w.gate[e])", "{ linear(token, w.gate[e]); }"),
  },
  "U072 a number": { uses: "map", body: "return map(x, (v) => { v * 2; });" },
  "U073 unmoor": {
    file: 'import unmoor from "unmoor";\nexport const a = unmoor.layer({}, (p, x) => unmoor.silu(x));\n',
  },
  "U073 all of unmoor": {
    file: 'import * as u from "unmoor";\nexport const a = u.layer({}, (p, x: u.Tensor<["T"]>) => u.silu(x));\n',
  },
  "U073 another file": {
    before: 'import * as other from "./other.ts";',
    files: { "other.ts": "export const scale = 2;\n" },
    body: "return linear(x, other.scale);",
  },
  "U073 a default": {
    before: 'import other from "./other.ts";',
    files: { "other.ts": "export default 2;\n" },
    body: "return linear(x, other);",
  },
  "U074 default": {
    file: 'import { layer, silu, type Tensor } from "unmoor";\nexport default layer({}, (p, x: Tensor<["T"]>) => silu(x));\n',
  },
  "U074 let": {
    file: 'import { layer, silu, type Tensor } from "unmoor";\nexport let a = layer({}, (p, x: Tensor<["T"]>) => silu(x));\n',
  },
  "U074 in an object": {
    file: 'import { layer, silu, type Tensor } from "unmoor";\nexport const all = { a: layer({}, (p, x: Tensor<["T"]>) => silu(x)) };\n',
  },
  "U003 passed on": {
    file: 'export { a } from "./other.ts";\n',
    files: {
      "other.ts":
        'import { layer, silu, type Tensor } from "unmoor";\nexport const a = layer({}, (p, x: Tensor<["T"]>) => silu(x));\n',
    },
  },
  "U075 a sum": { uses: "linear, route, sum", body: route({}).replace("linear(token, w.gate[e])", "sum(token)") },
  "U075 mix": {
    ...routing,
    body: `const inner = ${route({})
      .replace("return ", "")
      .replace(/\.mix.*/, ";")}\n${route({}).replace("linear(token, w.gate[e])", "inner.mix(x, (t, e) => t)")}`,
  },
  "U076 a weight": {
    ...routing,
    args: 'x: Tensor<["T", "H"]>, w: { router: Tensor<["E", "H"]>; gate: Tensor<["E", "H"]> }',
    body: route({}).replace("linear(token, w.gate[e])", "w.gate[e]"),
  },
  "U020 no vector in an expert": {
    uses: "add, linear, route",
    body: route({}).replace("linear(token, w.gate[e])", "add(token, x)"),
  },
  "U010 push": { body: "const all = [x];\nall.push(x);\nreturn linear(x, w.up);" },
  "U077 many": {
    body: `${Array.from({ length: 32 }, (_, i) => `const a${i} = linear(x, w.missing${i});`).join("\n")}\nreturn linear(x, w.up);`,
  },
  "several statements": {
    uses: "linear, route",
    body: "fetch('http://localhost');\nlet y = linear(x, w.down);\ny = linear(x, w.dwn);\nif (p.Q > 1) y = x;\nfor (const i of 3) y = linear(y, w.up);\nconst z = linear(y, w.up);\nwhile (true) {}\nreturn linear(z, w.upp);",
  },
  "several arguments": { uses: "linear, add", body: "return add(linear(x, w.upp), linear(x, w.downn));" },
  "several files": {
    before: 'import { f } from "./f.ts";\nimport { g } from "./g.ts";',
    files: {
      "f.ts": 'import { linear } from "unmoor";\nexport const f = (x, w) => linear(x, w.gat);\n',
      "g.ts": 'import { linear, sillu } from "unmoor";\nexport const g = (x, w) => linear(x, p);\n',
    },
    body: "const a = f(x, w);\nconst b = g(x, w);\nreturn linear(a, b);",
  },
  "several errors": {
    args: 'x: Tensor<["T", "H"]>, w: { up: Tensor<["I", "H"]>; down: Tensor<["H", "I"]> }',
    body: "const a = linear(x, w.down);\nconst b = linear(a, w.up);\nconst c = silu(x);\nreturn linear(x, w.upp);",
  },
  "several wrong types": {
    args: 'x: Tensor<["T-1"]>, w: { a: Tensor<["H"], "f31">; b: Tensor<["Q"]> }',
    body: "return x;",
  },
};

async function text(name: string): Promise<string> {
  const found = cases[name] as Case;
  const files = { "moe.ts": source(found), ...found.files };
  try {
    await compileSource({ host: memoryHost(files), entry: "moe.ts", ...found.compile });
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return error.diagnostics
      .map((d) => formatDiagnostic(d, (file) => (files as Readonly<Record<string, string>>)[file]))
      .join("\n\n");
  }
  throw new Error(`${name} compiles`);
}

const separator = (name: string): string => `\n======== ${name}\n`;

describe("diagnostics", async () => {
  if (process.env.UPDATE_FIXTURES === "1") {
    const texts = await Promise.all(Object.keys(cases).map(async (name) => `${separator(name)}${await text(name)}\n`));
    writeFileSync(golden, texts.join(""));
  }
  const expected = existsSync(golden) ? readFileSync(golden, "utf8") : "";
  const expectedOf = (name: string): string | undefined =>
    expected.split(separator(name))[1]?.split("\n======== ")[0]?.trimEnd();

  test.each(Object.keys(cases))("%s", async (name) => {
    expect(await text(name)).toBe(expectedOf(name));
  });

  test.each(Object.keys(codes))("%s has a case, and its case gives it", async (code) => {
    const names = Object.keys(cases).filter((name) => name.startsWith(code));
    expect(names).not.toEqual([]);
    for (const name of names) expect(await text(name)).toContain(`error[${code}]`);
  });
});

/** Pieces of source that stand in for others. */
const pieces = [
  "x",
  "p",
  "p.K",
  "w",
  "w.gate",
  "e",
  "0",
  '"a"',
  "[]",
  "{}",
  "()",
  "=> 1",
  "(a) => a",
  "...",
  "?.",
  "undefined",
];

describe("whatever a file says, only diagnostics come of it", () => {
  const example = readFileSync(new URL("../../examples/longcat-moe.ts", import.meta.url), "utf8");
  const tokens = example.match(/\w+|"[^"]*"|\s+|[^\w\s"]/g) ?? [];

  test.each([1, 2, 3, 4, 5])("seed %i", async (seed) => {
    let state = seed;
    // Numerical Recipes' linear congruential generator.
    const below = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    for (let round = 0; round < 60; round++) {
      const changed = [...tokens];
      const at = below(changed.length);
      if (round % 3 === 0) changed.splice(at, 1 + below(6));
      else if (round % 3 === 1) changed[at] = pieces[below(pieces.length)] ?? "";
      else changed[at] = changed[below(changed.length)] ?? "";
      const text = changed.join("");
      try {
        await compileSource({ host: memoryHost({ "a.ts": text }), entry: "a.ts" });
      } catch (error) {
        const wrong = `seed ${seed}, round ${round}: ${error instanceof Error ? error.stack : error}\n${text}`;
        expect(error instanceof DiagnosticError && error.diagnostics.length > 0, wrong).toBe(true);
      }
    }
  });
});
