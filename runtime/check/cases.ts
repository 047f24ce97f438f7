import type { Compilation } from "../../codegen/compile.ts";
import { isLaunched } from "../../codegen/tile/launch.ts";
import { isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import { type Argument, type Layer, type Operation, type Value, walk } from "../../ir/core/layer.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { isFloat } from "../../ir/core/types.ts";
import { routerOf } from "../../ir/ops/router.ts";
import { idLimits } from "../ids.ts";
import { fillSeeded } from "../safetensors/seeded.ts";
import { fromFloats, toFloats } from "../tensors.ts";

/** One set of tensors on which a target and the oracle must agree. */
export interface Case {
  readonly name: string;
  readonly dims: Readonly<Record<string, number>>;
  /** Weights and inputs, by argument name, in the layer's dtypes. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /**
   * All experts score alike, and no rounding may tell them apart: every token must get experts 0, 1, … of every router.
   * Without this a tie would pass for a choice within the rounding bound.
   */
  readonly tied?: boolean;
  /** Whether to run it again with one thread, and to hold the results to the same bits. */
  readonly repeated?: boolean;
}

const fileDtypes = { f32: "F32", bf16: "BF16", f16: "F16" } as const;

/**
 * The magnitude of seeded values for an argument, a power of two: matrices keep the variance of what they multiply, a bias on
 * the selection is of the order of the scores, inputs are of order one.
 */
export function seededScale(layer: Layer, argument: Argument): number {
  const { value, role } = argument;
  const size = (i: number): number => value.type.dims.at(i)?.substitute(layer.params).constant ?? 1;
  const power = (x: number): number => 2 ** Math.round(Math.log2(x));
  if (role === "input") return 1;
  if (value.type.dims.length >= 2) return power(Math.sqrt(3 / size(-1)));
  const selects = routes(layer).some((o) => routerOperand(o, "select_bias") === value);
  return selects ? power(1 / size(-1)) : 0.5;
}

const routes = (layer: Layer): Operation[] => [...walk(layer.body)].filter((o) => o.op === "route");

/** What a router is given beside its logits. */
const routerOperand = (route: Operation, name: "select_bias" | "table" | "token_ids"): Value | undefined =>
  route.operands[routerOf(route.attributes).extras.get(name) ?? -1];

/**
 * Ids of tokens and of experts that exist, and the experts of one token differ; whole numbers of both signs where nothing is
 * looked up by them.
 */
function seededIntegers(
  layer: Layer,
  { role, value }: Argument,
  shape: readonly number[],
  dims: Readonly<Record<string, number>>,
): Int32Array {
  if (value.type.dtype !== "i32")
    throw new IrError(
      `${role} ${value.name} is ${value.type.dtype}, and seeded values are floats or i32`,
      "Give tensors with `unmoor exec`.",
    );
  const limits = idLimits(layer).filter((l) => l.name === value.name);
  const limit = Math.min(...limits.map((l) => l.count.evaluate({ ...layer.params, ...dims })));
  const columns = shape.length > 1 ? (shape.at(-1) ?? 1) : 1;
  return Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    !Number.isFinite(limit) || limit === 0
      ? ((i * 7919 + 13) % 1999) - 999
      : (5 * Math.floor(i / columns) + (i % columns)) % limit,
  );
}

/** Seeded values for one argument. The same numbers whatever the dtype: they are exact in bf16 and f16, and rounded by block formats. */
export function seededTensor(
  layer: Layer,
  argument: Argument,
  dims: Readonly<Record<string, number>>,
  seed: number,
): Tensor {
  const { value } = argument;
  const shape = value.type.dims.map((d) => d.evaluate({ ...layer.params, ...dims }));
  const { dtype } = value.type;
  const elements = shape.reduce((a, b) => a * b, 1);
  if (isBlockFormat(dtype)) {
    const values = new Float32Array(elements);
    fillSeeded(values, { seed, name: value.name, dtype: "F32", scale: seededScale(layer, argument) });
    return fromFloats(values, shape, dtype);
  }
  if (!isFloat(dtype)) return { dtype, dims: shape, data: seededIntegers(layer, argument, shape, dims) };
  const data = dtype === "f32" ? new Float32Array(elements) : new Uint16Array(elements);
  fillSeeded(data, { seed, name: value.name, dtype: fileDtypes[dtype], scale: seededScale(layer, argument) });
  return { dtype, dims: shape, data };
}

