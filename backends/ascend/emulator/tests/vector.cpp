// Vector kernels as a user writes them, against plain loops.
#include "support.h"

namespace {

// Double-buffered queues, whole blocks.
class KernelAdd {
 public:
  __aicore__ inline void Init(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total) {
    each = total / GetBlockNum();
    const uint32_t from = static_cast<uint32_t>(GetBlockIdx()) * each;
    xGm.SetGlobalBuffer((__gm__ half *)x + from, each);
    yGm.SetGlobalBuffer((__gm__ half *)y + from, each);
    zGm.SetGlobalBuffer((__gm__ half *)z + from, each);
    pipe.InitBuffer(inX, 2, TILE * sizeof(half));
    pipe.InitBuffer(inY, 2, TILE * sizeof(half));
    pipe.InitBuffer(outZ, 2, TILE * sizeof(half));
  }
  __aicore__ inline void Process() {
    for (uint32_t at = 0; at < each; at += TILE) {
      LocalTensor<half> x = inX.AllocTensor<half>(), y = inY.AllocTensor<half>();
      DataCopy(x, xGm[at], TILE);
      DataCopy(y, yGm[at], TILE);
      inX.EnQue(x);
      inY.EnQue(y);
      LocalTensor<half> a = inX.DeQue<half>(), b = inY.DeQue<half>(), z = outZ.AllocTensor<half>();
      Add(z, a, b, TILE);
      outZ.EnQue<half>(z);
      inX.FreeTensor(a);
      inY.FreeTensor(b);
      LocalTensor<half> out = outZ.DeQue<half>();
      DataCopy(zGm[at], out, TILE);
      outZ.FreeTensor(out);
    }
  }

