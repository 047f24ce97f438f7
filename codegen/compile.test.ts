import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { interpret } from "../ir/interpreter/index.ts";
import { parseLayer } from "../ir/text/index.ts";
import { compileLayer } from "./compile.ts";
import { checkCompilation, sizesFor, tensorsFor } from "./oracle-testing.ts";
import { cubeTarget, packedTarget, plainTarget } from "./testing.ts";

const folder = new URL("./fixtures/", import.meta.url);
const layers = readdirSync(folder).map(
  (name) => [name, parseLayer(readFileSync(new URL(name, folder), "utf8"), name)] as const,
);
const targets = [packedTarget, plainTarget, cubeTarget];

describe.each(layers)("%s", (_, layer) => {
  for (const target of targets) {
    for (const storage of target.storages) {
      test(`${target.isa}, ${storage}: kernels agree with the oracle`, () => {
        const compilation = compileLayer(layer, target, storage);
        for (const tokens of [0, 1, 5, 6, 7, 13]) checkCompilation(compilation, tokens);
      });
      test(`${target.isa}, ${storage}: no pass changes what the layer computes`, () => {
        const { stages, stored } = compileLayer(layer, target, storage);
        const tensors = tensorsFor(stored, 9);
        const [want, ...others] = stages
          .slice(1)
          .map((s) => ({ pass: s.pass?.name, output: interpret(s.layer, { dims: sizesFor(layer, 9), tensors }) }));
        for (const { pass, output } of others) {
          for (const [name, tensor] of want.output.results) {
            output.results.get(name)?.data.forEach((v, i) => {
              expect(Math.abs(v - tensor.data[i]), `${pass}: ${name}[${i}]`).toBeLessThanOrEqual(
                1e-12 * (1 + Math.abs(v)),
              );
            });
          }
          output.choices.forEach((c, i) => {
            expect(c.results[0].data).toEqual(want.output.choices[i].results[0].data);
          });
        }
      });
    }
  }
});
