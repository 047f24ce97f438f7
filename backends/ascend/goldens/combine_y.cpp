// combine: weighted sum of each token's rows, and of the token itself for its zero experts
//   read      o: f32[2*T, 40]
//   read      rows: i32[2*T]
//   read      weights: f32[T, 2]
//   read      x: f32[T, 40]
//   read      y_zero_weight: f32[T, 1]
//   write     y: f32[T, 40]
// Blocks, dealt to the cores in turn: token < T.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_combine_y(GM_ADDR o_gm, GM_ADDR rows_gm, GM_ADDR weights_gm, GM_ADDR x_gm, GM_ADDR y_zero_weight_gm, GM_ADDR y_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<float> o;
  o.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(o_gm), 80 * T);
  GlobalTensor<int32_t> rows;
  rows.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(rows_gm), 2 * T);
  GlobalTensor<float> weights;
  weights.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(weights_gm), 2 * T);
  GlobalTensor<float> x;
  x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_gm), 40 * T);
  GlobalTensor<float> y_zero_weight;
  y_zero_weight.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_zero_weight_gm), T);
  GlobalTensor<float> y;
  y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_gm), 40 * T);

  TPipe pipe;
  TBuf<TPosition::VECCALC> row_of_buffer;
  pipe.InitBuffer(row_of_buffer, 32);
  TBuf<TPosition::VECCALC> weight_of_buffer;
  pipe.InitBuffer(weight_of_buffer, 32);
  TBuf<TPosition::VECCALC> sum_buffer;
  pipe.InitBuffer(sum_buffer, 192);
  TQue<TPosition::VECIN, 1> part_queue;
  pipe.InitBuffer(part_queue, 2, 192);
  TQue<TPosition::VECOUT, 1> result_queue;
  pipe.InitBuffer(result_queue, 2, 192);

  for (int64_t block = GetBlockIdx(); block < T; block += GetBlockNum()) {
    const int64_t token = block;
    LocalTensor<int32_t> row_of = row_of_buffer.Get<int32_t>();
    WaitFor<HardEvent::S_MTE2>();
    DataCopyPad(row_of, rows[token * 2], DataCopyExtParams(1, 8, 0, 0, 0), ZeroPad<int32_t>(0));
    LocalTensor<float> weight_of = weight_of_buffer.Get<float>();
    DataCopyPad(weight_of, weights[token * 2], DataCopyExtParams(1, 8, 0, 0, 0), ZeroPad<float>(0));
    LocalTensor<float> sum = sum_buffer.Get<float>();
    PipeBarrier<PIPE_V>();
    Duplicate(sum, 0.0f, 48);
    WaitFor<HardEvent::MTE2_S>();
    for (int64_t k = 0; k < 2; k++) {
      const int64_t row = static_cast<int64_t>(row_of.GetValue(k));
      if (!(row < 0)) {
        const float weight = weight_of.GetValue(k);
        LocalTensor<float> part = part_queue.AllocTensor<float>();
        DataCopyPad(part, o[row * 40], DataCopyExtParams(1, 160, 0, 0, 0), ZeroPad<float>(0));
        part_queue.EnQue(part);
        part = part_queue.DeQue<float>();
        Duplicate(part[40], 0.0f, 8);
        PipeBarrier<PIPE_V>();
        Axpy(sum, part, weight, 48);
        part_queue.FreeTensor(part);
      }
    }
    const float zero_weight = y_zero_weight.GetValue(token);
    LocalTensor<float> part_1 = part_queue.AllocTensor<float>();
    DataCopyPad(part_1, x[token * 40], DataCopyExtParams(1, 160, 0, 0, 0), ZeroPad<float>(0));
    part_queue.EnQue(part_1);
    part_1 = part_queue.DeQue<float>();
    Duplicate(part_1[40], 0.0f, 8);
    PipeBarrier<PIPE_V>();
    Axpy(sum, part_1, zero_weight, 48);
    LocalTensor<float> result = result_queue.AllocTensor<float>();
    PipeBarrier<PIPE_V>();
    Adds(result.ReinterpretCast<int32_t>(), sum.ReinterpretCast<int32_t>(), 0, 48);
    result_queue.EnQue(result);
    result = result_queue.DeQue<float>();
    DataCopyPad(y[token * 40], result, DataCopyExtParams(1, 160, 0, 0, 0));
    part_queue.FreeTensor(part_1);
    result_queue.FreeTensor(result);
  }
}