 private:
  static constexpr uint32_t TILE = 128;
  TPipe pipe;
  TQue<TPosition::VECIN, 2> inX, inY;
  TQue<TPosition::VECOUT, 2> outZ;
  GlobalTensor<half> xGm, yGm, zGm;
  uint32_t each = 0;
};

extern "C" __global__ __aicore__ void add_kernel(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  KernelAdd op;
  op.Init(x, y, z, total);
  op.Process();
}

void add() {
  const uint32_t n = 8 * 1024;
  const auto a = randoms(n, 1), b = randoms(n, 2);
  std::vector<half> x(a.begin(), a.end()), y(b.begin(), b.end()), z(n);
  for (uint64_t seed = 0; seed < 3; seed++) {
    Device device;
    device.setSeed(seed);
    device.registerBuffer(x.data(), n * 2, "x", true);
    device.registerBuffer(y.data(), n * 2, "y", true);
    device.registerBuffer(z.data(), n * 2, "z", false);
    device.launch("add_kernel", KERNEL_TYPE_AIV_ONLY, 8, add_kernel, (void *)x.data(), (void *)y.data(),
                  (void *)z.data(), n);
    device.requireWritten(z.data());
  }
  for (uint32_t i = 0; i < n; i++) expectNear("z", i, z[i], half(float(x[i]) + float(y[i])), 0);
}

/// Runs `body` as a one-block kernel over global buffers of floats.
struct Run {
  Device device;
  std::vector<std::vector<uint8_t>> kept;
  static std::function<void()> &body() {
    static std::function<void()> one;
    return one;
  }
  static void kernel() { body()(); }
  template <class T> T *buffer(const std::vector<T> &values, const char *name, bool initialised = true) {
    kept.emplace_back(values.size() * sizeof(T));
    std::memcpy(kept.back().data(), values.data(), kept.back().size());
    device.registerBuffer(kept.back().data(), kept.back().size(), name, initialised);
    return reinterpret_cast<T *>(kept.back().data());
  }
  void operator()(std::function<void()> one) {
    body() = std::move(one);
    device.setSynchronisation(Synchronisation::Automatic);  // these cases are about values
    device.launch("kernel", KERNEL_TYPE_AIV_ONLY, 1, kernel);
  }
};

template <class T> GlobalTensor<T> global(T *data, size_t n) {
  GlobalTensor<T> out;
  out.SetGlobalBuffer(data, n);
  return out;
}

// Rows of 37 floats: neither the length nor the rows are multiples of 32 bytes.
void tails() {
  const uint32_t rows = 5, width = 37, padded = 40;
  const auto in = randoms(rows * width, 3);
  Run run;
  float *x = run.buffer(in, "x"), *y = run.buffer(in, "y", false);
  run([&] {
    TPipe pipe;
    TQue<TPosition::VECIN, 1> queueIn;
    TQue<TPosition::VECOUT, 1> queueOut;
    pipe.InitBuffer(queueIn, 1, rows * padded * sizeof(float));
    pipe.InitBuffer(queueOut, 1, rows * padded * sizeof(float));
    auto tile = queueIn.AllocTensor<float>();
    DataCopyPad(tile, global(x, rows * width), DataCopyExtParams{rows, width * 4, 0, 0, 0},
                DataCopyPadExtParams<float>{true, 0, padded - width, 9.0f});
    queueIn.EnQue(tile);
    tile = queueIn.DeQue<float>();
    if (tile.GetValue(width) != 9.0f) throw Mismatch("padding is not the value given");
    auto out = queueOut.AllocTensor<float>();
    Muls(out, tile, 2.0f, rows * padded);
    queueIn.FreeTensor(tile);
    queueOut.EnQue(out);
    out = queueOut.DeQue<float>();
    DataCopyPad(global(y, rows * width), out, DataCopyExtParams{rows, width * 4, 0, 0, 0});
    queueOut.FreeTensor(out);
  });
  run.device.requireWritten(y);
  for (uint32_t i = 0; i < rows * width; i++) expectNear("y", i, y[i], 2 * in[i], 0);
}

void reductions() {
  const uint32_t n = 1000;
  auto in = randoms(n, 4);
  in[417] = in[600] = 5;
  in[33] = in[34] = -5;
  Run run;
  float *x = run.buffer(in, "x");
  run([&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a, b, c;
    pipe.InitBuffer(a, n * 4);
    pipe.InitBuffer(b, 512);
    pipe.InitBuffer(c, 512);
    auto values = a.Get<float>(), work = b.Get<float>(), out = c.Get<float>();
    DataCopy(values, global(x, n), n);
    ReduceSum(out, values, work, n);
    double sum = 0;
    for (float one : in) sum += one;
    expectNear("sum", 0, out.GetValue(0), sum, 1e-5);
    ReduceMax(out, values, work, n, true);
    expectNear("max", 0, out.GetValue(0), 5, 0);
    expectNear("max index", 0, out.ReinterpretCast<uint32_t>().GetValue(1), 417, 0);
    ReduceMin(out, values, work, n, true);
    expectNear("min", 0, out.GetValue(0), -5, 0);
    expectNear("min index", 0, out.ReinterpretCast<uint32_t>().GetValue(1), 33, 0);
    WholeReduceSum(out, values, 60, 3, 1, 1, 8);
    for (uint32_t r = 0; r < 3; r++) {
      double want = 0;
      for (uint32_t i = 0; i < 60; i++) want += in[r * 64 + i];
      expectNear("repeat sum", r, out.GetValue(r), want, 1e-5);
    }
    BlockReduceSum(out, values, 2, 64, 1, 1, 8);
    for (uint32_t block = 0; block < 16; block++) {
      double want = 0;
      for (uint32_t i = 0; i < 8; i++) want += in[block * 8 + i];
      expectNear("block sum", block, out.GetValue(block), want, 1e-5);
    }
    WholeReduceMax(out, values, 64, 10, 1, 1, 8);
    expectNear("repeat max", 6, out.GetValue(12), 5, 0);
    expectNear("repeat max index", 6, out.ReinterpretCast<uint32_t>().GetValue(13), 417 - 6 * 64, 0);
  });
}

void casts() {
  std::vector<float> in = randoms(256, 5, -3, 3);
  in[0] = 1.00048828125f;  // exactly between two halves: the even one wins
  in[1] = 1.00146484375f;
  in[2] = 65504;
  in[3] = 70000;
  in[4] = 2.9e-8f;  // below half of the least subnormal
  in[5] = 1.00390625f;  // exactly between two bfloat16
  in[6] = 2.5f;
  in[7] = -2.5f;
  in[8] = 5.9604645e-8f;  // the least subnormal half
  Run run;
  float *x = run.buffer(in, "x");
  run([&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a, b, c;
    pipe.InitBuffer(a, 1024);
    pipe.InitBuffer(b, 1024);
    pipe.InitBuffer(c, 1024);
    auto f = a.Get<float>();
    auto h = b.Get<half>();
    auto bf = b.Get<bfloat16_t>();
    auto i32 = b.Get<int32_t>();
    auto back = c.Get<float>();
    DataCopy(f, global(x, 256), 256);
    Cast(h, f, RoundMode::CAST_NONE, 256);
    const auto bitsOf = [&](uint32_t i) { return double(h.GetValue(i).bits); };
    expectNear("tie to even, down", 0, bitsOf(0), 0x3c00, 0);
    expectNear("tie to even, up", 1, bitsOf(1), 0x3c02, 0);
    expectNear("largest half", 2, bitsOf(2), 0x7bff, 0);
    expectNear("overflow", 3, bitsOf(3), 0x7c00, 0);
    expectNear("underflow", 4, bitsOf(4), 0, 0);
    expectNear("subnormal", 8, bitsOf(8), 1, 0);
    Cast(back, h, RoundMode::CAST_NONE, 256);
    for (uint32_t i = 9; i < 256; i++) expectNear("half", i, back.GetValue(i), in[i], 1e-3);
    for (uint32_t i = 9; i < 256; i++) {
      const float low = (Cast(h, f, RoundMode::CAST_FLOOR, 256), float(h.GetValue(i)));
      const float high = (Cast(h, f, RoundMode::CAST_CEIL, 256), float(h.GetValue(i)));
      if (low > in[i] || high < in[i] || high - low > 0.002f) throw Mismatch("floor and ceil do not enclose");
    }
    Cast(bf, f, RoundMode::CAST_RINT, 256);
    expectNear("bfloat16 tie", 5, bf.GetValue(5).bits, 0x3f80, 0);
    Cast(back, bf, RoundMode::CAST_NONE, 256);
    for (uint32_t i = 9; i < 256; i++) expectNear("bfloat16", i, back.GetValue(i), in[i], 8e-3);
    Cast(i32, f, RoundMode::CAST_RINT, 256);
    expectNear("rint", 6, i32.GetValue(6), 2, 0);
    Cast(i32, f, RoundMode::CAST_ROUND, 256);
    expectNear("round", 7, i32.GetValue(7), -3, 0);
    Cast(i32, f, RoundMode::CAST_FLOOR, 256);
    expectNear("floor", 7, i32.GetValue(7), -3, 0);
    // Masked: 64 lanes of float fill two of half's 256-byte repeats halfway.
    Duplicate(h, half(0), 512);
    Cast(h, f, RoundMode::CAST_NONE, 64, 4, UnaryRepeatParams{1, 1, 4, 8});
    for (uint32_t i = 9; i < 256; i++) expectNear("masked", i, float(h.GetValue(i)), half(in[i]), 0);
  });
}

// Every half survives the way through float; between two neighbours, the modes decide as they are named.
void halves() {
  using namespace unmoor::ascend::detail;
  for (uint32_t bits = 0; bits < 0x7c00; bits++) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const float value = halfBitsToFloat(low);
    expectNear("half through float", bits, floatToHalfBits(value), low, 0);
    expectNear("negative half through float", bits, floatToHalfBits(-value), low | 0x8000, 0);
    if (high == 0x7c00) continue;
    const float next = halfBitsToFloat(high), middle = (value + next) / 2;
    const float below = std::nextafter(middle, value), above = std::nextafter(middle, next);
    expectNear("tie", bits, floatToHalfBits(middle), bits % 2 == 0 ? low : high, 0);
    expectNear("below the tie", bits, floatToHalfBits(below), low, 0);
    expectNear("above the tie", bits, floatToHalfBits(above), high, 0);
    expectNear("round", bits, floatToHalfBits(middle, Rounding::Round), high, 0);
    expectNear("trunc", bits, floatToHalfBits(above, Rounding::Trunc), low, 0);
    expectNear("ceil", bits, floatToHalfBits(below, Rounding::Ceil), high, 0);
    expectNear("negative floor", bits, floatToHalfBits(-below, Rounding::Floor), high | 0x8000, 0);
    expectNear("odd", bits, floatToHalfBits(above, Rounding::Odd), bits % 2 == 1 ? low : high, 0);
  }
  expectNear("infinity", 0, floatToHalfBits(INFINITY), 0x7c00, 0);
  expectNear("not a number", 0, floatToHalfBits(NAN) & 0x7fff, 0x7e00, 0);
  expectNear("bfloat16 not a number", 0, floatToBfloatBits(NAN) & 0x7fc0, 0x7fc0, 0);
}

