import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { f32ToBf16 } from "../ir/core/float16.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { parseLayer } from "../ir/text/index.ts";
import { type Compilation, compileLayer } from "./compile.ts";
import type { Storage } from "./target.ts";
import { cubeTarget, packedTarget, plainTarget } from "./testing.ts";
import { runProgram } from "./tile/interpreter.ts";

const folder = new URL("./fixtures/", import.meta.url);
const layers = readdirSync(folder).map(
  (name) => [name, parseLayer(readFileSync(new URL(name, folder), "utf8"), name)] as const,
);
const targets = [packedTarget, plainTarget, cubeTarget];
const storages: readonly Storage[] = ["f32", "bf16"];

/** Multiples of 1/64 in (-1, 1), by a linear congruence. */
function random(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 25) - 64) / 64;
  });
}

function tensorsFor(layer: Layer, tokens: number): Map<string, Tensor> {
  return new Map(
    layer.args.map(({ value }, i) => {
      const dims = value.type.dims.map((d) => d.evaluate({ ...layer.params, T: tokens }));
      const values = random(
        dims.reduce((a, b) => a * b, 1),
        i + 1,
      );
      const bf16 = value.type.dtype === "bf16";
      return [value.name, { dtype: value.type.dtype, dims, data: bf16 ? Uint16Array.from(values, f32ToBf16) : values }];
    }),
  );
}

/** Runs the kernels in the tile interpreter and holds them against the oracle. */
function check(compilation: Compilation, tokens: number): void {
  const { stored, rounded, program } = compilation;
  const tensors = tensorsFor(stored, tokens);
  const given = (role: string) =>
    new Map(
      stored.args
        .filter((a) => a.role === role)
        .map((a) => [a.value.name, tensors.get(a.value.name)?.data as Float32Array]),
    );
  const buffers = runProgram(program, { weights: given("weight"), inputs: given("input"), dims: { T: tokens } });
  const ids = (layer: Layer) =>
    new Map(
      layer.body
        .filter((o) => o.op === "route")
        .map((o, i) => [o.results[0].name, buffers.get(program.routings[i].ids) as Int32Array]),
    );
  const exact = interpret(stored, { dims: { T: tokens }, tensors, choices: ids(stored) });
  const bounds = interpret(rounded, { dims: { T: tokens }, tensors, choices: ids(rounded) });
  for (const { outcome } of bounds.routings) expect(outcome.wrong).toEqual([]);
  for (const { name, buffer } of program.results) {
    const want = exact.results.get(name);
    const bound = bounds.results.get(name)?.bound;
    const got = buffers.get(buffer) as Float32Array;
    expect(got.length).toBe(want?.data.length);
    got.forEach((value, i) => {
      const error = Math.abs(value - (want?.data[i] ?? Number.NaN));
      if (!(error <= (bound?.[i] ?? 0)))
        throw new Error(`${name}[${i}]: ${want?.data[i]} ± ${bound?.[i]} expected, ${value} found`);
    });
  }
}

describe.each(layers)("%s", (_, layer) => {
  for (const target of targets) {
    for (const storage of storages) {
      test(`${target.isa}, ${storage}: kernels agree with the oracle`, () => {
        const compilation = compileLayer(layer, target, storage);
        for (const tokens of [0, 1, 5, 6, 7, 13]) check(compilation, tokens);
      });
      test(`${target.isa}, ${storage}: no pass changes what the layer computes`, () => {
        const { stages, stored } = compileLayer(layer, target, storage);
        const tensors = tensorsFor(stored, 9);
        const [want, ...others] = stages
          .slice(1)
          .map((s) => ({ pass: s.pass?.name, output: interpret(s.layer, { dims: { T: 9 }, tensors }) }));
        for (const { pass, output } of others) {
          for (const [name, tensor] of want.output.results) {
            output.results.get(name)?.data.forEach((v, i) => {
              expect(Math.abs(v - tensor.data[i]), `${pass}: ${name}[${i}]`).toBeLessThanOrEqual(
                1e-12 * (1 + Math.abs(v)),
              );
            });
          }
          output.routings.forEach((r, i) => {
            expect(r.ids.data).toEqual(want.output.routings[i].ids.data);
          });
        }
      });
    }
  }
});
