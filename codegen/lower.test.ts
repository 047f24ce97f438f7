import { expect, test } from "vitest";
import { parseLayer } from "../ir/text/index.ts";
import { compileLayer } from "./compile.ts";
import { checkCompilation } from "./oracle-testing.ts";
import type { Target } from "./target.ts";
import { packedTarget } from "./testing.ts";
import { printKernel } from "./tile/text.ts";

const { matmul } = packedTarget;
if (matmul.kind !== "registers") throw new Error("the imagined target multiplies in registers");
const inBlocks = { activations: "q8_0", depth: 32 } as const;
const target: Target = {
  ...packedTarget,
  storages: ["f32", "q8_0", "q4_0", "q4_k"],
  matmul: { ...matmul, dot: { ...matmul.dot, q8_0: inBlocks, q4_0: inBlocks, q4_k: inBlocks } },
};

/** Two products of one tensor, whose codes have offsets of their own. */
const layer = (first: string, second: string) =>
  parseLayer(
    `layer @two {H = 256} (
  input auto %x: f32[T, H],
  weight fixed %a: ${first}[H, H],
  weight fixed %b: ${second}[H, H]
) {
  %y = linear(%x, %a) : f32[T, H]
  %z = linear(%x, %b) : f32[T, H]
  return y = %y, z = %z
}
`,
    "two.moe",
  );

test.each([
  ["q8_0", "q8_0", "* -128"],
  ["q4_0", "q4_0", "* -8"],
  ["q8_0", "q4_0", undefined],
  ["q4_k", "q8_0", undefined],
])("sums of codes for %s and %s are kept times %s", (first, second, factor) => {
  const compilation = compileLayer(layer(first, second), target, "f32");
  const cast = compilation.program.kernels.find((k) => k.origin.op === "cast");
  const set = /set \w*sums.*/.exec(cast ? printKernel(cast) : "")?.[0] ?? "";
  expect(set).not.toBe("");
  if (factor === undefined) expect(set).not.toContain("*");
  else expect(set).toContain(factor);
  for (const tokens of [0, 1, 3]) checkCompilation(compilation, tokens);
});