void math() {
  const uint32_t n = 100;
  const auto in = randoms(n, 6, 0.1f, 2), other = randoms(n, 7, 0.1f, 2);
  Run run;
  float *x = run.buffer(in, "x"), *y = run.buffer(other, "y");
  run([&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 4096);
    auto a = memory.GetWithOffset<float>(104, 0), b = memory.GetWithOffset<float>(104, 512),
         c = memory.GetWithOffset<float>(128, 1024);
    DataCopyPad(a, global(x, n), DataCopyExtParams{1, n * 4, 0, 0, 0}, DataCopyPadExtParams<float>{});
    DataCopyPad(b, global(y, n), DataCopyExtParams{1, n * 4, 0, 0, 0}, DataCopyPadExtParams<float>{});
    const auto same = [&](const char *what, auto want) {
      for (uint32_t i = 0; i < n; i++) expectNear(what, i, c.GetValue(i), want(in[i], other[i]), 1e-6);
    };
    Sub(c, a, b, n), same("Sub", [](float p, float q) { return p - q; });
    Div(c, a, b, n), same("Div", [](float p, float q) { return p / q; });
    Max(c, a, b, n), same("Max", [](float p, float q) { return std::max(p, q); });
    Min(c, a, b, n), same("Min", [](float p, float q) { return std::min(p, q); });
    Exp(c, a, n), same("Exp", [](float p, float) { return std::exp(p); });
    Ln(c, a, n), same("Ln", [](float p, float) { return std::log(p); });
    Rsqrt(c, a, n), same("Rsqrt", [](float p, float) { return 1 / std::sqrt(p); });
    Reciprocal(c, a, n), same("Reciprocal", [](float p, float) { return 1 / p; });
    Adds(c, a, -1.0f, n), Abs(c, c, n), same("Abs", [](float p, float) { return std::fabs(p - 1); });
    Adds(c, a, -1.0f, n), Relu(c, c, n), same("Relu", [](float p, float) { return std::max(p - 1, 0.0f); });
    Duplicate(c, 1.0f, n), Axpy(c, a, 3.0f, n), same("Axpy", [](float p, float) { return 1 + 3 * p; });
    Duplicate(c, 1.0f, n), MulAddDst(c, a, b, n), same("MulAddDst", [](float p, float q) { return 1 + p * q; });
    // Every second DataBlock of a, by a mask of four blocks.
    Duplicate(c, 0.0f, 128);
    Add(c, a, b, 32, 1, BinaryRepeatParams{1, 2, 2, 8, 8, 8});
    for (uint32_t i = 0; i < 32; i++) {
      const uint32_t at = i / 8 * 16 + i % 8;
      expectNear("strided Add", i, c.GetValue(i), in[at] + other[at], 1e-6);
    }
    uint64_t odd[2] = {0xaaaaaaaaaaaaaaaau, 0};
    Duplicate(c, 0.0f, 128);
    Mul(c, a, b, odd, 1, BinaryRepeatParams{});
    for (uint32_t i = 0; i < 64; i++)
      expectNear("masked Mul", i, c.GetValue(i), i % 2 == 1 ? in[i] * other[i] : 0, 1e-6);
  });
}