/** How a case steers the routers: which experts every token must prefer, by a function of the number of experts and of top-k. */
type Preference = (experts: { ffn: number; all: number; topK: number }) => readonly number[];

const steered: readonly { readonly name: string; readonly preferred?: Preference; readonly ties?: boolean }[] = [
  { name: "all tokens on the same experts", preferred: ({ ffn, topK }) => range(0, Math.min(topK, ffn)) },
  { name: "the last experts only", preferred: ({ all, topK }) => range(all - topK, all) },
  { name: "one FFN expert never chosen", preferred: ({ all }) => range(1, all) },
  { name: "equal scores", ties: true },
];

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/**
 * Cases for a compiled layer: zero tokens, one, the tile size and one more or less, as many as launch what these do not, run-time
 * sizes that differ, and, where the layer has a router that
 * can be steered through its weights or its table, all tokens on the same experts, an expert that nobody chooses, and ties.
 */
export function* casesFor(compilation: Compilation, seed: number): Generator<Case> {
  const layer = compilation.stored;
  const tile =
    compilation.target.matmul.kind === "registers"
      ? (compilation.target.matmul.rows[0] ?? 1)
      : compilation.target.matmul.rows;
  const usual = [0, 1, 3, tile - 1, tile, tile + 1];
  const sizes = [...new Set([...usual, ...launching(compilation, usual)])].filter((n) => n >= 0).sort((a, b) => a - b);
  for (const tokens of sizes) {
    const made = makeCase(layer, tokens === 1 ? "1 token" : `${tokens} tokens`, tokens, seed);
    yield tokens === sizes.at(-1) ? { ...made, repeated: true } : made;
  }
  const symbols = symbolsOf(layer);
  if (symbols.length > 1) {
    const different = Object.fromEntries(symbols.map((s, i) => [s, 3 + 2 * i]));
    yield makeCase(layer, symbols.map((s) => `${s} = ${different[s]}`).join(", "), different, seed);
  }
  const routers = steerable(layer);
  if (routers.length === 0) return;
  for (const { name, preferred, ties } of steered) {
    // A table leaves nothing to scores.
    if (ties === true && routers.some((router) => "table" in router)) continue;
    const made = makeCase(layer, name, tile + 1, seed + 1);
    const tensors = new Map(made.tensors);
    for (const router of routers) {
      steer(tensors, router, ties === true ? undefined : preferred?.(router));
    }
    yield { ...made, tensors, ...(ties === true ? { tied: true } : {}) };
  }
}

/** The least numbers of tokens at which kernels are launched that none of the given ones launches. */
function launching({ stored, program }: Compilation, given: readonly number[]): readonly number[] {
  const sizes = (tokens: number): Record<string, number> =>
    Object.fromEntries(symbolsOf(stored).map((s) => [s, tokens]));
  return program.kernels.flatMap((kernel) => {
    if (given.some((tokens) => isLaunched(kernel, sizes(tokens)))) return [];
    for (let tokens = 1; tokens <= mostTokens; tokens++) if (isLaunched(kernel, sizes(tokens))) return [tokens];
    return [];
  });
}

/** The oracle takes long for more. */
const mostTokens = 256;

/** Run-time sizes, in the order in which the arguments name them. */
const symbolsOf = (layer: Layer): readonly string[] => [
  ...new Set(layer.args.flatMap((a) => a.value.type.dims.flatMap((d) => d.substitute(layer.params).symbols))),
];

