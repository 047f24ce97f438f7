import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compileLayer } from "../../../codegen/compile.ts";
import { emitKernels } from "../../../codegen/emit/ascend/index.ts";
import type { Program } from "../../../codegen/program.ts";
import { DiagnosticError } from "../../../ir/core/diagnostic.ts";
import { parseLayer } from "../../../ir/text/index.ts";
import { ascendIsa, ascendTargetOf, type SocName, socs } from "../target.ts";
import { chipOf, curves, socNames, transferSeconds } from "./figures.ts";
import { functions } from "./functions.ts";
import { endOfAll, modelKernel } from "./kernel.ts";
import { L2 } from "./l2.ts";
import { chooseExperts, modelLayer, type RoutingChoice } from "./layer.ts";
import { Memory } from "./memory.ts";
import { parseKernel } from "./parse.ts";

const fixtures = new URL("../../../codegen/fixtures/", import.meta.url);
const balanced: RoutingChoice = { kind: "balanced" };

const programOf = (file: string, soc: SocName, storage: "f32" | "bf16" = "bf16"): Program =>
  compileLayer(parseLayer(readFileSync(new URL(file, fixtures), "utf8"), file), ascendTargetOf(soc), storage).program;

/** The kernels' text; undefined for a program that the target refuses. */
function textOf(program: Program): string | undefined {
  try {
    return emitKernels(program, ascendIsa("910B3"))
      .kernels.map((k) => k.text)
      .join("");
  } catch (error) {
    if (error instanceof DiagnosticError) return undefined;
    throw error;
  }
}

describe("a kernel of one copy in, one instruction and one copy out", () => {
  // The kernel whose figures docs/ascend.md derives by hand.
  const text = `
extern "C" __global__ __aicore__ void twice(GM_ADDR x_gm, GM_ADDR y_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<float> x;
  x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_gm), 32768);
  GlobalTensor<float> y;
  y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_gm), 32768);
  TPipe pipe;
  TQue<TPosition::VECIN, 1> in;
  pipe.InitBuffer(in, 2, 8192);
  TQue<TPosition::VECOUT, 1> out;
  pipe.InitBuffer(out, 2, 8192);
  for (int64_t block = GetBlockIdx(); block < 16; block += GetBlockNum()) {
    LocalTensor<float> a = in.AllocTensor<float>();
    DataCopyPad(a, x[block * 2048], DataCopyExtParams(1, 8192, 0, 0, 0), ZeroPad<float>(0));
    in.EnQue(a);
    a = in.DeQue<float>();
    LocalTensor<float> b = out.AllocTensor<float>();
    Muls(b, a, 2.0f, 2048);
    out.EnQue(b);
    b = out.DeQue<float>();
    DataCopyPad(y[block * 2048], b, DataCopyExtParams(1, 8192, 0, 0, 0));
    in.FreeTensor(a);
    out.FreeTensor(b);
  }
}`;
  const page = readFileSync(new URL("../../../docs/ascend.md", import.meta.url), "utf8");
  const model = modelKernel(
    { name: "twice", type: "AIV_ONLY", text, summary: "twice", parameters: ["x", "y"] },
    new Map([
      ["x", new Memory("x", "gm")],
      ["y", new Memory("y", "gm")],
    ]),
    new Memory("tiling", "gm", new Float64Array(1), true),
    chipOf("910B3"),
    new L2(chipOf("910B3")),
    { firstBlock: true },
  );

  it("takes what is derived by hand", () => {
    const hertz = 1.8e9;
    const [copyIn, copyOut] = [(30643 + 8192) / (247.16 * 2 ** 30), (1755 + 8192) / (28.19 * 2 ** 30)];
    const multiply = (42 + 2048 / 64) / hertz;
    // The scalar unit: 2 for the loop, 8 for the queue, 1 for the offset and 8 to hand the copy over.
    const before = (2 + 8 + 1 + 8) / hertz;
    expect(model.seconds).toBeCloseTo(before + copyIn + multiply + copyOut, 12);
    expect(model.blocks).toBe(16);
    expect(model.cores).toBe(16);
    expect(model.hbmBytes).toBe(2 * 16 * 8192);
    expect(model.bound).toBe("MTE3");
    expect(model.roofs.hbm).toBeCloseTo((2 * 16 * 8192) / 1.6e12, 15);
    expect(model.roofs.vector).toBeCloseTo((16 * 32) / 40 / hertz, 15);
    // The same one instruction after the other, for the drawing of the pipes.
    const { events = [], cycles } = model.first ?? {};
    expect(events.map((e) => `${e.pipe} ${e.label}`)).toEqual(["MTE2 DataCopyPad", "V Muls", "MTE3 DataCopyPad"]);
    const ends = [before + copyIn, before + copyIn + multiply, model.seconds];
    events.forEach((e, i) => {
      expect(e.start / hertz).toBeCloseTo(ends[i - 1] ?? before, 12);
      expect(e.end / hertz).toBeCloseTo(ends[i] ?? 0, 12);
    });
    expect(cycles).toBe(events.at(-1)?.end);
  });

  it("stands in docs/ascend.md with these figures", () => {
    const nanoseconds = (seconds: number): string => (seconds * 1e9).toFixed(1);
    expect(page).toContain(`${nanoseconds(transferSeconds(curves.gmToUb, 8192))} ns`);
    expect(page).toContain(`${nanoseconds(transferSeconds(curves.ubToGm, 8192))} ns`);
    expect(page).toContain(`${nanoseconds(model.seconds)} ns`);
    expect(page).toContain(text.trim().split("\n").slice(-19).join("\n"));
  });
});

