import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { interpret } from "../../ir/interpreter/index.ts";
import { i32Tensor, uniform } from "../../ir/ops/testing.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { compileLayer } from "../compile.ts";
import { plainTarget } from "../testing.ts";
import { runProgram } from "../tile/interpreter.ts";

const text = readFileSync(new URL("../fixtures/ngram-ids.moe", import.meta.url), "utf8");

// The interpreter of tile IR refuses numbers beyond 32 bits, which small ids do not reach.
test.each([1, 2, 3])("large ids of tokens leave 32 bits nowhere (seed %i)", (seed) => {
  const layer = parseLayer(text, "ngram-ids.moe");
  const random = uniform(seed);
  const some = (count: number, most: number): Int32Array =>
    Int32Array.from({ length: count }, () => Math.floor(random() * most));
  const inputs = { tokens: some(50, 2 ** 31), previous: some(3, 163_840) };
  const tensors = new Map(Object.entries(inputs).map(([name, data]) => [name, i32Tensor([data.length], data)]));
  const { results } = interpret(layer, { dims: { T: 50 }, tensors });
  const { program } = compileLayer(layer, plainTarget, "f32");
  const buffers = runProgram(program, { weights: new Map(), inputs: new Map(Object.entries(inputs)), dims: { T: 50 } });
  for (const { name, buffer } of program.results) expect(buffers.get(buffer), name).toEqual(results.get(name)?.data);
});
