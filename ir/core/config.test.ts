import { expect, test } from "vitest";
import { evaluateConfig, keysOf, parseConfigExpression, pathsOf } from "./config.ts";

const config = {
  hidden_size: 64,
  n_shared: 2,
  tie: true,
  off: false,
  act: "silu",
  none: null,
  rope: { factor: 32, kinds: ["a", 7] },
  text_config: { hidden_size: 128 },
};

test.each([
  ["hidden_size", 64],
  ["text_config.hidden_size", 128],
  ["rope.kinds.1", 7],
  ["rope.kinds.0", "a"],
  ["tie", true],
  ["act", "silu"],
  ["2 + 3 * 4", 14],
  ["(2 + 3) * 4", 20],
  ["2 - 3 - 4", -5],
  ["64 / 4 / 2", 8],
  ["- 2 * - 3", 6],
  ["1e-12", 1e-12],
  ["0.5 * hidden_size", 32],
  ["hidden_size * n_shared", 128],
  ["missing ?? 1", 1],
  ["none ?? 1", 1],
  ["missing ?? none ?? hidden_size", 64],
  ["missing ?? 2 * n_shared", 4],
  ["hidden_size * missing ?? 5", 5],
  ["(missing ?? 3) * 2", 6],
  ["off ?? true", false],
  ["act == 'silu'", true],
  ["missing ?? 'gelu' == 'gelu'", true],
  ["hidden_size == 64 and tie", true],
  ["off or tie", true],
  ["off or off or act == 'gelu'", false],
  ["tie or missing", true],
  ["off and missing", false],
  ["tie and off or tie", true],
  ["order", undefined],
  ["missing", undefined],
  ["off or missing", undefined],
  ["missing * 2 + absent", undefined],
])("%s", (text, value) => {
  const result = evaluateConfig(text, config);
  if (value === undefined) expect(result).toEqual({ missing: keysOf(text).filter((key) => key !== "off") });
  else expect(result).toEqual({ value });
});

test.each([
  ["act * 2", 'act is "silu", where a number is needed'],
  ["tie + 1", "tie is true, where a number is needed"],
  ["act and tie", 'act is "silu", where true or false is needed'],
  ["tie and 1", "a part of the expression is 1, where true or false is needed"],
  ["rope", "rope is an object"],
  ["rope.kinds", "rope.kinds is a list"],
])("%s is refused: %s", (text, message) => {
  expect(() => evaluateConfig(text, config)).toThrow(message);
});

test.each(["", "a b", "a +", "* a", "(a", "a)", "a ?? ?? b", "'open", "a = b", "a.", "1.2.3", "and", "a or", "$x"])(
  "%j is no expression",
  (text) => {
    expect(() => parseConfigExpression(text)).toThrow("is no expression over a config");
  },
);

test("the names of objects' own members are no keys", () => {
  expect(evaluateConfig("constructor", config)).toEqual({ missing: ["constructor"] });
  expect(evaluateConfig("act.length", config)).toEqual({ missing: ["act.length"] });
});

test("paths lead to all values", () => {
  expect(pathsOf({ a: 1, b: { c: "x", d: { e: null } }, f: [1] })).toEqual(["a", "b.c", "f"]);
});
