/** A kernel with a Matmul object and an epilogue on vector cores, as somebody writes it by hand, from the command line. */
import { readFileSync, writeFileSync } from "node:fs";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type Ran, temporaryFolder, unmoor } from "./support.ts";

const kernel = `#include "kernel_operator.h"
#include "lib/matmul_intf.h"
using namespace AscendC;

template <typename T, TPosition P = TPosition::GM> using Nd = MatmulType<P, CubeFormat::ND, T>;

// c = leakyrelu(a x b + bias): each vector core takes a part of singleCoreM x singleCoreN, and gets it block by block.
extern "C" __global__ __aicore__ void matmul_leakyrelu(GM_ADDR a, GM_ADDR b, GM_ADDR bias, GM_ADDR c, GM_ADDR workspace, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  GET_TILING_DATA_WITH_STRUCT(TCubeTiling, t, tiling);
  TPipe pipe;
  Matmul<Nd<float>, Nd<float>, Nd<float, TPosition::VECIN>, Nd<float>> mm;
  REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &t);
  if (GetBlockIdx() >= t.usedCoreNum) return;
  GlobalTensor<float> left, right, start, out;
  left.SetGlobalBuffer((__gm__ float *)a, t.M * t.Ka);
  right.SetGlobalBuffer((__gm__ float *)b, t.Kb * t.N);
  start.SetGlobalBuffer((__gm__ float *)bias, t.N);
  out.SetGlobalBuffer((__gm__ float *)c, t.M * t.N);
  const int rows = t.M / t.singleCoreM, row = GetBlockIdx() % rows * t.singleCoreM, column = GetBlockIdx() / rows * t.singleCoreN;
  TQue<TPosition::VECIN, 1> sums;
  TQue<TPosition::VECOUT, 1> results;
  pipe.InitBuffer(sums, 2, t.baseM * t.baseN * sizeof(float));
  pipe.InitBuffer(results, 2, t.baseM * t.baseN * sizeof(float));
  mm.SetTensorA(left[row * t.Ka]);
  mm.SetTensorB(right[column]);
  mm.SetBias(start[column]);
  const int blocks = t.singleCoreM / t.baseM;
  for (int block = 0; mm.Iterate(); block++) {
    LocalTensor<float> x = sums.AllocTensor<float>();
    mm.GetTensorC(x, 0, true);
    sums.EnQue(x);
    x = sums.DeQue<float>();
    LocalTensor<float> y = results.AllocTensor<float>();
    LeakyRelu(y, x, 0.5f, t.baseM * t.baseN);
    results.EnQue(y);
    sums.FreeTensor(x);
    y = results.DeQue<float>();
    const int at = (row + block % blocks * t.baseM) * t.N + column + block / blocks * t.baseN;
    DataCopy(out[at], y, DataCopyParams(t.baseM, t.baseN / 8, 0, (t.N - t.baseN) / 8));
    results.FreeTensor(y);
  }
  mm.End();
}
`;

const [m, n, k] = [64, 96, 48];
const numbers = (count: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => ((i * 7919 + seed) % 17) - 8);

/** The tiling's 50 fields in their order, of which those that are not named are 0. */
function tiling(changes: Readonly<Record<number, number>> = {}): string {
  const fields: Record<number, number> = {
    ...{ 0: 4, 1: m, 2: n, 3: k, 4: k }, // usedCoreNum, M, N, Ka, Kb
    ...{ 5: 32, 6: 48, 7: k, 8: 16, 9: 48, 10: 16 }, // singleCoreM, N, K, baseM, N, K
    ...{ 11: 2, 12: 2, 13: 1, 14: 1, 15: 1 }, // depthA1, depthB1, stepM, stepN, isBias
    ...{ 26: 1, 27: 1, 30: 2, 31: 2, 32: 1 }, // stepKa, stepKb, dbL0A, dbL0B, dbL0C
    ...changes,
  };
  return Array.from({ length: 50 }, (_, i) => fields[i] ?? 0).join();
}

vi.setConfig({ testTimeout: 400_000 });

beforeEach(() => {
  const before = process.cwd();
  process.chdir(temporaryFolder());
  onTestFinished(() => process.chdir(before));
});

function run(text: string, fields: string): Promise<Ran> {
  writeFileSync("matmul_leakyrelu.cpp", text);
  const file = (name: string, values: number[]): string => {
    writeFileSync(`${name}.bin`, new Uint8Array(new Float32Array(values).buffer));
    return `${name}=${name}.bin`;
  };
  const inputs = [file("a", numbers(m * k, 1)), file("b", numbers(k * n, 5)), file("bias", numbers(n, 9))];
  const others = [`c=out:f32[${m},${n}]`, "workspace=work:u8[16]", `tiling=i32:${fields}`];
  const words = [...inputs, ...others].flatMap((each) => ["--arg", each]);
  const options = ["--blocks", "2", "--seeds", "5", "--save", "c=c.bin"];
  return unmoor(["ascend", "run", "matmul_leakyrelu.cpp", ...words, ...options]);
}

test("computes what a plain loop does, in five orders", async () => {
  const ran = await run(kernel, tiling());
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out).toContain(
    "matmul_leakyrelu on the Ascend emulator (910B3, MIX_AIC_1_2, 2 blocks, seeds 0 to 4): nothing found",
  );
  const [a, b, bias] = [numbers(m * k, 1), numbers(k * n, 5), numbers(n, 9)];
  const want = Array.from({ length: m * n }, (_, i) => {
    let sum = bias[i % n] ?? 0;
    for (let p = 0; p < k; p++) sum += (a[Math.floor(i / n) * k + p] ?? 0) * (b[p * n + (i % n)] ?? 0);
    return sum < 0 ? sum / 2 : sum;
  });
  expect([...new Float32Array(new Uint8Array(readFileSync("c.bin")).buffer)]).toEqual(want);
});

test("a block that nobody fetches, and a tiling without its bias, are refused at their places", async () => {
  const lineOf = (text: string): number => kernel.split("\n").findIndex((line) => line.includes(text)) + 1;
  const unfetched = await run(
    kernel.replace(/ {4}LocalTensor<float> x[\s\S]*results\.FreeTensor\(y\);\n/, ""),
    tiling(),
  );
  expect(unfetched).toMatchObject({ status: 2, out: "" });
  expect(unfetched.err).toContain("Matmul::Iterate [matmul-order]");
  expect(unfetched.err).toContain(`--> matmul_leakyrelu.cpp:${lineOf("mm.Iterate()")}:`);
  const plain = await run(kernel, tiling({ 15: 0 }));
  expect(plain.err).toContain("Matmul::SetBias [matmul-tiling]: isBias");
  expect(plain.err).toContain(`--> matmul_leakyrelu.cpp:${lineOf("mm.SetBias")}:`);
});
