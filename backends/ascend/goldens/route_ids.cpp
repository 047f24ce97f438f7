// route: router: softmax scores, top-k
//   read      logits: f32[T, 8]
//   read      bias: f32[8]
//   write     ids: i32[T, 2]
//   write     weights: f32[T, 2]
// Blocks, dealt to the cores in turn: token < T.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_route_ids(GM_ADDR logits_gm, GM_ADDR bias_gm, GM_ADDR ids_gm, GM_ADDR weights_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<float> logits;
  logits.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(logits_gm), 8 * T);
  GlobalTensor<float> bias;
  bias.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(bias_gm), 8);
  GlobalTensor<int32_t> ids;
  ids.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(ids_gm), 2 * T);
  GlobalTensor<float> weights;
  weights.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(weights_gm), 2 * T);

  TPipe pipe;
  TQue<TPosition::VECIN, 1> raw_queue;
  pipe.InitBuffer(raw_queue, 2, 32);
  TBuf<TPosition::VECCALC> scores_buffer;
  pipe.InitBuffer(scores_buffer, 32);
  TBuf<TPosition::VECCALC> largest_of_buffer;
  pipe.InitBuffer(largest_of_buffer, 32);
  TBuf<TPosition::VECCALC> work_buffer;
  pipe.InitBuffer(work_buffer, 256);
  TBuf<TPosition::VECCALC> work_2_buffer;
  pipe.InitBuffer(work_2_buffer, 256);
  TBuf<TPosition::VECCALC> keys_buffer;
  pipe.InitBuffer(keys_buffer, 32);
  TQue<TPosition::VECIN, 1> biases_queue;
  pipe.InitBuffer(biases_queue, 2, 32);
  TBuf<TPosition::VECCALC> best_buffer;
  pipe.InitBuffer(best_buffer, 32);
  TBuf<TPosition::VECCALC> work_3_buffer;
  pipe.InitBuffer(work_3_buffer, 96);
  TQue<TPosition::VECOUT, 1> scaled_queue;
  pipe.InitBuffer(scaled_queue, 2, 32);

  for (int64_t block = GetBlockIdx(); block < T; block += GetBlockNum()) {
    const int64_t token = block;
    LocalTensor<float> raw = raw_queue.AllocTensor<float>();
    DataCopyPad(raw, logits[token * 8], DataCopyExtParams(1, 32, 0, 0, 0), ZeroPad<float>(0));
    raw_queue.EnQue(raw);
    raw = raw_queue.DeQue<float>();
    LocalTensor<float> scores = scores_buffer.Get<float>();
    LocalTensor<float> largest_of = largest_of_buffer.Get<float>();
    LocalTensor<float> work = work_buffer.Get<float>();
    ReduceMax(largest_of, raw, work, 8);
    WaitFor<HardEvent::V_S>();
    const float largest = largest_of.GetValue(0);
    LocalTensor<float> value = work_buffer.Get<float>();
    Adds(value, raw, -largest, 8);
    PipeBarrier<PIPE_V>();
    Exp(scores, value, 8);
    LocalTensor<float> sum_of = work_buffer.Get<float>();
    LocalTensor<float> work_2 = work_2_buffer.Get<float>();
    PipeBarrier<PIPE_V>();
    ReduceSum(sum_of, scores, work_2, 8);
    WaitFor<HardEvent::V_S>();
    const float sum = sum_of.GetValue(0);
    LocalTensor<float> value_2 = work_2_buffer.Get<float>();
    WaitFor<HardEvent::MTE3_V>();
    Duplicate(value_2, sum, 8);
    PipeBarrier<PIPE_V>();
    Div(scores, scores, value_2, 8);
    LocalTensor<int32_t> chosen = work_2_buffer.Get<int32_t>();
    LocalTensor<float> keys = keys_buffer.Get<float>();
    LocalTensor<float> biases = biases_queue.AllocTensor<float>();
    DataCopyPad(biases, bias, DataCopyExtParams(1, 32, 0, 0, 0), ZeroPad<float>(0));
    biases_queue.EnQue(biases);
    biases = biases_queue.DeQue<float>();
    PipeBarrier<PIPE_V>();
    Add(keys, scores, biases, 8);
    LocalTensor<float> best = best_buffer.Get<float>();
    LocalTensor<float> work_3 = work_3_buffer.Get<float>();
    PipeBarrier<PIPE_V>();
    for (int64_t pick = 0; pick < 2; pick++) {
      WaitFor<HardEvent::S_V>();
      ReduceMax(best, keys, work_3, 8, true);
      WaitFor<HardEvent::V_S>();
      const int32_t id = best.ReinterpretCast<int32_t>().GetValue(1);
      chosen.SetValue(pick, id);
      keys.SetValue(id, FloatFromBits(0xff800000));
    }
    LocalTensor<float> picked = best_buffer.Get<float>();
    for (int64_t k = 0; k < 2; k++) {
      picked.SetValue(k, scores.GetValue(static_cast<int64_t>(chosen.GetValue(k))));
    }
    LocalTensor<float> scaled = scaled_queue.AllocTensor<float>();
    WaitFor<HardEvent::S_V>();
    Muls(scaled, picked, 6.0f, 2);
    scaled_queue.EnQue(scaled);
    scaled = scaled_queue.DeQue<float>();
    DataCopyPad(ids[token * 2], chosen, DataCopyExtParams(1, 8, 0, 0, 0));
    DataCopyPad(weights[token * 2], scaled, DataCopyExtParams(1, 8, 0, 0, 0));
    raw_queue.FreeTensor(raw);
    biases_queue.FreeTensor(biases);
    scaled_queue.FreeTensor(scaled);
  }
}