void selection() {
  const uint32_t n = 128;
  const auto in = randoms(n, 8);
  Run run;
  float *x = run.buffer(in, "x");
  run([&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 8192);
    auto a = memory.GetWithOffset<float>(n, 0), out = memory.GetWithOffset<float>(n * 2, 1024);
    auto bits = memory.GetWithOffset<uint8_t>(32, 2048);
    auto order = memory.GetWithOffset<int32_t>(n, 2560);
    DataCopy(a, global(x, n), n);
    CompareScalar(bits, a, 0.25f, CMPMODE::GT, n);
    Select(out, bits, a, -7.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, n);
    for (uint32_t i = 0; i < n; i++) expectNear("Select", i, out.GetValue(i), in[i] > 0.25f ? in[i] : -7, 0);
    CreateVecIndex(order, 0, n);
    Muls(order, order, -4, n);
    Adds(order, order, int32_t((n - 1) * 4), n);
    Gather(out, a, order.ReinterpretCast<uint32_t>(), 0, n);
    for (uint32_t i = 0; i < n; i++) expectNear("Gather", i, out.GetValue(i), in[n - 1 - i], 0);
    Brcb(out, a, 1, BrcbRepeatParams{1, 8});
    for (uint32_t i = 0; i < 64; i++) expectNear("Brcb", i, out.GetValue(i), in[i / 8], 0);
    CreateVecIndex(order, 0, n);
    a.SetValue(3, 2.0f);
    a.SetValue(9, 2.0f);
    Sort32(out, a, order.ReinterpretCast<uint32_t>(), 4);
    auto ids = out.ReinterpretCast<uint32_t>();
    if (ids.GetValue(1) != 3 || ids.GetValue(3) != 9) throw Mismatch("Sort32 does not keep the order of equals");
    for (uint32_t i = 1; i < n; i++)
      if (i % 32 != 0 && out.GetValue(2 * i) > out.GetValue(2 * i - 2)) throw Mismatch("Sort32 does not descend");
  });
}

}  // namespace

int main(int argc, char **argv) {
  return runCase({{"add", add}, {"tails", tails}, {"reductions", reductions}, {"casts", casts}, {"halves", halves}, {"math", math},
                  {"select", selection}},
                 argc, argv);
}
