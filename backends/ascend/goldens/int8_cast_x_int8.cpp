// cast: convert rows to bytes
//   read      x: f32[T, 40]
//   write     x_int8: i8[T, 40]
//   write     x_int8_scales: f32[T, 1]
// Blocks, dealt to the cores in turn: row < T.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_cast_x_int8(GM_ADDR x_gm, GM_ADDR x_int8_gm, GM_ADDR x_int8_scales_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<float> x;
  x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_gm), 40 * T);
  GlobalTensor<int8_t> x_int8;
  x_int8.SetGlobalBuffer(reinterpret_cast<__gm__ int8_t *>(x_int8_gm), 40 * T);
  GlobalTensor<float> x_int8_scales;
  x_int8_scales.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_int8_scales_gm), T);

  TPipe pipe;
  TBuf<TPosition::VECCALC> most_of_buffer;
  pipe.InitBuffer(most_of_buffer, 32);
  TQue<TPosition::VECIN, 1> part_queue;
  pipe.InitBuffer(part_queue, 2, 160);
  TBuf<TPosition::VECCALC> most_terms_buffer;
  pipe.InitBuffer(most_terms_buffer, 160);
  TBuf<TPosition::VECCALC> work_buffer;
  pipe.InitBuffer(work_buffer, 32);
  TBuf<TPosition::VECCALC> rounded_buffer;
  pipe.InitBuffer(rounded_buffer, 192);
  TQue<TPosition::VECIN, 1> part_1_queue;
  pipe.InitBuffer(part_1_queue, 2, 192);
  TBuf<TPosition::VECCALC> value_buffer;
  pipe.InitBuffer(value_buffer, 256);
  TQue<TPosition::VECOUT, 1> x_int8_out_queue;
  pipe.InitBuffer(x_int8_out_queue, 2, 64);
  TBuf<TPosition::VECCALC> wide_buffer;
  pipe.InitBuffer(wide_buffer, 192);

  for (int64_t block = GetBlockIdx(); block < T; block += GetBlockNum()) {
    const int64_t row = block;
    LocalTensor<float> most_of = most_of_buffer.Get<float>();
    LocalTensor<float> part = part_queue.AllocTensor<float>();
    DataCopyPad(part, x[row * 40], DataCopyExtParams(1, 160, 0, 0, 0), ZeroPad<float>(0));
    part_queue.EnQue(part);
    part = part_queue.DeQue<float>();
    LocalTensor<float> most_terms = most_terms_buffer.Get<float>();
    Abs(most_terms, part, 40);
    LocalTensor<float> work = work_buffer.Get<float>();
    WaitFor<HardEvent::MTE3_V>();
    PipeBarrier<PIPE_V>();
    ReduceMax(most_of, most_terms, work, 40);
    WaitFor<HardEvent::V_S>();
    const float most = most_of.GetValue(0);
    const float inverse = most < 1.504632769052528e-36f ? 0.0f : 127.0f / most;
    LocalTensor<float> scale = work_buffer.Get<float>();
    scale.SetValue(0, most * 0.007874015748031496f);
    WaitFor<HardEvent::S_MTE3>();
    DataCopyPad(x_int8_scales[row], scale, DataCopyExtParams(1, 4, 0, 0, 0));
    if (most <= 3.4028234663852886e+38f) {
      LocalTensor<int32_t> rounded = rounded_buffer.Get<int32_t>();
      LocalTensor<float> part_1 = part_1_queue.AllocTensor<float>();
      DataCopyPad(part_1, x[row * 40], DataCopyExtParams(1, 160, 0, 0, 0), ZeroPad<float>(0));
      part_1_queue.EnQue(part_1);
      part_1 = part_1_queue.DeQue<float>();
      Duplicate(part_1[40], 0.0f, 8);
      LocalTensor<float> value = value_buffer.Get<float>();
      PipeBarrier<PIPE_V>();
      Muls(value, part_1, inverse, 48);
      PipeBarrier<PIPE_V>();
      Adds(value, value, 0.5f, 48);
      PipeBarrier<PIPE_V>();
      Cast(value, value, RoundMode::CAST_FLOOR, 48);
      PipeBarrier<PIPE_V>();
      Cast(rounded, value, RoundMode::CAST_TRUNC, 48);
      LocalTensor<int8_t> x_int8_out = x_int8_out_queue.AllocTensor<int8_t>();
      LocalTensor<half> half_wide = value_buffer.Get<half>();
      LocalTensor<float> wide = wide_buffer.Get<float>();
      PipeBarrier<PIPE_V>();
      Cast(wide, rounded, RoundMode::CAST_RINT, 48);
      PipeBarrier<PIPE_V>();
      Cast(half_wide, wide, RoundMode::CAST_RINT, 48);
      PipeBarrier<PIPE_V>();
      Cast(x_int8_out, half_wide, RoundMode::CAST_RINT, 48);
      x_int8_out_queue.EnQue(x_int8_out);
      x_int8_out = x_int8_out_queue.DeQue<int8_t>();
      DataCopyPad(x_int8[row * 40], x_int8_out, DataCopyExtParams(1, 40, 0, 0, 0));
      part_1_queue.FreeTensor(part_1);
      x_int8_out_queue.FreeTensor(x_int8_out);
    }
    else {
      LocalTensor<int32_t> rounded_1 = wide_buffer.Get<int32_t>();
      Duplicate(rounded_1, static_cast<int32_t>(0), 48);
      LocalTensor<int8_t> x_int8_out_1 = x_int8_out_queue.AllocTensor<int8_t>();
      LocalTensor<half> half_wide_2 = rounded_buffer.Get<half>();
      LocalTensor<float> wide_2 = value_buffer.Get<float>();
      PipeBarrier<PIPE_V>();
      Cast(wide_2, rounded_1, RoundMode::CAST_RINT, 48);
      PipeBarrier<PIPE_V>();
      Cast(half_wide_2, wide_2, RoundMode::CAST_RINT, 48);
      PipeBarrier<PIPE_V>();
      Cast(x_int8_out_1, half_wide_2, RoundMode::CAST_RINT, 48);
      x_int8_out_queue.EnQue(x_int8_out_1);
      x_int8_out_1 = x_int8_out_queue.DeQue<int8_t>();
      DataCopyPad(x_int8[row * 40], x_int8_out_1, DataCopyExtParams(1, 40, 0, 0, 0));
      x_int8_out_queue.FreeTensor(x_int8_out_1);
    }
    part_queue.FreeTensor(part);
  }
}
