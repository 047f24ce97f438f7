import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { layer, map, sigmoid, type Tensor, tensor } from "../dsl/index.ts";
import { compileSource, memoryHost } from "./index.ts";

const language = readFileSync(new URL("../../docs/language.md", import.meta.url), "utf8");
const blocks = [...language.matchAll(/```ts\n(.*?)```/gs)]
  .map((m) => m[1] ?? "")
  .filter((text) => text.includes("export const"));

test.each(blocks.map((text) => [/export const (\w+)/.exec(text)?.[1], text] as const))(
  "layer %s of docs/language.md compiles",
  async (name, text) => {
    const compiled = await compileSource({ host: memoryHost({ "docs.ts": text }), entry: "docs.ts" });
    expect(compiled.name).toBe(name);
  },
);

test("docs/language.md shows layers", () => {
  expect(blocks.length).toBeGreaterThan(3);
});

test("the printed result in docs/language.md is right", () => {
  const clamp = (v: number, limit: number): number => Math.min(Math.max(v, -limit), limit);
  const activation = layer({ I: 64, limit: 7 }, (p, g: Tensor<["T", "I"]>, u: Tensor<["T", "I"]>) =>
    map(g, u, (g, u) => {
      const gate = Math.min(g, p.limit);
      return (clamp(u, p.limit) + 1) * gate * sigmoid(1.702 * gate);
    }),
  );
  const y = activation.with({ I: 2 })(tensor([1, 2], [0.5, -1]), tensor([1, 2], [3, 4]));
  expect(language).toContain(`// ${y}\n`);
});

test("the error in docs/language.md is one that the frontend gives", () => {
  const golden = readFileSync(new URL("fixtures/diagnostics.txt", import.meta.url), "utf8");
  const shown = /```\n(error\[.*?)\n```/s.exec(language)?.[1] ?? "missing";
  expect(golden).toContain(shown);
});
