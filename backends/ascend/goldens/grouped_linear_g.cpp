// grouped_linear: product with each row's expert
//   read      tokens: bf16[2*T, 40]
//   read      offsets: i32[6]
//   read      gate: bf16[5, 24, 40]
//   write     g: f32[2*T, 24]
// Blocks, dealt to the cores in turn: expert < 5.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_grouped_linear_g(GM_ADDR tokens_gm, GM_ADDR offsets_gm, GM_ADDR gate_gm, GM_ADDR g_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<bfloat16_t> tokens;
  tokens.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(tokens_gm), 80 * T);
  GlobalTensor<int32_t> offsets;
  offsets.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(offsets_gm), 6);
  GlobalTensor<bfloat16_t> gate;
  gate.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(gate_gm), 4800);
  GlobalTensor<float> g;
  g.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(g_gm), 48 * T);

  TPipe pipe;
  TQue<TPosition::CO1, 1> sums_queue;
  pipe.InitBuffer(sums_queue, 2, 32768);
  TQue<TPosition::A1, 1> x_l1_queue;
  pipe.InitBuffer(x_l1_queue, 2, 24576);
  TQue<TPosition::B1, 1> w_l1_queue;
  pipe.InitBuffer(w_l1_queue, 2, 3072);
  TQue<TPosition::A2, 1> x_l0_queue;
  pipe.InitBuffer(x_l0_queue, 2, 24576);
  TQue<TPosition::B2, 1> w_l0_queue;
  pipe.InitBuffer(w_l0_queue, 2, 3072);

  for (int64_t block = GetBlockIdx(); block < 5; block += GetBlockNum()) {
    const int64_t expert = block;
    const int64_t first = static_cast<int64_t>(offsets.GetValue(expert));
    const int64_t count = static_cast<int64_t>(offsets.GetValue(expert + 1)) - first;
    for (int64_t row = 0; row < count; row += 256) {
      const int64_t top = first + row;
      const int64_t valid_rows = Smaller(count - row, 256);
      LocalTensor<float> sums = sums_queue.AllocTensor<float>();
      LocalTensor<bfloat16_t> x_l1 = x_l1_queue.AllocTensor<bfloat16_t>();
      LocalTensor<bfloat16_t> w_l1 = w_l1_queue.AllocTensor<bfloat16_t>();
      const int64_t x_l1_fractals = RoundUp(valid_rows, 16) / 16;
      DataCopy(x_l1, tokens[top * 40], Nd2NzParams(valid_rows == 1 ? 2 : 1, valid_rows, 40, 0, 40, x_l1_fractals * 16, 1, 16));
      x_l1_queue.EnQue(x_l1);
      x_l1 = x_l1_queue.DeQue<bfloat16_t>();
      DataCopy(w_l1, gate[expert * 960], Nd2NzParams(1, 24, 40, 0, 40, 32, 1, 0));
      w_l1_queue.EnQue(w_l1);
      w_l1 = w_l1_queue.DeQue<bfloat16_t>();
      LocalTensor<bfloat16_t> x_l0 = x_l0_queue.AllocTensor<bfloat16_t>();
      LocalTensor<bfloat16_t> w_l0 = w_l0_queue.AllocTensor<bfloat16_t>();
      if (x_l1_fractals <= 3) {
        for (int64_t m1 = 0; m1 < x_l1_fractals; m1++) {
          LoadData(x_l0[m1 * 768], x_l1, LoadData2DParams(m1, 3, x_l1_fractals, 0, 0, false, 0));
        }
      }
      else {
        for (int64_t k1 = 0; k1 < 3; k1++) {
          LoadData(x_l0[k1 * 256], x_l1, LoadData2DParams(k1 * x_l1_fractals, x_l1_fractals, 1, 0, 2, false, 0));
        }
      }
      x_l0_queue.EnQue(x_l0);
      x_l0 = x_l0_queue.DeQue<bfloat16_t>();
      LoadData(w_l0, w_l1, LoadData2DParams(0, 6, 1, 0, 0, false, 0));
      w_l0_queue.EnQue(w_l0);
      w_l0 = w_l0_queue.DeQue<bfloat16_t>();
      Mmad(sums, x_l0, w_l0, MmadParams(Larger(valid_rows, 2), 24, 40, 0, false, true));
      sums_queue.EnQue(sums);
      sums = sums_queue.DeQue<float>();
      FixpipeParamsV220 fixpipe_sums(24, valid_rows, RoundUp(valid_rows, 16), 24, false);
      Fixpipe<float, float, CFG_ROW_MAJOR>(g[top * 24], sums, fixpipe_sums);
      sums_queue.FreeTensor(sums);
      x_l1_queue.FreeTensor(x_l1);
      w_l1_queue.FreeTensor(w_l1);
      x_l0_queue.FreeTensor(x_l0);
      w_l0_queue.FreeTensor(w_l0);
    }
  }
}