/** Seeded tensors for run-time sizes, or one number for all of them. */
function makeCase(layer: Layer, name: string, sizes: number | Readonly<Record<string, number>>, seed: number): Case {
  const dims = typeof sizes === "number" ? Object.fromEntries(symbolsOf(layer).map((s) => [s, sizes])) : sizes;
  return { name, dims, tensors: new Map(layer.args.map((a) => [a.value.name, seededTensor(layer, a, dims, seed)])) };
}

interface Choice {
  readonly ffn: number;
  readonly all: number;
  readonly topK: number;
}
/** What decides a router's choice: a table by token ids, or the product of an input and a weight. */
type Router = Choice &
  ({ readonly table: string } | { readonly input: string; readonly weight: string; readonly bias: string | undefined });

/** Routers whose table is a weight of the layer, or whose logits are a product of an input and a weight. */
function steerable(layer: Layer): Router[] {
  const made = new Map(layer.body.flatMap((o) => o.results.map((r) => [r, o] as const)));
  const argument = new Map(layer.args.map((a) => [a.value, a]));
  const size = (o: Operation, i: number, d: number): number =>
    o.operands[i]?.type.dims[d]?.substitute(layer.params).constant ?? 0;
  return layer.body.flatMap((route): Router[] => {
    const [logits] = route.operands;
    const product = logits && made.get(logits);
    const [x, w] = product?.operands ?? [];
    const input = x && argument.get(x);
    const weight = w && argument.get(w);
    if (route.op !== "route") return [];
    const mix = layer.body.find((o) => o.op === "mix" && o.operands[1] === route.results[0]);
    const all = size(route, 0, 1);
    const ffn = mix?.attributes.ffn;
    const choice = {
      all,
      ffn: ffn instanceof Dim ? ffn.evaluate(layer.params) : all,
      topK: route.results[0]?.type.dims[1]?.substitute(layer.params).constant ?? 1,
    };
    const table = routerOperand(route, "table");
    if (table) return argument.has(table) ? [{ ...choice, table: table.name }] : [];
    const biasValue = routerOperand(route, "select_bias");
    if (product?.op !== "linear" || input?.role !== "input" || weight?.role !== "weight") return [];
    const bias = biasValue && argument.has(biasValue) ? biasValue.name : undefined;
    return [{ ...choice, input: input.value.name, weight: weight.value.name, bias }];
  });
}

/**
 * Makes every token prefer some experts: a table names no others; else inputs become positive, the router's rows of the preferred
 * experts positive and those of others negative. Without a preference all scores are equal.
 */
function steer(tensors: Map<string, Tensor>, router: Router, preferred: readonly number[] | undefined): void {
  if ("table" in router) {
    const table = tensors.get(router.table);
    const [, columns = 1] = table?.dims ?? [];
    if (!table || !preferred) return;
    const ids = Int32Array.from(
      table.data,
      (_, i) => preferred[(Math.floor(i / columns) + (i % columns)) % preferred.length] ?? 0,
    );
    tensors.set(router.table, { ...table, data: ids });
    return;
  }
  const input = tensors.get(router.input);
  const weight = tensors.get(router.weight);
  if (!input || !weight) return;
  const absolute = Float32Array.from(toFloats(input), Math.abs);
  tensors.set(router.input, fromFloats(absolute, input.dims, input.dtype));
  const [, width = 1] = weight.dims;
  const chosen = new Set(preferred);
  const rows = Float32Array.from(toFloats(weight), (v, i) =>
    preferred === undefined ? 0 : chosen.has(Math.floor(i / width)) ? Math.abs(v) : -Math.abs(v),
  );
  tensors.set(router.weight, fromFloats(rows, weight.dims, weight.dtype));
  const bias = router.bias === undefined ? undefined : tensors.get(router.bias);
  if (bias && router.bias !== undefined)
    tensors.set(router.bias, fromFloats(new Float32Array(bias.data.length), bias.dims, bias.dtype));
}
