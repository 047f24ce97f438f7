import { expect, test } from "vitest";
import { kernelsIn } from "./kernel-source.ts";

test("kernels are found with their parameters, place and type", () => {
  const source = `// extern "C" __global__ __aicore__ void commented(GM_ADDR x) {}
extern "C" __global__ __aicore__ void add(GM_ADDR x, __gm__ float *y /* in */, uint32_t total) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
}
__global__ __cube__ void
multiply(GM_ADDR a) {}
__global__ __mix__(1, 2) void both() {}
__global__ __aicore__ void plain(void) {}
void helper(GM_ADDR x) {}
`;
  expect(kernelsIn(source)).toEqual([
    {
      name: "add",
      parameters: [
        { name: "x", pointer: true },
        { name: "y", pointer: true },
        { name: "total", pointer: false },
      ],
      line: 2,
      column: 39,
      type: "MIX_AIV_1_0",
    },
    { name: "multiply", parameters: [{ name: "a", pointer: true }], line: 6, column: 1, type: "AIC_ONLY" },
    { name: "both", parameters: [], line: 7, column: 31, type: "MIX_AIC_1_2" },
    { name: "plain", parameters: [], line: 8, column: 28, type: undefined },
  ]);
});