/** The last is more rows than vector cores; in the long run of tests, more than three for each. */
const tokens = [0, 1, 5, process.env.UNMOOR_TEST_ALL === "1" ? 130 : 45];

describe("generated kernels", () => {
  it.each(readdirSync(fixtures).filter((f) => f.endsWith(".moe")))(
    `of %s are all modelled, at T = ${tokens.join(", ")}`,
    (file) => {
      const modelled = new Set<string | undefined>([undefined]);
      for (const storage of ["f32", "bf16"] as const) {
        const program = programOf(file, "910B3", storage);
        // What the target refuses has no kernels to model; a layer without matrices has the same in any storage.
        const text = textOf(program);
        if (modelled.has(text)) continue;
        modelled.add(text);
        let before = 0;
        for (const T of tokens) {
          const dims = Object.fromEntries(program.symbols.map((s) => [s, T]));
          const model = modelLayer(program, chipOf("910B3"), dims, { kind: "seeded", seed: 3 });
          expect(model.kernels.map((k) => k.name)).toEqual(program.kernels.map((k) => k.name));
          for (const k of model.kernels) {
            expect(Number.isFinite(k.seconds), `${k.name} at T = ${T}`).toBe(true);
            expect(Math.max(k.roofs.hbm, k.roofs.cube, k.roofs.vector), k.name).toBeLessThanOrEqual(k.seconds);
          }
          expect(model.seconds).toBeGreaterThanOrEqual(before);
          before = model.seconds;
        }
      }
    },
  );

  it("take the same time whether blocks are walked one by one or by kinds", () => {
    const program = programOf("longcat.moe", "910B3");
    for (const T of [1, 7, 200]) {
      const [kinds, each] = [false, true].map((exact) =>
        modelLayer(program, chipOf("910B3"), { T }, { kind: "seeded", seed: 5 }, { exact }),
      );
      kinds?.kernels.forEach((k, i) => {
        const full = each?.kernels[i]?.seconds ?? 0;
        expect(Math.abs(k.seconds - full) / full, `${k.name} at T = ${T}: ${k.seconds} and ${full}`).toBeLessThan(0.12);
        expect(k.roofs).toEqual(each?.kernels[i]?.roofs);
      });
    }
  });

  it("fetch each weight of each expert that was hit once from memory", () => {
    const program = programOf("longcat.moe", "910B3");
    const { kernels } = modelLayer(program, chipOf("910B3"), { T: 1 }, balanced);
    // 4 of 24 experts, of which 16 are computed; H 256, I 128, bf16.
    const hit = [...chooseExperts(1, 4, 24, balanced)].filter((e) => e < 16).length;
    for (const k of kernels.filter((x) => x.name.startsWith("grouped_linear"))) {
      const stacked = program.kernels.find((x) => x.name === k.name)?.buffers.filter((b) => b.dims.length === 3).length;
      const weights = hit * 256 * 128 * 2 * (stacked ?? 0);
      expect(k.hbmBytes).toBeGreaterThanOrEqual(weights);
      expect(k.hbmBytes - weights, k.name).toBeLessThan(hit * (256 + 256) * 8);
    }
  });

  it("take less time where vector cores compute the epilogue beside the cube cores than in kernels of their own", () => {
    const layer = parseLayer(readFileSync(new URL("longcat.moe", fixtures), "utf8"), "longcat.moe");
    const target = ascendTargetOf("910B3");
    const { exchange: _, ...spaces } = target.spaces;
    const [mixed, apart] = [target, { ...target, spaces }].map((t) =>
      modelLayer(compileLayer(layer, t, "bf16").program, chipOf("910B3"), { T: 200 }, balanced),
    );
    expect(mixed?.kernels.map((k) => k.kind)).toContain("mix");
    expect(apart?.kernels.map((k) => k.kind)).not.toContain("mix");
    expect(mixed?.kernels.length).toBeLessThan(apart?.kernels.length ?? 0);
    expect(mixed?.seconds).toBeLessThan((apart?.seconds ?? 0) * 0.95);
    expect(mixed?.hbmBytes).toBeLessThan(apart?.hbmBytes ?? 0);
    // Both parts are in it.
    const mix = mixed?.kernels.find((k) => k.kind === "mix");
    expect(mix?.busy.M).toBeGreaterThan(0);
    expect(mix?.busy.V).toBeGreaterThan(0);
  });

  it("take longer with one tensor in each queue than with two", () => {
    // Transfers and computation no longer overlap.
    const program = programOf("longcat.moe", "910B3");
    const { kernels } = emitKernels(program, ascendIsa("910B3"));
    const emitted = kernels.find((k) => k.kernel.origin.op === "cast");
    if (!emitted) throw new Error("a conversion");
    const single = emitted.text.replace(/(InitBuffer\(\w+, )2,/g, "$11,");
    expect(single).not.toBe(emitted.text);
    const [two, one] = [emitted.text, single].map((text) => {
      const memories = new Map(emitted.kernel.buffers.map((b) => [b.name, new Memory(b.name, "gm")]));
      const tiling = new Memory("tiling", "gm", Float64Array.of(4096), true);
      const parameters = emitted.kernel.buffers.map((b) => b.name);
      const { name, type } = emitted;
      return modelKernel(
        { name, type, text, summary: "", parameters },
        memories,
        tiling,
        chipOf("910B3"),
        new L2(chipOf("910B3")),
      );
    });
    expect(one?.seconds).toBeGreaterThan((two?.seconds ?? 0) * 1.1);
  });
});

describe("the schedule on a 910B3", () => {
  const sized = (sizes: Readonly<Record<string, number>>, storage: "bf16" | "int8" = "bf16") => {
    const layer = parseLayer(readFileSync(new URL("longcat.moe", fixtures), "utf8"), "longcat.moe");
    return compileLayer({ ...layer, params: { ...layer.params, ...sizes } }, ascendTargetOf("910B3"), storage).program;
  };

  it("multiplies bytes in half of the cube units' time, and fetches them in half of the memory's", () => {
    const sizes = { H: 4096, I: 1024, E: 12, Z: 4, K: 8 };
    const [halves, bytes] = (["bf16", "int8"] as const).map((storage) =>
      modelLayer(sized(sizes, storage), chipOf("910B3"), { T: 1024 }, balanced).kernels.filter((k) =>
        k.name.startsWith("grouped_linear"),
      ),
    );
    const sum = (kernels: typeof halves, pick: (k: NonNullable<typeof halves>[number]) => number): number =>
      (kernels ?? []).reduce((n, k) => n + pick(k), 0);
    expect(sum(bytes, (k) => k.roofs.cube)).toBeCloseTo(sum(halves, (k) => k.roofs.cube) / 2, 6);
    expect(sum(bytes, (k) => k.seconds)).toBeLessThan(0.85 * sum(halves, (k) => k.seconds));
    const one = (storage: "bf16" | "int8") =>
      modelLayer(sized(sizes, storage), chipOf("910B3"), { T: 1 }, balanced).seconds;
    expect(one("int8")).toBeLessThan(0.75 * one("bf16"));
  });

  it("fetches weights at 80 % of the memory's rate or more, for one token of a large layer", () => {
    const program = sized({ H: 8192, I: 2048, E: 768, Z: 128, K: 12 });
    const model = modelLayer(program, chipOf("910B3"), { T: 1 }, balanced);
    expect(model.roofs.hbm / model.seconds).toBeGreaterThan(0.8);
    // 77 GB of weights in 64 GiB.
    expect(model.overfull).toBeGreaterThan(77e9);
  });

  it("multiplies at 70 % of the cube units' peak or more, for hundreds of rows in each expert", () => {
    const program = sized({ H: 8192, I: 2048, E: 12, Z: 4, K: 8 });
    const { kernels } = modelLayer(program, chipOf("910B3"), { T: 1024 }, balanced);
    const products = kernels.filter((k) => k.name.startsWith("grouped_linear"));
    const sum = (pick: (k: (typeof products)[number]) => number): number => products.reduce((n, k) => n + pick(k), 0);
    expect(sum((k) => k.roofs.cube) / sum((k) => k.seconds)).toBeGreaterThan(0.7);
  });
});

describe("chips", () => {
  it("are those of the target, and differ as their figures do", () => {
    expect([...socNames].sort()).toEqual(Object.keys(socs).sort());
    const seconds = (soc: SocName): number =>
      modelLayer(programOf("longcat.moe", soc), chipOf(soc), { T: 64 }, balanced).seconds;
    expect(seconds("910B4")).toBeGreaterThan(seconds("910B3"));
    expect(seconds("910B1")).toBeLessThan(seconds("910B3"));
  });

  it("are listed where one is unknown", () => {
    expect(() => chipOf("910B9")).toThrow('there is no SoC "910B9" in the cost model');
    expect(() => chipOf("")).toThrow();
  });
});

describe("cores that share memory", () => {
  it("leave their share to the rest when they end", () => {
    const core = (alone: number, shared: number) => ({ alone, shared });
    expect(endOfAll([])).toBe(0);
    expect(endOfAll([core(10, 40), core(10, 40)])).toBe(40);
    // The second has half as much to do: after 20, the first has half of its work left and memory of its own for it.
    expect(endOfAll([core(10, 40), core(5, 20)])).toBeCloseTo(20 + 10);
    // One that computes does not get faster.
    expect(endOfAll([core(40, 40), core(5, 20)])).toBeCloseTo(40);
  });
});

describe("routing", () => {
  it.each([balanced, { kind: "seeded", seed: 1 }, { kind: "seeded", seed: 2 }] as const)(
    "%o: no token chooses an expert twice",
    (routing) => {
      for (const [tokens, topK, experts] of [
        [1, 12, 896],
        [100, 4, 5],
        [3, 1, 1],
        [50, 6, 6],
      ] as const) {
        const ids = chooseExperts(tokens, topK, experts, routing);
        for (let t = 0; t < tokens; t++) {
          const own = ids.slice(t * topK, (t + 1) * topK);
          expect(new Set(own).size).toBe(topK);
          expect(Math.min(...own)).toBeGreaterThanOrEqual(0);
          expect(Math.max(...own)).toBeLessThan(experts);
        }
      }
    },
  );

  it("is even where it is balanced", () => {
    const counts = new Array<number>(896).fill(0);
    for (const e of chooseExperts(4096, 12, 896, balanced)) counts[e] = (counts[e] ?? 0) + 1;
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });
});

it("knows every scalar helper of the support header", () => {
  const header = readFileSync(new URL("../support/unmoor_kernel.h", import.meta.url), "utf8");
  const helpers = [...header.matchAll(/inline (?:float|int64_t) (\w+)\(/g)].map((m) => m[1] ?? "");
  expect(helpers.length).toBeGreaterThan(4);
  for (const name of helpers) expect(Object.keys(functions), "add it to cost/functions.ts").toContain(name);
});

describe("text that is no generated kernel", () => {
  const kernel = (body: string): string => `extern "C" __global__ __aicore__ void k(GM_ADDR x) {\n${body}\n}`;

  it.each([
    ["no kernel", "void k() {}", "expects a function marked __global__"],
    ["a while loop", kernel("while (true) {}"), 'line 2 of the kernel has "{" where the cost model expects ";"'],
    ["a loop that counts down", kernel("for (int i = 9; i > 0; i--) {}"), 'has ">" where the cost model expects "<"'],
    ["an end too early", 'extern "C" __global__ void k() {', "line after the last of the kernel has nothing"],
  ])("is refused with its line: %s", (_, text, message) => {
    expect(() => parseKernel(text)).toThrow(message);
  });

  it("is refused where it calls what the model does not know", () => {
    const text = kernel("for (int64_t block = GetBlockIdx(); block < 1; block += GetBlockNum()) {\n Frobnicate(x);\n}");
    const memory = new Map([["x", new Memory("x", "gm")]]);
    const tiling = new Memory("tiling", "gm");
    const emitted = { name: "k", type: "AIV_ONLY" as const, text, summary: "", parameters: ["x"] };
    expect(() => modelKernel(emitted, memory, tiling, chipOf("910B3"), new L2(chipOf("910B3")))).toThrow(
      "the cost model does not know Frobnicate",
    );
  });
});
