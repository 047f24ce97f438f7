import { expect, test } from "vitest";
import { parseLayer } from "../ir/text/index.ts";
import { compileLayer } from "./compile.ts";
import { checkCompilation } from "./oracle-testing.ts";
import type { Target } from "./target.ts";
import { packedTarget, plainTarget } from "./testing.ts";

/** A reshape of what, and for what: named by where its operand comes from, and where its result goes. */
const layer = parseLayer(`layer @l {A = 4, D = 6} (input auto %x: f32[T, A*D], weight auto %w: f32[2*A*D, A*D]) {
  %input = reshape(%x) {dims = [T, A, D]} : f32[T, A, D]
  %a = map(%input) {fn = (a) => (a + 1.0)} : f32[T, A, D]
  %passed = reshape(%a) {dims = [A*T, D]} : f32[A*T, D]
  %twice = reshape(%passed) {dims = [T, D, A]} : f32[T, D, A]
  %b = map(%twice) {fn = (a) => (a + 1.0)} : f32[T, D, A]
  %factor = reshape(%b) {dims = [T, A*D]} : f32[T, A*D]
  %matrix = reshape(%w) {dims = [A*D, 2*A*D]} : f32[A*D, 2*A*D]
  %y = linear(%factor, %w) : f32[T, 2*A*D]
  %z = linear(%y, %matrix) : f32[T, A*D]
  %m = map(%z) {fn = (a) => (a * 0.5)} : f32[T, A*D]
  %result = reshape(%m) {dims = [T, A, D]} : f32[T, A, D]
  return result = %result, m = %b
}
`);

const reshapes = (target: Target) => {
  const compilation = compileLayer(layer, target, "f32");
  const { buffers, kernels, prepare, memory } = compilation.program;
  checkCompilation(compilation, 5);
  return {
    aliases: buffers.flatMap((b) => (b.alias === undefined ? [] : [`${b.name} = ${b.alias}`])),
    copies: [...prepare, ...kernels].flatMap((k) => (k.origin.op === "reshape" ? [k.origin.summary] : [])),
    slotOf: (name: string) => memory.slots.findIndex((s) => s.buffers.includes(name)),
  };
};
const copied = (why: string): string => `the same elements in other dimensions, copied since ${why}`;

test("a reshape shares the memory of temporaries, also of another reshape, and copies elsewhere", () => {
  const { aliases, copies, slotOf } = reshapes(plainTarget);
  expect(aliases).toEqual(["passed = a", "twice = a"]);
  expect(new Set(["a", "passed", "twice"].map(slotOf)).size).toBe(1);
  expect(copies).toEqual([
    copied("w is a weight"),
    copied("x is an input"),
    copied("b is a result"),
    copied("result is a result"),
  ]);
});

test("a buffer whose rows are padded apart is copied to", () => {
  const text = { ...layer, results: layer.results.slice(0, 1) };
  const { program } = compileLayer(text, packedTarget, "f32");
  const { factor } = Object.fromEntries(program.buffers.map((b) => [b.name, b]));
  expect(factor).toMatchObject({ role: "temporary" });
  expect(factor?.alias).toBeUndefined();
  expect(String(factor?.dims.at(-1))).toBe("25");
  expect(program.kernels.map((k) => k.origin.summary)).toContain(copied("rows that products read are padded apart"));
  expect(compileLayer(text, plainTarget, "f32").program.buffers.find((b) => b.name === "factor")?.alias).toBe("b");
});
