import { describe, expect, test } from "vitest";
import { argument, Builder, checkLayer, checkSizes, makeOperation } from "./builder.ts";
import { DiagnosticError, IrError } from "./diagnostic.ts";
import { Dim } from "./dim.ts";
import type { Layer } from "./layer.ts";
import { noSpan } from "./span.ts";
import { formatType, tensorType } from "./types.ts";

const span = { file: "layer.ts", line: 3, column: 5, length: 10 };
const x = argument("x", tensorType("f32", ["T", "H"]), "input");
const w = argument("w", tensorType("f32", ["E", "H"]), "weight");

function routed(params: Record<string, number>, place = span): Layer {
  const builder = new Builder();
  const logits = builder.one("linear", [x.value, w.value], {}, { span: place, name: "logits" });
  const [ids] = builder.add(
    "route",
    [logits],
    { score: "none", top_k: Dim.symbol("K") },
    { span: place, names: ["ids", "v"] },
  );
  const results = [{ name: "ids", value: ids }];
  return { name: "l", params, args: [x, w], body: builder.body, results, bindings: {}, span: place };
}

test("operations are built with inferred types and names", () => {
  const { body } = routed({});
  expect(body.map((o) => o.results.map((v) => `${v.name}: ${formatType(v.type)}`))).toEqual([
    ["logits: f32[T, E]"],
    ["ids: i32[T, K]", "v: f32[T, K]"],
  ]);
  expect(makeOperation("cast", [x.value], { to: "bf16" }, { span }).results[0].name).toBe("cast_0");
});

describe("checkLayer", () => {
  const good = { H: 4, E: 8, K: 2 };

  test("accepts a good layer", () => {
    const layer = routed(good);
    expect(checkLayer(layer)).toBe(layer);
    for (const operation of layer.body) checkSizes(operation, good);
  });

  test("finds sizes that do not fit the parameters, and says where", () => {
    const layer = routed({ ...good, K: 9 });
    expect(() => checkSizes(layer.body[1], layer.params)).toThrow(IrError);
    try {
      checkLayer(layer);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DiagnosticError);
      expect((error as DiagnosticError).diagnostics).toMatchObject([
        { code: "U201", span, message: "top_k is 9, but there are only 8 experts" },
      ]);
    }
    expect(() => checkLayer(routed({ ...good, K: 9 }, noSpan))).toThrow(IrError);
    expect(() => checkLayer(routed({ ...good, K: 0 }, noSpan))).toThrow("dimension K of i32[T, K] is 0");
    expect(() => checkLayer(routed({ ...good, H: 0 }, noSpan))).toThrow("dimension H of f32[T, H] is 0");
  });

  test("finds values used before they are defined, defined twice, or never", () => {
    const layer = routed(good);
    expect(() => checkLayer({ ...layer, body: [...layer.body].reverse() })).toThrow(
      "route uses logits before it is defined",
    );
    expect(() => checkLayer({ ...layer, body: [...layer.body, ...layer.body] })).toThrow(
      "value logits is defined twice",
    );
    expect(() => checkLayer({ ...layer, body: [] })).toThrow("result ids is not defined");
  });
});
