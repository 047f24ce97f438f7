/**
 * Ops that no example uses, on every target, against the oracle, and called as functions. Each file of test/layers declares one layer, whose results
 * use several ops each, and exports the sizes at which it is checked: arrays of parameters, some of which no tile divides.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { expectAgreement, expectSameAsFunction, variants } from "./support.ts";

const folder = resolve(import.meta.dirname, "layers");

/** The sizes that a file exports. */
async function sizesOf(file: string): Promise<readonly Readonly<Record<string, number>>[]> {
  const { sizes }: { sizes?: unknown } = await import(join(folder, file));
  if (!Array.isArray(sizes) || sizes.length === 0) throw new Error(`test/layers/${file} exports no sizes`);
  return sizes;
}

const cases = await Promise.all(readdirSync(folder).map(async (file) => [file, await sizesOf(file)] as const));
const targets = await variants();

/** Milliseconds. Several tests share one thread while they wait for compilers, on a machine that may be busy. */
const patience = 600_000;

test("there are layers to check", () => expect(cases.length).toBeGreaterThan(0));

describe.concurrent.each(cases)("test/layers/%s", { timeout: patience }, (file, sizes) => {
  for (const params of sizes) {
    test(`is the same called as a function at ${JSON.stringify(params)}`, () =>
      expectSameAsFunction(join(folder, file), params));
    test.each(targets)(`%s %s agrees at ${JSON.stringify(params)}`, (name, isa) =>
      expectAgreement(join(folder, file), params, name, isa),
    );
  }
});
