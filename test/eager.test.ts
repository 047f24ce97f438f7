/**
 * A layer called as a function gives what the oracle makes of the compiled layer: for every example, on random tensors,
 * for several numbers of tokens.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Argument, Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import type { AuthorType } from "../ir/core/types.ts";
import { type ConcreteTensor, tensor } from "../ir/dsl/tensor.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { uniform } from "../ir/ops/testing.ts";
import { readLayer } from "../runtime/source.ts";

const folder = resolve(import.meta.dirname, "../examples");
const seed = 20261124;

/** Small values of the parameters that examples name as sizes. Others keep theirs. */
const small: Readonly<Record<string, number>> = {
  H: 6,
  I: 5,
  S: 4,
  D: 3,
  L: 7,
  E: 12,
  Z: 5,
  K: 3,
  G: 4,
  M: 2,
  V: 7,
  A: 2,
  Q: 4,
  N: 4,
  R: 2,
  F: 5,
};

interface Eager {
  readonly params: Readonly<Record<string, number>>;
  with(values: Readonly<Record<string, number>>): Eager;
  /** With values for sizes that only the layer's body names. */
  at(sizes: Readonly<Record<string, number>>): (...args: unknown[]) => unknown;
}

/**
 * The arguments of a call: each input, and after the last of them an object of all weights, as often as a layer may have such objects;
 * weights between inputs are members of one.
 */
function callArguments(args: readonly Argument[], tensors: ReadonlyMap<string, ConcreteTensor>): unknown[] {
  const weights = Object.fromEntries(
    args.flatMap(({ role, value }) => (role === "weight" ? [[value.name, tensors.get(value.name)]] : [])),
  );
  const call = args.flatMap<unknown>(({ role, value }, i) => {
    if (role === "input") return [tensors.get(value.name)];
    return args[i - 1]?.role === "weight" ? [] : [weights];
  });
  return [...call, weights, weights, weights];
}

/** Random tensors: whole numbers are ids below 3, which all tables and experts have. */
function tensorsFor(layer: Layer, dims: Readonly<Record<string, number>>, random: () => number) {
  return new Map(
    layer.args.map(({ value }): [string, ConcreteTensor] => {
      const sizes = value.type.dims.map((d) => d.evaluate({ ...layer.params, ...dims }));
      const float = value.type.dtype !== "i32";
      const numbers = Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () =>
        float ? 2 * random() - 1 : Math.floor(3 * random()),
      );
      return [value.name, tensor(sizes, numbers, value.type.dtype as AuthorType)];
    }),
  );
}

function expectSame(name: string, found: Tensor, wanted: Tensor | undefined): void {
  expect(found.dims, name).toEqual(wanted?.dims);
  expect(found.dtype, name).toBe(wanted?.dtype);
  found.data.forEach((value, i) => {
    const exact = Number(wanted?.data[i]);
    // Both are made of reals in f64, by sums in different order.
    const close = Object.is(value, exact) || Math.abs(value - exact) <= 1e-9 * (1 + Math.abs(exact));
    if (!close) throw new Error(`${name}[${i}] is ${value}, but ${exact} by the oracle`);
  });
}

describe.each(readdirSync(folder))("examples/%s", async (name) => {
  const file = join(folder, name);
  const exported: Readonly<Record<string, unknown>> = await import(file);

  test(`as a function it is what the oracle says (seed ${seed})`, async () => {
    const { params: defaults } = await readLayer({ file, params: {}, cache: undefined });
    const params = Object.fromEntries(Object.entries(small).filter(([name]) => Object.hasOwn(defaults, name)));
    const layer = await readLayer({ file, params, cache: undefined });
    const eager = exported[layer.name] as Eager;
    const run = eager.with(params);
    const symbols = [...new Set(layer.args.flatMap((a) => a.value.type.dims.flatMap((d) => d.symbols)))].filter(
      (s) => !Object.hasOwn(layer.params, s),
    );
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0, 1, 2, 5), (data, tokens) => {
        const dims = Object.fromEntries(symbols.map((s) => [s, s === "T" ? tokens : tokens + 1]));
        const tensors = tensorsFor(layer, dims, uniform(data));
        const found = run.at(dims)(...callArguments(layer.args, tensors));
        const { results } = interpret(layer, { dims, tensors });
        for (const { name } of layer.results) {
          const single = layer.results.length === 1 && name === "y" && "data" in (found as object);
          const result = single ? found : (found as Readonly<Record<string, unknown>>)[name];
          expectSame(name, result as Tensor, results.get(name));
        }
      }),
      { seed, numRuns: 8 },
    );
  });
});
