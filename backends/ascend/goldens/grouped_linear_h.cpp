// grouped_linear: product with each row's expert, a, b → ((a * (1.0 / (1.0 + exp(neg(a))))) * b)
//   read      tokens: bf16[2*T, 40]
//   read      offsets: i32[6]
//   read      gate: bf16[5, 24, 40]
//   read      up: bf16[5, 24, 40]
//   write     h: bf16[2*T, 24]
// Blocks, dealt to the cores in turn: expert < 5.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_grouped_linear_h(GM_ADDR tokens_gm, GM_ADDR offsets_gm, GM_ADDR gate_gm, GM_ADDR up_gm, GM_ADDR h_gm, GM_ADDR exchanged_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<bfloat16_t> tokens;
  tokens.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(tokens_gm), 80 * T);
  GlobalTensor<int32_t> offsets;
  offsets.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(offsets_gm), 6);
  GlobalTensor<bfloat16_t> gate;
  gate.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(gate_gm), 4800);
  GlobalTensor<bfloat16_t> up;
  up.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(up_gm), 4800);
  GlobalTensor<bfloat16_t> h;
  h.SetGlobalBuffer(reinterpret_cast<__gm__ bfloat16_t *>(h_gm), 48 * T);

  // The cube core of a group fills tiles, its vector cores read them: two tiles are under way at a time.
  constexpr uint16_t exchange_full = 0;
  constexpr uint16_t exchange_free = 1;
  GlobalTensor<float> exchanged;
  exchanged.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(exchanged_gm), GetBlockNum() * 32768);

  if ASCEND_IS_AIC {
    TPipe pipe;
    TQue<TPosition::CO1, 1> sums_gate_queue;
    pipe.InitBuffer(sums_gate_queue, 2, 32768);
    TQue<TPosition::CO1, 1> sums_up_queue;
    pipe.InitBuffer(sums_up_queue, 2, 32768);
    TQue<TPosition::A1, 1> x_l1_queue;
    pipe.InitBuffer(x_l1_queue, 2, 24576);
    TQue<TPosition::B1, 1> w_gate_l1_queue;
    pipe.InitBuffer(w_gate_l1_queue, 2, 3072);
    TQue<TPosition::B1, 1> w_up_l1_queue;
    pipe.InitBuffer(w_up_l1_queue, 2, 3072);
    TQue<TPosition::A2, 1> x_l0_queue;
    pipe.InitBuffer(x_l0_queue, 2, 24576);
    TQue<TPosition::B2, 1> w_gate_l0_queue;
    pipe.InitBuffer(w_gate_l0_queue, 2, 3072);
    TQue<TPosition::B2, 1> w_up_l0_queue;
    pipe.InitBuffer(w_up_l0_queue, 2, 3072);

    const int64_t group = GetBlockIdx();
    int64_t turn = 0;
    for (int64_t block = group; block < 5; block += GetBlockNum()) {
      const int64_t expert = block;
      const int64_t first = static_cast<int64_t>(offsets.GetValue(expert));
      const int64_t count = static_cast<int64_t>(offsets.GetValue(expert + 1)) - first;
      for (int64_t row = 0; row < count; row += 256) {
        const int64_t top = first + row;
        const int64_t valid_rows = Smaller(count - row, 256);
        LocalTensor<float> sums_gate = sums_gate_queue.AllocTensor<float>();
        LocalTensor<float> sums_up = sums_up_queue.AllocTensor<float>();
        LocalTensor<bfloat16_t> x_l1 = x_l1_queue.AllocTensor<bfloat16_t>();
        const int64_t x_l1_fractals = RoundUp(valid_rows, 16) / 16;
        DataCopy(x_l1, tokens[top * 40], Nd2NzParams(valid_rows == 1 ? 2 : 1, valid_rows, 40, 0, 40, x_l1_fractals * 16, 1, 16));
        x_l1_queue.EnQue(x_l1);
        x_l1 = x_l1_queue.DeQue<bfloat16_t>();
        LocalTensor<bfloat16_t> w_gate_l1 = w_gate_l1_queue.AllocTensor<bfloat16_t>();
        DataCopy(w_gate_l1, gate[expert * 960], Nd2NzParams(1, 24, 40, 0, 40, 32, 1, 0));
        w_gate_l1_queue.EnQue(w_gate_l1);
        w_gate_l1 = w_gate_l1_queue.DeQue<bfloat16_t>();
        LocalTensor<bfloat16_t> w_up_l1 = w_up_l1_queue.AllocTensor<bfloat16_t>();
        DataCopy(w_up_l1, up[expert * 960], Nd2NzParams(1, 24, 40, 0, 40, 32, 1, 0));
        w_up_l1_queue.EnQue(w_up_l1);
        w_up_l1 = w_up_l1_queue.DeQue<bfloat16_t>();
        LocalTensor<bfloat16_t> x_l0 = x_l0_queue.AllocTensor<bfloat16_t>();
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
        LocalTensor<bfloat16_t> w_gate_l0 = w_gate_l0_queue.AllocTensor<bfloat16_t>();
        LoadData(w_gate_l0, w_gate_l1, LoadData2DParams(0, 6, 1, 0, 0, false, 0));
        w_gate_l0_queue.EnQue(w_gate_l0);
        w_gate_l0 = w_gate_l0_queue.DeQue<bfloat16_t>();
        Mmad(sums_gate, x_l0, w_gate_l0, MmadParams(Larger(valid_rows, 2), 24, 40, 0, false, true));
        sums_gate_queue.EnQue(sums_gate);
        sums_gate = sums_gate_queue.DeQue<float>();
        LocalTensor<bfloat16_t> w_up_l0 = w_up_l0_queue.AllocTensor<bfloat16_t>();
        LoadData(w_up_l0, w_up_l1, LoadData2DParams(0, 6, 1, 0, 0, false, 0));
        w_up_l0_queue.EnQue(w_up_l0);
        w_up_l0 = w_up_l0_queue.DeQue<bfloat16_t>();
        Mmad(sums_up, x_l0, w_up_l0, MmadParams(Larger(valid_rows, 2), 24, 40, 0, false, true));
        sums_up_queue.EnQue(sums_up);
        sums_up = sums_up_queue.DeQue<float>();
        if (turn >= 2) {
          CrossCoreWaitFlag(exchange_free);
        }
        GlobalTensor<float> exchange = exchanged[(group * 2 + turn % 2) * 16384];
        FixpipeParamsV220 fixpipe_sums_gate(24, valid_rows, RoundUp(valid_rows, 16), 32, false);
        Fixpipe<float, float, CFG_ROW_MAJOR>(exchange, sums_gate, fixpipe_sums_gate);
        FixpipeParamsV220 fixpipe_sums_up(24, valid_rows, RoundUp(valid_rows, 16), 32, false);
        Fixpipe<float, float, CFG_ROW_MAJOR>(exchange[8192], sums_up, fixpipe_sums_up);
        CrossCoreSetFlag<2, PIPE_FIX>(exchange_full);
        turn++;
        sums_gate_queue.FreeTensor(sums_gate);
        sums_up_queue.FreeTensor(sums_up);
        x_l1_queue.FreeTensor(x_l1);
        w_gate_l1_queue.FreeTensor(w_gate_l1);
        w_up_l1_queue.FreeTensor(w_up_l1);
        x_l0_queue.FreeTensor(x_l0);
        w_gate_l0_queue.FreeTensor(w_gate_l0);
        w_up_l0_queue.FreeTensor(w_up_l0);
      }
    }
    for (int64_t left = 0; left < Smaller(turn, 2); left++) {
      CrossCoreWaitFlag(exchange_free);
    }
  }

  if ASCEND_IS_AIV {
    TPipe pipe;
    TBuf<TPosition::VECCALC> gate_sums_buffer;
    pipe.InitBuffer(gate_sums_buffer, 8192);
    TBuf<TPosition::VECCALC> up_sums_buffer;
    pipe.InitBuffer(up_sums_buffer, 8192);
    TBuf<TPosition::VECCALC> result_buffer;
    pipe.InitBuffer(result_buffer, 8192);
    TBuf<TPosition::VECCALC> value_buffer;
    pipe.InitBuffer(value_buffer, 8192);
    TBuf<TPosition::VECCALC> value_2_buffer;
    pipe.InitBuffer(value_2_buffer, 8192);
    TQue<TPosition::VECOUT, 1> h_out_queue;
    pipe.InitBuffer(h_out_queue, 2, 4096);

    const int64_t group = GetBlockIdx() / GetTaskRation();
    int64_t turn = 0;
    for (int64_t block = group; block < 5; block += GetBlockNum()) {
      const int64_t expert = block;
      const int64_t first = static_cast<int64_t>(offsets.GetValue(expert));
      const int64_t count = static_cast<int64_t>(offsets.GetValue(expert + 1)) - first;
      for (int64_t row = 0; row < count; row += 256) {
        const int64_t top = first + row;
        const int64_t valid_rows = Smaller(count - row, 256);
        CrossCoreWaitFlag(exchange_full);
        GlobalTensor<float> exchange = exchanged[(group * 2 + turn % 2) * 16384];
        for (int64_t part = GetSubBlockIdx() * 64; part < valid_rows; part += GetSubBlockNum() * 64) {
          const int64_t part_rows = Smaller(valid_rows - part, 64);
          LocalTensor<float> gate_sums = gate_sums_buffer.Get<float>();
          Duplicate(gate_sums, 0.0f, 2048);
          WaitFor<HardEvent::V_MTE2>();
          DataCopyPad(gate_sums, exchange[part * 32], DataCopyExtParams(part_rows, 96, 32, 1, 0), ZeroPad<float>(0));
          LocalTensor<float> up_sums = up_sums_buffer.Get<float>();
          Duplicate(up_sums, 0.0f, 2048);
          WaitFor<HardEvent::V_MTE2>();
          DataCopyPad(up_sums, exchange[part * 32 + 8192], DataCopyExtParams(part_rows, 96, 32, 1, 0), ZeroPad<float>(0));
          LocalTensor<float> result = result_buffer.Get<float>();
          LocalTensor<float> value = value_buffer.Get<float>();
          WaitFor<HardEvent::MTE2_V>();
          Muls(value, gate_sums, -1.0f, 2048);
          PipeBarrier<PIPE_V>();
          Exp(value, value, 2048);
          PipeBarrier<PIPE_V>();
          Adds(value, value, 1.0f, 2048);
          LocalTensor<float> value_2 = value_2_buffer.Get<float>();
          Duplicate(value_2, 1.0f, 2048);
          PipeBarrier<PIPE_V>();
          Div(value_2, value_2, value, 2048);
          PipeBarrier<PIPE_V>();
          Mul(value_2, gate_sums, value_2, 2048);
          PipeBarrier<PIPE_V>();
          Mul(result, value_2, up_sums, 2048);
          LocalTensor<bfloat16_t> h_out = h_out_queue.AllocTensor<bfloat16_t>();
          PipeBarrier<PIPE_V>();
          Cast(h_out, result, RoundMode::CAST_RINT, 2048);
          h_out_queue.EnQue(h_out);
          h_out = h_out_queue.DeQue<bfloat16_t>();
          DataCopyPad(h[top * 24 + part * 24], h_out, DataCopyExtParams(part_rows, 48, 0, 0, 0));
          h_out_queue.FreeTensor(h_out);
        }
        CrossCoreSetFlag<2, PIPE_MTE2>(exchange_free);
        turn++;
      }
    }
  }
}
