import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseLayer, printLayer } from "../../ir/text/index.ts";
import { cubeTarget, packedTarget } from "../testing.ts";
import { fuseEpilogue } from "./fuse.ts";

const fixture = readFileSync(new URL("./fixtures/fuse-epilogue.moe", import.meta.url), "utf8").split("===\n")[0] ?? "";
const layer = parseLayer(fixture, "fuse-epilogue.moe");

test("biases join a product where its kernel has a binding left for them", () => {
  // Tokens, offsets, slots, gate, up, the bias and the result.
  const within = (buffersPerKernel: number) =>
    printLayer(fuseEpilogue(layer, { ...packedTarget, limits: { buffersPerKernel } }));
  expect(within(7)).toMatch(/%h = grouped_linear\(.*%upBias\) \{vectors = 1/);
  expect(within(6)).toMatch(/%h = map\(%g, %upBias_rows, %u\)/);
  expect(within(6)).toMatch(/%logits = linear\(%x, %router, %routerBias\) \{vectors = 1/);
});

test("biases of other slots do not join a product", () => {
  const other = fixture
    .replace(
      "%tokens = permute",
      "%offsets2, %slots2, %rows2 = dispatch(%ids) {ffn = E} : i32[E + 1], i32[K*T], i32[K*T]\n  %tokens = permute",
    )
    .replace("expert_rows(%upBias, %ids, %slots)", "expert_rows(%upBias, %ids, %slots2)");
  expect(other).toContain("%slots2)");
  expect(printLayer(fuseEpilogue(parseLayer(other, "other.moe"), packedTarget))).toMatch(/%h = map\(/);
});

test("a matrix unit's sums take no biases", () => {
  expect(printLayer(fuseEpilogue(layer, cubeTarget))).not.toContain("vectors");
});
