// grouped_linear: product with each row's expert, a, b → ((a * (1.0 / (1.0 + exp(neg(a))))) * b)
//   read      tokens: i8[2*T, 40]
//   read      tokens_scales: f32[2*T, 1]
//   read      gate_scales: f32[5, 24, 1]
//   read      up_scales: f32[5, 24, 1]
//   read      offsets: i32[6]
//   read      gate: i8[5, 24, 40]
//   read      up: i8[5, 24, 40]
//   write     h: f32[2*T, 24]
// Blocks, dealt to the cores in turn: expert < 5.
#include "kernel_operator.h"
#include "unmoor_kernel.h"

using namespace AscendC;
using namespace unmoor;

extern "C" __global__ __aicore__ void swiglu_grouped_linear_h(GM_ADDR tokens_gm, GM_ADDR tokens_scales_gm, GM_ADDR gate_scales_gm, GM_ADDR up_scales_gm, GM_ADDR offsets_gm, GM_ADDR gate_gm, GM_ADDR up_gm, GM_ADDR h_gm, GM_ADDR exchanged_gm, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  GlobalTensor<int64_t> sizes;
  sizes.SetGlobalBuffer(reinterpret_cast<__gm__ int64_t *>(tiling), 1);
  const int64_t T = sizes.GetValue(0);
  GlobalTensor<int8_t> tokens;
  tokens.SetGlobalBuffer(reinterpret_cast<__gm__ int8_t *>(tokens_gm), 80 * T);
  GlobalTensor<float> tokens_scales;
  tokens_scales.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(tokens_scales_gm), 2 * T);
  GlobalTensor<float> gate_scales;
  gate_scales.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(gate_scales_gm), 120);
  GlobalTensor<float> up_scales;
  up_scales.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(up_scales_gm), 120);
  GlobalTensor<int32_t> offsets;
  offsets.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(offsets_gm), 6);
  GlobalTensor<int8_t> gate;
  gate.SetGlobalBuffer(reinterpret_cast<__gm__ int8_t *>(gate_gm), 4800);
  GlobalTensor<int8_t> up;
  up.SetGlobalBuffer(reinterpret_cast<__gm__ int8_t *>(up_gm), 4800);
  GlobalTensor<float> h;
  h.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(h_gm), 48 * T);

  // The cube core of a group fills tiles, its vector cores read them: two tiles are under way at a time.
  constexpr uint16_t exchange_full = 0;
  constexpr uint16_t exchange_free = 1;
  GlobalTensor<int32_t> exchanged;
  exchanged.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(exchanged_gm), GetBlockNum() * 32768);

  if ASCEND_IS_AIC {
    TPipe pipe;
    TQue<TPosition::CO1, 1> sums_gate_queue;
    pipe.InitBuffer(sums_gate_queue, 2, 32768);
    TQue<TPosition::CO1, 1> sums_up_queue;
    pipe.InitBuffer(sums_up_queue, 2, 32768);
    TQue<TPosition::A1, 1> x_l1_queue;
    pipe.InitBuffer(x_l1_queue, 2, 16384);
    TQue<TPosition::B1, 1> w_gate_l1_queue;
    pipe.InitBuffer(w_gate_l1_queue, 2, 2048);
    TQue<TPosition::B1, 1> w_up_l1_queue;
    pipe.InitBuffer(w_up_l1_queue, 2, 2048);
    TQue<TPosition::A2, 1> x_l0_queue;
    pipe.InitBuffer(x_l0_queue, 2, 16384);
    TQue<TPosition::B2, 1> w_gate_l0_queue;
    pipe.InitBuffer(w_gate_l0_queue, 2, 2048);
    TQue<TPosition::B2, 1> w_up_l0_queue;
    pipe.InitBuffer(w_up_l0_queue, 2, 2048);

    const int64_t group = GetBlockIdx();
    int64_t turn = 0;
    for (int64_t block = group; block < 5; block += GetBlockNum()) {
      const int64_t expert = block;
      const int64_t first = static_cast<int64_t>(offsets.GetValue(expert));
      const int64_t count = static_cast<int64_t>(offsets.GetValue(expert + 1)) - first;
      for (int64_t row = 0; row < count; row += 256) {
        const int64_t top = first + row;
        const int64_t valid_rows = Smaller(count - row, 256);
        LocalTensor<int32_t> sums_gate = sums_gate_queue.AllocTensor<int32_t>();
        LocalTensor<int32_t> sums_up = sums_up_queue.AllocTensor<int32_t>();
        LocalTensor<int8_t> x_l1 = x_l1_queue.AllocTensor<int8_t>();
        const int64_t x_l1_fractals = RoundUp(valid_rows, 16) / 16;
        DataCopy(x_l1, tokens[top * 40], Nd2NzParams(valid_rows == 1 ? 2 : 1, valid_rows, 40, 0, 40, x_l1_fractals * 16, 1, 32));
        x_l1_queue.EnQue(x_l1);
        x_l1 = x_l1_queue.DeQue<int8_t>();
        LocalTensor<int8_t> w_gate_l1 = w_gate_l1_queue.AllocTensor<int8_t>();
        DataCopy(w_gate_l1, gate[expert * 960], Nd2NzParams(1, 24, 40, 0, 40, 32, 1, 0));
        w_gate_l1_queue.EnQue(w_gate_l1);
        w_gate_l1 = w_gate_l1_queue.DeQue<int8_t>();
        LocalTensor<int8_t> w_up_l1 = w_up_l1_queue.AllocTensor<int8_t>();
        DataCopy(w_up_l1, up[expert * 960], Nd2NzParams(1, 24, 40, 0, 40, 32, 1, 0));
        w_up_l1_queue.EnQue(w_up_l1);
        w_up_l1 = w_up_l1_queue.DeQue<int8_t>();
        LocalTensor<int8_t> x_l0 = x_l0_queue.AllocTensor<int8_t>();
        if (x_l1_fractals <= 2) {
          for (int64_t m1 = 0; m1 < x_l1_fractals; m1++) {
            LoadData(x_l0[m1 * 1024], x_l1, LoadData2DParams(m1, 2, x_l1_fractals, 0, 0, false, 0));
          }
        }
        else {
          for (int64_t k1 = 0; k1 < 2; k1++) {
            LoadData(x_l0[k1 * 512], x_l1, LoadData2DParams(k1 * x_l1_fractals, x_l1_fractals, 1, 0, 1, false, 0));
          }
        }
        x_l0_queue.EnQue(x_l0);
        x_l0 = x_l0_queue.DeQue<int8_t>();
        LocalTensor<int8_t> w_gate_l0 = w_gate_l0_queue.AllocTensor<int8_t>();
        LoadData(w_gate_l0, w_gate_l1, LoadData2DParams(0, 4, 1, 0, 0, false, 0));
        w_gate_l0_queue.EnQue(w_gate_l0);
        w_gate_l0 = w_gate_l0_queue.DeQue<int8_t>();
        Mmad(sums_gate, x_l0, w_gate_l0, MmadParams(Larger(valid_rows, 2), 24, 40, 0, false, true));
        sums_gate_queue.EnQue(sums_gate);
        sums_gate = sums_gate_queue.DeQue<int32_t>();
        LocalTensor<int8_t> w_up_l0 = w_up_l0_queue.AllocTensor<int8_t>();
        LoadData(w_up_l0, w_up_l1, LoadData2DParams(0, 4, 1, 0, 0, false, 0));
        w_up_l0_queue.EnQue(w_up_l0);
        w_up_l0 = w_up_l0_queue.DeQue<int8_t>();
        Mmad(sums_up, x_l0, w_up_l0, MmadParams(Larger(valid_rows, 2), 24, 40, 0, false, true));
        sums_up_queue.EnQue(sums_up);
        sums_up = sums_up_queue.DeQue<int32_t>();
        if (turn >= 2) {
          CrossCoreWaitFlag(exchange_free);
        }
        GlobalTensor<int32_t> exchange = exchanged[(group * 2 + turn % 2) * 16384];
        FixpipeParamsV220 fixpipe_sums_gate(24, valid_rows, RoundUp(valid_rows, 16), 32, false);
        Fixpipe<int32_t, int32_t, CFG_ROW_MAJOR>(exchange, sums_gate, fixpipe_sums_gate);
        FixpipeParamsV220 fixpipe_sums_up(24, valid_rows, RoundUp(valid_rows, 16), 32, false);
        Fixpipe<int32_t, int32_t, CFG_ROW_MAJOR>(exchange[8192], sums_up, fixpipe_sums_up);
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
    TQue<TPosition::VECIN, 1> gate_scales_1_queue;
    pipe.InitBuffer(gate_scales_1_queue, 2, 128);
    TBuf<TPosition::VECCALC> gate_scales_spread_buffer;
    pipe.InitBuffer(gate_scales_spread_buffer, 8192);
    TQue<TPosition::VECIN, 1> up_scales_1_queue;
    pipe.InitBuffer(up_scales_1_queue, 2, 128);
    TBuf<TPosition::VECCALC> up_scales_spread_buffer;
    pipe.InitBuffer(up_scales_spread_buffer, 8192);
    TBuf<TPosition::VECCALC> tokens_scales_1_buffer;
    pipe.InitBuffer(tokens_scales_1_buffer, 256);
    TBuf<TPosition::VECCALC> tokens_scales_spread_buffer;
    pipe.InitBuffer(tokens_scales_spread_buffer, 8192);
    TBuf<TPosition::VECCALC> gate_sums_buffer;
    pipe.InitBuffer(gate_sums_buffer, 8192);
    TBuf<TPosition::VECCALC> gate_scaled_buffer;
    pipe.InitBuffer(gate_scaled_buffer, 8192);
    TBuf<TPosition::VECCALC> value_buffer;
    pipe.InitBuffer(value_buffer, 8192);
    TBuf<TPosition::VECCALC> up_scaled_buffer;
    pipe.InitBuffer(up_scaled_buffer, 8192);
    TBuf<TPosition::VECCALC> value_2_buffer;
    pipe.InitBuffer(value_2_buffer, 8192);
    TQue<TPosition::VECOUT, 1> result_queue;
    pipe.InitBuffer(result_queue, 2, 8192);
    TBuf<TPosition::VECCALC> value_4_buffer;
    pipe.InitBuffer(value_4_buffer, 8192);

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
        GlobalTensor<int32_t> exchange = exchanged[(group * 2 + turn % 2) * 16384];
        LocalTensor<float> gate_scales_1 = gate_scales_1_queue.AllocTensor<float>();
        DataCopyPad(gate_scales_1, gate_scales[expert * 24], DataCopyExtParams(1, 96, 0, 0, 0), ZeroPad<float>(0));
        gate_scales_1_queue.EnQue(gate_scales_1);
        gate_scales_1 = gate_scales_1_queue.DeQue<float>();
        Duplicate(gate_scales_1[24], 0.0f, 8);
        LocalTensor<float> gate_scales_spread = gate_scales_spread_buffer.Get<float>();
        PipeBarrier<PIPE_V>();
        for (int64_t row_2 = 0; row_2 < 64; row_2++) {
          Adds(gate_scales_spread[row_2 * 32].ReinterpretCast<int32_t>(), gate_scales_1.ReinterpretCast<int32_t>(), 0, 32);
        }
        LocalTensor<float> up_scales_1 = up_scales_1_queue.AllocTensor<float>();
        DataCopyPad(up_scales_1, up_scales[expert * 24], DataCopyExtParams(1, 96, 0, 0, 0), ZeroPad<float>(0));
        up_scales_1_queue.EnQue(up_scales_1);
        up_scales_1 = up_scales_1_queue.DeQue<float>();
        Duplicate(up_scales_1[24], 0.0f, 8);
        LocalTensor<float> up_scales_spread = up_scales_spread_buffer.Get<float>();
        PipeBarrier<PIPE_V>();
        for (int64_t row_3 = 0; row_3 < 64; row_3++) {
          Adds(up_scales_spread[row_3 * 32].ReinterpretCast<int32_t>(), up_scales_1.ReinterpretCast<int32_t>(), 0, 32);
        }
        for (int64_t part = GetSubBlockIdx() * 64; part < valid_rows; part += GetSubBlockNum() * 64) {
          const int64_t part_rows = Smaller(valid_rows - part, 64);
          LocalTensor<float> tokens_scales_1 = tokens_scales_1_buffer.Get<float>();
          WaitFor<HardEvent::S_V>();
          Duplicate(tokens_scales_1, 0.0f, 64);
          WaitFor<HardEvent::V_MTE2>();
          DataCopyPad(tokens_scales_1, tokens_scales[top + part], DataCopyExtParams(1, part_rows * 4, 0, 0, 0), ZeroPad<float>(RoundUp(part_rows, 8) - part_rows));
          LocalTensor<float> tokens_scales_spread = tokens_scales_spread_buffer.Get<float>();
          Duplicate(tokens_scales_spread, 0.0f, 2048);
          WaitFor<HardEvent::MTE2_S>();
          for (int64_t r = 0; r < part_rows; r++) {
            const float scale = tokens_scales_1.GetValue(r);
            PipeBarrier<PIPE_V>();
            Duplicate(tokens_scales_spread[r * 32], scale, 32);
          }
          LocalTensor<int32_t> gate_sums = gate_sums_buffer.Get<int32_t>();
          Duplicate(gate_sums, static_cast<int32_t>(0), 2048);
          WaitFor<HardEvent::V_MTE2>();
          DataCopyPad(gate_sums, exchange[part * 32], DataCopyExtParams(part_rows, 96, 32, 1, 0), ZeroPad<int32_t>(0));
          LocalTensor<float> gate_scaled = gate_scaled_buffer.Get<float>();
          LocalTensor<float> value = value_buffer.Get<float>();
          WaitFor<HardEvent::MTE2_V>();
          Cast(value, gate_sums, RoundMode::CAST_RINT, 2048);
          PipeBarrier<PIPE_V>();
          Mul(value, value, gate_scales_spread, 2048);
          PipeBarrier<PIPE_V>();
          Mul(gate_scaled, value, tokens_scales_spread, 2048);
          LocalTensor<int32_t> up_sums = value_buffer.Get<int32_t>();
          PipeBarrier<PIPE_V>();
          Duplicate(up_sums, static_cast<int32_t>(0), 2048);
          WaitFor<HardEvent::V_MTE2>();
          DataCopyPad(up_sums, exchange[part * 32 + 8192], DataCopyExtParams(part_rows, 96, 32, 1, 0), ZeroPad<int32_t>(0));
          LocalTensor<float> up_scaled = up_scaled_buffer.Get<float>();
          LocalTensor<float> value_2 = value_2_buffer.Get<float>();
          WaitFor<HardEvent::MTE2_V>();
          Cast(value_2, up_sums, RoundMode::CAST_RINT, 2048);
          PipeBarrier<PIPE_V>();
          Mul(value_2, value_2, up_scales_spread, 2048);
          PipeBarrier<PIPE_V>();
          Mul(up_scaled, value_2, tokens_scales_spread, 2048);
          LocalTensor<float> result = result_queue.AllocTensor<float>();
          LocalTensor<float> value_3 = value_2_buffer.Get<float>();
          PipeBarrier<PIPE_V>();
          Muls(value_3, gate_scaled, -1.0f, 2048);
          PipeBarrier<PIPE_V>();
          Exp(value_3, value_3, 2048);
          PipeBarrier<PIPE_V>();
          Adds(value_3, value_3, 1.0f, 2048);
          LocalTensor<float> value_4 = value_4_buffer.Get<float>();
          Duplicate(value_4, 1.0f, 2048);
          PipeBarrier<PIPE_V>();
          Div(value_4, value_4, value_3, 2048);
          PipeBarrier<PIPE_V>();
          Mul(value_4, gate_scaled, value_4, 2048);
          PipeBarrier<PIPE_V>();
          Mul(result, value_4, up_scaled, 2048);
          result_queue.EnQue(result);
          result = result_queue.DeQue<float>();
          DataCopyPad(h[top * 24 + part * 24], result, DataCopyExtParams(part_rows, 96, 1, 0, 0));
          result_queue.FreeTensor(result);
        }
        CrossCoreSetFlag<2, PIPE_MTE2>(exchange_free);
        turn++;
        gate_scales_1_queue.FreeTensor(gate_scales_1);
        up_scales_1_queue.FreeTensor(up_scales_1);
      }
    }
  }
}
