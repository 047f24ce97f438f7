// What `unmoor tune` may choose on WebGPU. Kernels of every description are held against the oracle in the tile interpreter, and on the
// adapter at hand: by default those whose lanes share rows, with UNMOOR_TEST_ALL all that the adapter has the features for.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AdapterDescription, type OpenedDevice, openDevice } from "../backends/wgsl/adapter/index.ts";
import { createWgsl } from "../backends/wgsl/index.ts";
import { wgslTunings } from "../backends/wgsl/target.ts";
import { compileLayer } from "../codegen/compile.ts";
import { checkCompilation } from "../codegen/oracle-testing.ts";
import type { Target } from "../codegen/target.ts";
import { loadBackend } from "../runtime/backends.ts";
import { checkTarget } from "../runtime/check/check.ts";
import { readLayer } from "../runtime/source.ts";

// Numbers of columns that no workgroup divides, and experts with 0 to 20 rows.
const params = { H: 20, I: 14, E: 3, K: 2 };
const layer = await readLayer({ file: "examples/olmoe.ts", params, cache: undefined });
const tunings = wgslTunings.map((target) => [target.tuning ?? "", target] as const);
const largest = wgslTunings.find((target) => target.tuning === "16 4 1 × 4 in lanes that share rows");
const backend = createWgsl();

/** WGSL of the kernels. */
async function modules(target: Target): Promise<string[]> {
  const sources = await backend.emit(compileLayer(layer, target, "f32").program, target);
  return [...sources].flatMap(([path, text]) => (path.endsWith(".wgsl") ? [text] : []));
}

test.each(tunings)("%s", (_, target) => {
  const compilation = compileLayer(layer, target, "f32");
  for (const tokens of [0, 1, 7, 29]) expect(() => checkCompilation(compilation, tokens)).not.toThrow();
});

test("a plan requires the features that its kernels use, and those of plain WGSL none", async () => {
  for (const target of [backend.target("wgsl"), ...wgslTunings]) {
    const { program } = compileLayer(layer, target, "f32");
    const plan = JSON.parse((await backend.emit(program, target)).get("plan.json") ?? "");
    const enabled = (await modules(target)).flatMap((text) => [...text.matchAll(/^enable (\w+);/gm)].map((m) => m[1]));
    expect(plan.requires.features).toEqual([...new Set(enabled)].sort());
    expect(enabled.length > 0).toBe(target.features !== undefined);
  }
});

test("rows of four are read once for a quad, and other rows by each lane", async () => {
  if (largest === undefined) throw new Error("no description has lanes that share rows");
  const [product = ""] = (await modules(largest)).filter((text) => text.includes("enable subgroups"));
  expect(product.match(/let x_quad\w* = /g)?.length).toBe(5); // 16 rows and 4.
  expect(product.match(/quadBroadcast\(/g)?.length).toBe(20);
});

describe("on the adapter", () => {
  let opened: OpenedDevice;
  let adapter: AdapterDescription;
  beforeAll(async () => {
    opened = await openDevice();
    adapter = opened.description;
  });
  afterAll(() => opened.close());

  const all = process.env.UNMOOR_TEST_ALL === "1";
  const chosen = tunings.filter(([, target]) => all || target === largest);
  test.each(chosen)("%s", { timeout: 120_000 }, async (name, target) => {
    const lacks = (target.features ?? []).filter((feature) => !adapter.features.includes(feature));
    if (lacks.length > 0) {
      await expect(checkTarget(layer, await loadBackend("wgsl"), target, "f32", 1)).rejects.toThrow(lacks[0]);
      return;
    }
    const { cases } = await checkTarget(layer, await loadBackend("wgsl"), target, "f32", 1);
    expect(cases.length, name).toBeGreaterThan(0);
    expect(cases.flatMap((c) => c.disagreements)).toEqual([]);
  });
});
