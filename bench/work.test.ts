import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileLayer } from "../codegen/compile.ts";
import { packedTarget } from "../codegen/testing.ts";
import { parseLayer } from "../ir/text/index.ts";
import { readLayer } from "../runtime/source.ts";
import { installFolder } from "../runtime/version.ts";
import { grouped, kernelWork, workOf } from "./work.ts";

const [H, I, E, Z, K, T] = [256, 128, 16, 8, 4, 3];
const layer = parseLayer(
  readFileSync(new URL("../codegen/fixtures/longcat.moe", import.meta.url), "utf8"),
  "longcat.moe",
);
const { rounded, lowered, program } = compileLayer(layer, packedTarget, "bf16");

/** Operations that every token costs: the router's product and the rest, which is of the order of H and E + Z. */
const router = 2 * T * H * (E + Z);

test("only experts that were hit, and only rows that were routed, are counted", () => {
  // 5 slots on 3 FFN experts, 7 on identity experts.
  const work = workOf(rounded, { T }, [Int32Array.of(0, 1, 16, 17, 0, 18, 19, 20, 5, 0, 16, 21)]);
  const products = 5 * 2 * 3 * H * I;
  expect(work.flops).toBeGreaterThan(products + router);
  expect(work.flops).toBeLessThan((products + router) * 1.05);
  const weights = 3 * (3 * H * I) * 2;
  expect(work.bytes).toBe(weights + 4 * ((E + Z) * H + (E + Z)) + 4 * T * H * 2);
});

test("zero experts alone cost no product of an expert, and read no expert's weights", () => {
  const work = workOf(rounded, { T }, [new Int32Array(T * K).fill(20)]);
  expect(work.flops).toBeLessThan(router * 1.1);
  expect(work.bytes).toBe(4 * ((E + Z) * H + (E + Z)) + 4 * T * H * 2);
});

test("gate and up in one matrix count once, and of the experts that were hit", async () => {
  const params = { H, I, E, K };
  const gptOss = await readLayer({ file: join(installFolder(), "examples", "gpt-oss.ts"), params, cache: undefined });
  // 12 slots on 5 experts.
  const choices = Int32Array.of(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 9);
  const work = workOf(grouped(compileLayer(gptOss, packedTarget, "bf16")), { T }, [choices]);
  const products = 12 * 2 * 3 * H * I;
  expect(work.flops).toBeGreaterThan(products);
  expect(work.flops).toBeLessThan(products * 1.05);
  const weights = 5 * (3 * H * I) * 2;
  expect(work.bytes).toBeGreaterThan(weights);
  expect(work.bytes).toBeLessThan(weights * 1.1);
});

test("of experts' weights, a kernel reads those that are hit", () => {
  const bytes = (t: number): number => kernelWork(lowered, program, { T: t }).get("grouped_linear_o")?.bytes ?? 0;
  const others = (t: number): number => t * K * (2 * (I + 2) + 4 * H) + 4 * (E + 1); // rows of h are padded by 2
  expect(bytes(1)).toBe(K * 2 * H * I + others(1));
  expect(bytes(4)).toBe(E * 2 * H * I + others(4));
  expect(bytes(5) - others(5)).toBe(bytes(4) - others(4));
});

test("each kernel has its work: an upper bound, as if every slot went to an FFN expert", () => {
  const work = kernelWork(lowered, program, { T });
  expect(work.get("grouped_linear_h")?.flops).toBeGreaterThanOrEqual(T * K * 2 * 2 * H * I);
  expect(work.get("grouped_linear_o")?.flops).toBe(T * K * 2 * H * I);
  expect(work.get("dispatch_offsets")?.bytes).toBe(4 * (T * K * 3 + E + 1));
  expect([...work.keys()]).toEqual([...program.prepare, ...program.kernels].map((k) => k.name));
});
