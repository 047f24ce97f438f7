import { expect, test } from "vitest";
import { compileSource, memoryHost } from "../../ir/frontend/index.ts";
import { fuseMaps } from "./fuse-maps.ts";

const compile = (params: string, args: string, body: string) =>
  compileSource({
    host: memoryHost({
      "a.ts": `import { add, layer, mul, range, type Tensor } from "unmoor";
export const a = layer(${params}, (p, ${args}) => { ${body} });`,
    }),
    entry: "a.ts",
  });

test("functions that use a value twice do not grow without end", async () => {
  const layer = await compile(
    "{ H: 4 }",
    'x: Tensor<["T", "H"]>',
    "let y = x; for (const _ of range(40)) y = mul(y, y); return y;",
  );
  const { body } = fuseMaps(layer);
  expect(body.length).toBeGreaterThan(1);
  expect(body.length).toBeLessThan(40 / 4);
});

test("one function reads no more tensors than a device binds to a kernel", async () => {
  const names = Array.from({ length: 12 }, (_, i) => `x${i}`);
  const args = names.map((n) => `${n}: Tensor<["T", "H"]>`).join(", ");
  const layer = await compile("{ H: 4 }", args, `return [${names.join(", ")}].reduce(add);`);
  const { body } = fuseMaps(layer);
  expect(body.map((o) => o.operands.length)).toEqual([6, 6, 2]);
});
