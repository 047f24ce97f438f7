import { describe, expect, test } from "vitest";
import { estimate } from "./estimate.ts";
import { parseKernel } from "./parser.ts";

const kernel = (buffers: string, body: string, grid = "") =>
  parseKernel(`kernel @k origin("test", "") (${buffers}) grid(${grid}) { ${body} }`);

describe("estimate", () => {
  test("elementwise: operations and bytes of every block", () => {
    const k = kernel(
      "read x: f32[T, 8], write y: bf16[T, 8]",
      "map y[t, 0:+8] = (v = x[t, 0:+8]) => (exp(v) * 2.0)",
      "t = T",
    );
    expect(estimate(k, { T: 5 })).toEqual({ flops: 80, bytesRead: 160, bytesWritten: 80, uniqueBytes: 240 });
  });

  test("a product: each block reads all of the other factor, but it is touched once", () => {
    const body = `alloc acc: f32[4, 2] in register fill acc[0:+4, 0:+2] = 0.0
      for k = 0 to 64 step 2 { mma acc[0:+4, 0:+2] += x[(m * 4):+4, k:+2] * w[(n * 2):+2, k:+2] }
      copy y[(m * 4):+4, (n * 2):+2] = acc[0:+4, 0:+2]`;
    const k = kernel("read x: f32[8, 64], read w: bf16[6, 64], write y: f32[8, 6]", body, "m = 2, n = 3");
    expect(estimate(k, {})).toEqual({
      flops: 2 * 8 * 6 * 64,
      bytesRead: 3 * (8 * 64 * 4) + 2 * (6 * 64 * 2),
      bytesWritten: 8 * 6 * 4,
      uniqueBytes: 8 * 64 * 4 + 6 * 64 * 2 + 8 * 6 * 4,
    });
  });

  test("tails are counted exactly", () => {
    const body = `let rows = min(4, (T - (b * 4))) alloc acc: f32[4, 2] in register
      mma acc[0:+4, 0:+2] += x[(b * 4):+4, 0:+8] * w[0:+2, 0:+8] init true rows rows
      copy y[(b * 4):+4, 0:+2] = acc[0:+4, 0:+2] valid (rows, 2)`;
    const k = kernel("read x: f32[T, 8], read w: f32[2, 8], write y: f32[T, 2]", body, "b = 3");
    expect(estimate(k, { T: 9 })).toEqual({
      flops: 2 * 9 * 2 * 8,
      bytesRead: 9 * 32 + 3 * 64,
      bytesWritten: 9 * 8,
      uniqueBytes: 9 * 32 + 64 + 9 * 8,
    });
  });

  const grouped = kernel(
    "read offsets: i32[5], read x: f32[T, 8], read w: f32[4, 2, 8], write y: f32[T, 2]",
    `let first = offsets[e] let count = (offsets[(e + 1)] - first)
     for r = 0 to count step 1 {
       alloc acc: f32[1, 2] in register
       mma acc[0:+1, 0:+2] += x[(first + r):+1, 0:+8] * w[e, 0:+2, 0:+8] init true
       copy y[(first + r):+1, 0:+2] = acc[0:+1, 0:+2]
     }`,
    "e = 4",
  );

  test("elements that decide are asked for", () => {
    const offsets = [0, 3, 3, 4, 6];
    const { flops, uniqueBytes } = estimate(grouped, { T: 6 }, { element: (_, [i]) => offsets[i] });
    expect(flops).toBe(2 * 6 * 2 * 8);
    // One expert has no rows, so its weights are not touched.
    expect(uniqueBytes).toBe(5 * 4 + 6 * 32 + 3 * 64 + 6 * 8);
  });

  test("loops of unknown length have the expected number of passes", () => {
    expect(estimate(grouped, { T: 6 }).flops).toBe(4 * 2 * 2 * 8);
    expect(estimate(grouped, { T: 6 }, { trips: 3 }).flops).toBe(3 * 4 * 2 * 2 * 8);
  });

  test("conditions that are known leave out the other side", () => {
    const k = kernel(
      "write y: f32[4], read x: f32[1]",
      "if (b < 1) { set y[b] = (x[0] + 1.0) } else { set y[b] = x[0] }",
      "b = 4",
    );
    expect(estimate(k, {})).toEqual({ flops: 1, bytesRead: 16, bytesWritten: 16, uniqueBytes: 20 });
  });

  test("a prefetch moves nothing of its own", () => {
    const k = kernel("write y: f32[4], read x: f32[64]", "prefetch x[0:+64] set y[b] = x[b]", "b = 4");
    expect(estimate(k, {})).toEqual({ flops: 0, bytesRead: 16, bytesWritten: 16, uniqueBytes: 32 });
  });

  test("reduce, top_k and gather", () => {
    const body = `alloc p: i32[2] in scratch for i = 0 to 2 step 1 { set p[i] = slots[i] }
      alloc t: f32[2, 4] in scratch copy t[0:+2, 0:+4] = x[gather(p, 2), 0:+4]
      reduce sum y[0:+2] = t[0:+2, 0:+4] top_k ids[0:+2] = t[0, 0:+4]`;
    const k = kernel("read slots: i32[2], read x: f32[T, 4], write y: f32[2], write ids: i32[2]", body);
    expect(estimate(k, { T: 100 })).toEqual({ flops: 6, bytesRead: 8 + 32, bytesWritten: 16, uniqueBytes: 56 });
    // No more than the whole buffer is touched.
    expect(estimate(k, { T: 1 }).uniqueBytes).toBe(8 + 16 + 16);
  });
});
