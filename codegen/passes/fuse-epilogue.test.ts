import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseLayer, printLayer } from "../../ir/text/index.ts";
import { cubeTarget, packedTarget } from "../testing.ts";
import { fuseEpilogue } from "./fuse-epilogue.ts";

const fixture = readFileSync(new URL("./fixtures/fuse-epilogue.moe", import.meta.url), "utf8").split("===\n")[0] ?? "";
const layer = parseLayer(fixture, "fuse-epilogue.moe");

test("biases join a product where its kernel has a binding left for them", () => {
  // Tokens, offsets, slots, gate, up, the bias and the result.
  const within = (buffersPerKernel: number) =>
    printLayer(fuseEpilogue(layer, { ...packedTarget, limits: { buffersPerKernel } }));
  expect(within(7)).toMatch(/%h = grouped_linear\(.*%upBias\) \{beside = /);
  expect(within(6)).toMatch(/%h = map\(%g, %upBias_rows, %u\)/);
  expect(within(6)).toMatch(/%logits = linear\(%x, %router, %routerBias\) \{beside = /);
});

test("biases of other rows than the product's stay rows", () => {
  const again = "%offsets2, %slots2, %rows2 = dispatch(%ids) {ffn = E} : i32[E + 1], i32[K*T], i32[K*T]";
  const other = fixture
    .replace("%tokens = permute", `${again}\n  %tokens = permute`)
    .replace("expert_rows(%upBias, %ids, %slots)", "expert_rows(%upBias, %ids, %slots2)");
  expect(other).toContain("%slots2)");
  const made = printLayer(fuseEpilogue(parseLayer(other, "other.moe"), packedTarget));
  expect(made).toMatch(/%h = grouped_linear\(.*%upBias_rows\) \{beside = \["elements"\]/);
});

test("a row's weight and what a result is added to join a product; products of other rows stay", () => {
  const text = (fn: string, operands: string) => `layer @mix {H = 8} (
  input auto %x: f32[T, H],
  input auto %other: f32[T, H],
  input auto %weight: f32[T, 1],
  weight fixed %w: f32[H, H]
) {
  %a = linear(%x, %w) : f32[T, H]
  %b = linear(%other, %w) : f32[T, H]
  %y = map(${operands}) {fn = ${fn}} : f32[T, H]
  return y = %y
}
`;
  const fused = (fn: string, operands: string) =>
    printLayer(fuseEpilogue(parseLayer(text(fn, operands), "mix.moe"), packedTarget));
  expect(fused("(a, b, c) => ((a * b) + c)", "%weight, %a, %other")).toContain(
    '%y = linear(%x, %w, %weight, %other) {beside = ["rows", "elements"], epilogue = (a, b, c) => ((b * a) + c)}',
  );
  const both = fused("(a, b) => (a + b)", "%a, %b");
  expect(both).toContain('%y = linear(%x, %w, %b) {beside = ["elements"], epilogue = (a, b) => (a + b)}');
  expect(both).toContain("%b = linear(%other, %w) : f32[T, H]");
});

test("two products at most share the columns of a tile; the result of a third stands beside them", () => {
  const text = `layer @three {H = 8} (
  input auto %x: f32[T, H],
  weight fixed %u: f32[H, H],
  weight fixed %v: f32[H, H],
  weight fixed %w: f32[H, H]
) {
  %a = linear(%x, %u) : f32[T, H]
  %b = linear(%x, %v) : f32[T, H]
  %c = linear(%x, %w) : f32[T, H]
  %y = map(%a, %b, %c) {fn = (a, b, c) => ((a * b) + c)} : f32[T, H]
  return y = %y
}
`;
  expect(printLayer(fuseEpilogue(parseLayer(text, "three.moe"), packedTarget))).toContain(
    '%y = linear(%x, %u, %v, %c) {beside = ["elements"], epilogue = (a, b, c) => ((a * b) + c)}',
  );
});

test("a matrix unit's sums take no biases", () => {
  expect(printLayer(fuseEpilogue(layer, cubeTarget))).not.toContain("beside");
});
