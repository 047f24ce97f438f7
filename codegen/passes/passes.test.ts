/**
 * One fixture per pass: the layer before it, a line `===`, the layer after it. The first line names the imagined target and the
 * storage. UPDATE_FIXTURES=1 rewrites what stands after the line; look at the difference before committing it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseLayer, printLayer } from "../../ir/text/index.ts";
import type { Storage } from "../target.ts";
import { cubeTarget, packedTarget, plainTarget } from "../testing.ts";
import { passesFor } from "./index.ts";

const targets = { packed: packedTarget, plain: plainTarget, cube: cubeTarget };
const names = [...new Set(Object.values(targets).flatMap((t) => passesFor(t, "bf16").map((p) => p.name)))];

describe("each pass has a fixture", () => {
  test.each(names)("%s", (name) => {
    const url = new URL(`./fixtures/${name}.moe`, import.meta.url);
    expect(existsSync(url), `write codegen/passes/fixtures/${name}.moe`).toBe(true);
    const text = readFileSync(url, "utf8");
    const [before = "", after = ""] = text.split("===\n");
    const [, target = "", storage = ""] = /^\/\/ target: (\w+), storage: (\w+)/.exec(before) ?? [];
    const pass = passesFor(targets[target as keyof typeof targets], storage as Storage).find((p) => p.name === name);
    const layer = parseLayer(before, `${name}.moe`);
    const made = printLayer(pass?.run(layer) ?? layer);
    expect(made).not.toBe(printLayer(layer));
    if (process.env.UPDATE_FIXTURES === "1") writeFileSync(url, `${before}===\n${made}`);
    else expect(made).toBe(after);
  });
});
