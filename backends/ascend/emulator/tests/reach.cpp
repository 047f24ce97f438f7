// What somebody who writes kernels by hand reaches for beyond what is generated: masks, atomics, queues in place, biases, windows.
#include "kernels.h"

namespace {

void masks() {
  // Counter mode: 100 elements, then the same mask for a call that brings none.
  const Numbers counted = onVector([](auto a, auto b) {
    SetMaskCount();
    SetVectorMask<float, MaskMode::COUNTER>(100);
    Adds<float, false>(b, a, 1.0f, MASK_PLACEHOLDER, 1, UnaryRepeatParams());
    Add(b[128], a, a, 70, 1, BinaryRepeatParams());
    SetMaskNorm();
    ResetMask();
  });
  expectAll("counter", counted, [](size_t i) { return i < 100 ? i + 2.0 : i >= 128 && i < 198 ? 2.0 * (i - 127) : 0.0; });
  // Bits: every other lane of both repeats; the registers and the argument agree.
  const Numbers bits = onVector([](auto a, auto b) {
    SetVectorMask<float>(0, 0x5555555555555555u);
    Muls<float, false>(b, a, 2.0f, MASK_PLACEHOLDER, 2, UnaryRepeatParams());
    ResetMask();
    uint64_t mask[] = {0xaaaaaaaaaaaaaaaau, 0};
    Duplicate(b[128], 7.0f, mask, 2, 1, 8);
  });
  expectAll("bits", bits, [](size_t i) { return i < 128 ? (i % 2 == 0 ? 2.0 * (i + 1) : 0.0) : (i % 2 == 0 ? 0.0 : 7.0); });
}

void fused() {
  const Numbers out = onVector([](auto a, auto b) {
    Duplicate(b, 1.0f, 256);
    Axpy(b, a, 2.0f, 64, 1, UnaryRepeatParams());              // 1 + 2a
    MulAddDst(b[64], a, a, uint64_t{64}, 1, BinaryRepeatParams());  // 1 + a²
    FusedMulAdd(b[128], a, a, 64);                             // 1·a + a
    SubRelu(b[192], a[64], a, 64);                             // 64
  });
  expectAll("fused", out, [](size_t i) {
    const double a = static_cast<double>(i % 64 + 1);
    return i < 64 ? 1 + 2 * a : i < 128 ? 1 + a * a : i < 192 ? 2 * a : 64;
  });
}

void gathers() {
  const Numbers out = onVector([](auto a, auto b) {
    LocalTensor<uint32_t> offsets = b[512].template ReinterpretCast<uint32_t>();
    LocalTensor<int32_t> count = b[512].template ReinterpretCast<int32_t>();
    CreateVecIndex(count, 0, 64, 1, 1, 8);  // 0, 1, 2, … in bytes of four, backwards
    Muls(count, count, -4, 64);
    Adds(count, count, 4 * 63, 64);
    Gather(b, a, offsets, 0, uint64_t{64}, 1, 8);
    CreateVecIndex(count, 0, 8);
    Muls(count, count, 64, 8);  // every other block
    Gatherb(b[64], a, offsets, 1, GatherRepeatParams(1, 8));
    Copy(b[128], a, uint64_t{32}, 2, CopyRepeatParams(1, 1, 8, 4));
  });
  expectAll("gathers", out, [](size_t i) {
    if (i < 64) return 64.0 - static_cast<double>(i);
    if (i < 128) return static_cast<double>((i - 64) / 8 * 16 + i % 8 + 1);
    if (i < 256) return i % 64 < 32 ? static_cast<double>((i - 128) / 64 * 32 + i % 64 + 1) : 0.0;
    return 0.0;
  });
}

void selects() {
  const Numbers out = onVector([](auto a, auto b) {
    LocalTensor<uint8_t> bits = b[512].template ReinterpretCast<uint8_t>();
    Compares(bits, a, 32.0f, CMPMODE::LE, uint64_t{64}, 2, UnaryRepeatParams());
    Select(b, bits, a, -1.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, uint64_t{64}, 2, BinaryRepeatParams());
    Compare(bits, a, b, CMPMODE::EQ, uint64_t{64}, 2, BinaryRepeatParams());
    Select(b[128], bits, b, a, SELMODE::VSEL_CMPMASK_SPR, uint64_t{48}, 2, BinaryRepeatParams());
  });
  expectAll("selects", out, [](size_t i) {
    const double a = static_cast<double>(i % 128 + 1);
    if (i < 128) return a <= 32 ? a : -1;
    if (i % 64 >= 48) return 0.0;
    return i % 64 < 32 ? (a <= 32 ? a : -1) : a;
  });
}

void reduces() {
  const Numbers out = onVector([](auto a, auto b) {
    ReduceSum(b, a, b[512], 32, 2, 8);         // lanes 1..32 and 65..96
    ReduceMax(b[8], a, b[512], 64, 3, 8, true);  // 192 at 191
    ReduceMin(b[16], a[64], b[512], 16, 1, 8);
  });
  expectNear("sum", 0, out[0], 32 * 33 / 2.0 + 32 * 64 + 32 * 33 / 2.0, 0);
  expectNear("max", 8, out[8], 192, 0);
  expectNear("index", 9, unmoor::ascend::detail::bitsAs<uint32_t>(out[9]), 191, 0);
  expectNear("min", 16, out[16], 65, 0);
}

void casts() {
  const Numbers out = onVector([](auto a, auto b) {
    auto wide = b[512].template ReinterpretCast<int64_t>();
    Cast(wide, a, RoundMode::CAST_TRUNC, 64);
    Cast(b[768].template ReinterpretCast<int32_t>(), wide, RoundMode::CAST_NONE, 64);
    SetDeqScale(half(0.5f));
    Cast(b[512].template ReinterpretCast<half>(), b[768].template ReinterpretCast<int32_t>(), RoundMode::CAST_NONE, 64);
    Cast(b, b[512].template ReinterpretCast<half>(), RoundMode::CAST_NONE, 64);
    MulCast(b[640].template ReinterpretCast<int8_t>(), b[512].template ReinterpretCast<half>(),
            b[512].template ReinterpretCast<half>(), 64);
    Cast(b[512].template ReinterpretCast<half>(), b[640].template ReinterpretCast<int8_t>(), RoundMode::CAST_NONE, 64);
    Cast(b[64], b[512].template ReinterpretCast<half>(), RoundMode::CAST_NONE, 64);
  });
  for (size_t i = 0; i < 64; i++) {
    const double half = (i + 1) / 2.0;
    expectNear("scaled", i, out[i], half, 0);
    expectNear("product", i, out[64 + i], std::min(127.0, std::nearbyint(half * half)), 0);
  }
}

void softmax() {
  const Numbers out = onVector([](auto a, auto b) {
    Muls(a, a, 0.25f, 256);
    SoftMax(b, b[512], b[544], a, b[576].template ReinterpretCast<uint8_t>(), SoftMaxTiling(), SoftMaxShapeInfo{4, 16, 4, 10});
    DataCopy(b[64], b[512], 64);
  });
  double total = 0;
  for (size_t i = 0; i < 10; i++) total += std::exp(0.25 * (static_cast<double>(i) - 9));
  for (size_t r = 0; r < 4; r++)
    for (size_t i = 0; i < 16; i++)
      expectNear("softmax", r * 16 + i, out[r * 16 + i], i < 10 ? std::exp(0.25 * (static_cast<double>(i) - 9)) / total : 0, 1e-5);
  expectNear("sum", 64, out[64], total, 1e-5);
  expectNear("max", 96, out[96], 2.5, 1e-6);
}

void topk() {
  const Numbers out = onVector([](auto a, auto b) {
    Muls(a[32], a[32], -1.0f, 32);
    auto ids = b[128].template ReinterpretCast<int32_t>();
    auto finished = b[512].template ReinterpretCast<bool>();
    Duplicate(b[512].template ReinterpretCast<int16_t>(), int16_t{0x0100}, 16);  // row 1 is finished
    TopK<float, false, true>(b, ids, a, ids, finished, b[576].template ReinterpretCast<uint8_t>(), 3, TopkTiling(), TopKInfo{2, 32, 30});
    Cast(b[128], ids, RoundMode::CAST_NONE, 16);
  });
  for (size_t i = 0; i < 3; i++) {
    expectNear("first row", i, out[i], 32.0 - static_cast<double>(i), 0);
    expectNear("second row", i, out[8 + i], -33.0 - static_cast<double>(i), 0);
    expectNear("its ids", i, out[128 + i], 31.0 - static_cast<double>(i), 0);
    expectNear("n", i, out[136 + i], 30, 0);
  }
}

// All blocks add their number to the same eight, without waiting for each other: no order is asked of atomic stores.
void atomics() {
  std::vector<float> sum(8, 1), largest(8, 0);
  Device device;
  device.registerBuffer(sum.data(), 32, "sum", true);
  device.registerBuffer(largest.data(), 32, "largest", true);
  kernelBody = [&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 32);
    auto mine = memory.Get<float>();
    Duplicate(mine, static_cast<float>(GetBlockIdx() + 1), 8);
    SetFlag<HardEvent::V_MTE3>(0);
    WaitFlag<HardEvent::V_MTE3>(0);
    GlobalTensor<float> s, l;
    s.SetGlobalBuffer(sum.data()), l.SetGlobalBuffer(largest.data());
    SetAtomicAdd<float>();
    DataCopy(s, mine, 8);
    SetAtomicMax<float>();
    DataCopyPad(l, mine, DataCopyParams(1, 20, 0, 0));
    SetAtomicNone();
  };
  for (uint64_t seed = 0; seed < 3; seed++) {
    device.setSeed(seed);
    device.launch("atomics", KERNEL_TYPE_AIV_ONLY, 8, kernel);
  }
  for (size_t i = 0; i < 8; i++) expectNear("sum", i, sum[i], 1 + 3 * 36, 0);
  for (size_t i = 0; i < 8; i++) expectNear("largest", i, largest[i], i < 5 ? 8 : 0, 0);
}

// Tensors handed over in place, and straight from MTE2 to MTE3.
void queues() {
  std::vector<float> x = randoms(64, 3), y(64), z(64);
  Device device;
  device.registerBuffer(x.data(), 256, "x", true);
  device.registerBuffer(y.data(), 256, "y", false);
  device.registerBuffer(z.data(), 256, "z", false);
  kernelBody = [&] {
    TPipe pipe;
    TQue<TPosition::VECIN, 0> in;
    TQue<TPosition::VECOUT, 0> out;
    TQueBind<TPosition::VECIN, TPosition::VECOUT, 1> through;
    pipe.InitBuffer(in, 1, 128);
    pipe.InitBuffer(out, 1, 128);
    pipe.InitBuffer(through, 2, 128);
    GlobalTensor<float> from, to, copy;
    from.SetGlobalBuffer(x.data()), to.SetGlobalBuffer(y.data()), copy.SetGlobalBuffer(z.data());
    LocalTensor<float> a, b;
    for (uint32_t at = 0; at < 64; at += 32) {
      in.AllocTensor(a);
      DataCopy(a, from[at], 32);
      in.EnQue(a);
      in.DeQue(a);
      out.AllocTensor(b);
      Adds(b, a, 1.0f, 32);
      in.FreeTensor(a);
      out.EnQue(b);
      out.DeQue(b);
      DataCopy(to[at], b, 32);
      out.FreeTensor(b);
      LocalTensor<float> t = through.AllocTensor<float>();
      DataCopy(t, from[at], 32);
      through.EnQue(t);
      t = through.DeQue<float>();
      DataCopy(copy[at], t, 32);
      through.FreeTensor(t);
    }
  };
  for (uint64_t seed = 0; seed < 4; seed++) {
    device.setSeed(seed);
    device.launch("queues", KERNEL_TYPE_AIV_ONLY, 1, kernel);
  }
  for (size_t i = 0; i < 64; i++) expectNear("y", i, y[i], x[i] + 1, 1e-6), expectNear("z", i, z[i], x[i], 0);
}

// A product with a bias; its result as 8 bits with a factor for each column; A comes as a picture with windows of 1 x 1.
void products() {
  std::vector<half> a(32 * 16), b(16 * 16);
  std::vector<float> bias(16);
  std::vector<uint64_t> factors(16);
  std::vector<int8_t> out(32 * 16);
  for (size_t i = 0; i < a.size(); i++) a[i] = half(static_cast<float>(i % 5) - 2);
  for (size_t i = 0; i < b.size(); i++) b[i] = half(static_cast<float>(i % 7) - 3);
  for (size_t i = 0; i < 16; i++) {
    bias[i] = static_cast<float>(i) - 8;
    factors[i] = unmoor::ascend::detail::bitsAs<uint32_t>(i % 2 == 0 ? 0.5f : 2.0f) | uint64_t{1} << 46 | uint64_t{3} << 37;
  }
  Device device;
  device.setSynchronisation(Synchronisation::Automatic);
  device.registerBuffer(a.data(), a.size() * 2, "a", true);
  device.registerBuffer(b.data(), b.size() * 2, "b", true);
  device.registerBuffer(bias.data(), 64, "bias", true);
  device.registerBuffer(factors.data(), 128, "factors", true);
  device.registerBuffer(out.data(), out.size(), "out", false);
  kernelBody = [&] {
    GlobalTensor<half> ga, gb;
    GlobalTensor<float> gBias;
    GlobalTensor<uint64_t> gFactors;
    GlobalTensor<int8_t> gOut;
    ga.SetGlobalBuffer(a.data()), gb.SetGlobalBuffer(b.data()), gBias.SetGlobalBuffer(bias.data());
    gFactors.SetGlobalBuffer(factors.data()), gOut.SetGlobalBuffer(out.data());
    // Memory at places of one's own choice, without a TPipe.
    LocalTensor<half> l1a(TPosition::A1, 0, 512), l1b(TPosition::B1, 1024, 256), l0a(TPosition::A2, 0, 512), l0b(TPosition::B2, 0, 256);
    LocalTensor<float> l1Bias(TPosition::C1, 2048, 16), table(TPosition::C2, 0, 16), c(TPosition::CO1, 0, 512);
    LocalTensor<uint64_t> l1Factors(TPosition::C1, 4096, 16);
    DataCopy(l1a, ga, Nd2NzParams(1, 32, 16, 0, 16, 32, 1, 0));
    DataCopy(l1b, gb, Nd2NzParams(1, 16, 16, 0, 16, 16, 1, 0));
    DataCopy(l1Bias, gBias, 16);
    DataCopy(l1Factors, gFactors, 16);
    DataCopy(table, l1Bias, 16);
    const uint8_t none[4] = {0, 0, 0, 0};
    LoadData(l0a, l1a, LoadData3DParamsV2<half>(none, 4, 8, 16, 16, 32, 0, 0, 1, 1, 1, 1, 1, 1, false, false, half(0)));
    LoadData(l0b, l1b, LoadData3DParamsV2<half>(none, 1, 16, 16, 16, 16, 0, 0, 1, 1, 1, 1, 1, 1, true, false, half(0)));
    MmadParams p(32, 16, 16, 0, true, false);
    Mmad(c, l0a, l0b, table, p);
    FixpipeParamsV220 fix(16, 32, 32, 16, false);
    fix.quantPre = QuantMode_t::VQF322B8_PRE;
    Fixpipe(gOut, c, l1Factors, fix);
  };
  device.launch("products", KERNEL_TYPE_AIC_ONLY, 1, kernel);
  for (size_t m = 0; m < 32; m++)
    for (size_t n = 0; n < 16; n++) {
      float sum = bias[n];
      for (size_t k = 0; k < 16; k++) sum += float(a[m * 16 + k]) * float(b[k * 16 + n]);
      const float scaled = std::nearbyint(sum * (n % 2 == 0 ? 0.5f : 2.0f)) + 3;
      expectNear("out", m * 16 + n, out[m * 16 + n], std::min(127.0f, std::max(-128.0f, scaled)), 0);
    }
}

// Windows of 3 x 3 over a picture of 4 x 4 with a border of 9: each row of A is a window, 16 channels of each pixel.
void windows() {
  std::vector<half> x(16 * 16), seen(16 * 144);
  for (size_t i = 0; i < x.size(); i++) x[i] = half(static_cast<float>(i));
  Device device;
  device.setSynchronisation(Synchronisation::Automatic);
  device.registerBuffer(x.data(), x.size() * 2, "x", true);
  kernelBody = [&] {
    GlobalTensor<half> in;
    in.SetGlobalBuffer(x.data());
    LocalTensor<half> picture(TPosition::A1, 0, 256), rows(TPosition::A2, 0, 16 * 144);
    DataCopy(picture, in, 256);
    const uint8_t border[4] = {1, 1, 1, 1};
    LoadData(rows, picture, LoadData3DParamsV2<half>(border, 4, 4, 16, 144, 16, 0, 0, 1, 1, 3, 3, 1, 1, false, false, half(9)));
    PipeBarrier<PIPE_ALL>();
    auto &core = unmoor::ascend::detail::core();
    std::memcpy(seen.data(), core.bytesAt(unmoor::ascend::detail::Space::L0A, 0), seen.size() * 2);
  };
  device.launch("windows", KERNEL_TYPE_AIC_ONLY, 1, kernel);
  for (int m = 0; m < 16; m++)
    for (int place = 0; place < 9; place++)
      for (int channel = 0; channel < 16; channel++) {
        const int y = m / 4 + place / 3 - 1, column = m % 4 + place % 3 - 1;
        const bool outside = y < 0 || column < 0 || y > 3 || column > 3;
        const size_t at = static_cast<size_t>(place * 256 + m * 16 + channel);
        expectNear("window", at, float(seen[at]), outside ? 9 : (y * 4 + column) * 16 + channel, 0);
      }
}

// Vector cores of a plain kernel wait for each other over global memory.
void softSync() {
  std::vector<int32_t> shared(4), out(4), work(32);
  Device device;
  device.registerBuffer(shared.data(), 16, "shared", false);
  device.registerBuffer(out.data(), 16, "out", false);
  device.registerBuffer(work.data(), 128, "work", true);
  kernelBody = [&] {
    GlobalTensor<int32_t> s, o, w;
    s.SetGlobalBuffer(shared.data()), o.SetGlobalBuffer(out.data()), w.SetGlobalBuffer(work.data());
    LocalTensor<int32_t> ub(TPosition::VECCALC, 0, 32);
    const int64_t me = GetBlockIdx();
    s.SetValue(me, static_cast<int32_t>(me * 10));
    SyncAll(w, ub);
    o.SetValue(me, s.GetValue((me + 1) % GetBlockNum()));
  };
  device.launch("soft", KERNEL_TYPE_AIV_ONLY, 4, kernel);
  for (int i = 0; i < 4; i++) expectNear("out", static_cast<size_t>(i), out[static_cast<size_t>(i)], (i + 1) % 4 * 10, 0);
}

struct Sizes {
  uint32_t rows;
  float factor;
};

// What a kernel finds in its tiling, by its key.
void tiling() {
  Sizes sizes{3, 0.5f};
  std::vector<float> out(3);
  Device device;
  device.registerBuffer(&sizes, sizeof(sizes), "tiling", true);
  device.registerBuffer(out.data(), 12, "out", false);
  kernelBody = [&] {
    auto *address = reinterpret_cast<GM_ADDR>(&sizes);
    KERNEL_TASK_TYPE(5, KERNEL_TYPE_AIC_ONLY);
    KERNEL_TASK_TYPE(7, KERNEL_TYPE_AIV_ONLY);
    REGISTER_TILING_DEFAULT(Sizes);
    GET_TILING_DATA(all, address);
    GET_TILING_DATA_MEMBER(Sizes, factor, factor, address);
    GlobalTensor<float> o;
    o.SetGlobalBuffer(out.data());
    for (uint32_t i = 0; i < all.rows; i++) o.SetValue(i, TILING_KEY_IS(7) ? factor : 0);
    assert(all.rows == 3);
  };
  device.setTilingKey(7);
  device.launch("tiling", KERNEL_TYPE_AIV_ONLY, 1, kernel);
  for (size_t i = 0; i < 3; i++) expectNear("out", i, out[i], 0.5, 0);
}

Cases cases() {
  Cases all{{"masks", masks},     {"fused", fused},     {"gathers", gathers}, {"selects", selects},   {"reduces", reduces},
            {"casts", casts},     {"softmax", softmax}, {"topk", topk},       {"atomics", atomics},   {"queues", queues},
            {"products", products}, {"windows", windows}, {"soft-sync", softSync}, {"tiling", tiling}};

  all["mask-mode"] = vec<float>([](auto a, auto b) {
    SetMaskCount();
    uint64_t mask[] = {1, 0};
    Adds(b, a, 1.0f, mask, 1, UnaryRepeatParams{});  // HERE mask-mode
  });
  all["mask-mode-register"] = vec<float>([](auto, auto) {
    SetVectorMask<float, MaskMode::COUNTER>(10);  // HERE mask-mode-register
  });
  all["counter-range"] = vec<float>([](auto a, auto b) {
    SetMaskCount();
    Adds(b, a, 1.0f, 600, 1, UnaryRepeatParams{});  // HERE counter-range
  });
  all["atomic-type"] = vec<float>([](auto a, auto) {
    SetAtomicAdd<half>();
    DataCopy(output<float>(), a, 8);  // HERE atomic-type
  });
  all["atomic-unwritten"] = vec<float>([](auto a, auto) {
    SetAtomicAdd<float>();
    DataCopy(output<float>(), a, 8);  // HERE atomic-unwritten
  });
  all["atomic-dtype"] = vec<float>([](auto, auto) {
    SetAtomicAdd<uint32_t>();  // HERE atomic-dtype
  });
  // Atomic stores need no order among each other, but what reads their sum does.
  all["atomic-race"] = [] {
    std::vector<float> sum(8, 1);
    Device device;
    device.registerBuffer(sum.data(), 32, "sum", true);
    kernelBody = [&] {
      LocalTensor<float> mine(TPosition::VECCALC, 0, 8);
      GlobalTensor<float> s;
      s.SetGlobalBuffer(sum.data());
      Duplicate(mine, 1.0f, 8);
      PipeBarrier<PIPE_ALL>();
      SetAtomicAdd<float>();
      DataCopy(s, mine, 8);  // HERE atomic-race
      SetAtomicNone();
      PipeBarrier<PIPE_ALL>();
      DataCopy(mine, s, 8);
    };
    device.launch("race", KERNEL_TYPE_AIV_ONLY, 2, kernel);
  };
  all["bias-missing"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, true, false));  // HERE bias-missing
  });
  all["bias-capacity"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::C2> table;
    pipe.InitBuffer(table, 2048);  // HERE bias-capacity
  });
  all["bias-uninitialised"] = cube([](Cube &c) {
    c.load();
    LocalTensor<float> table(TPosition::C2, 0, 16);
    Mmad(c.l0c, c.l0a, c.l0b, table, MmadParams(16, 16, 16, 0, true, false));  // HERE bias-uninitialised
  });
  all["quant-factors"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    FixpipeParamsV220 fix(16, 16, 16, 16, false);
    fix.quantPre = QuantMode_t::VQF322B8_PRE;
    Fixpipe(output<int8_t>(), c.l0c, fix);  // HERE quant-factors
  });
  all["quant-sign"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    FixpipeParamsV220 fix(16, 16, 16, 16, false);
    fix.quantPre = QuantMode_t::QF322B8_PRE;
    fix.deqScalar = unmoor::ascend::detail::bitsAs<uint32_t>(1.0f);
    Fixpipe(output<int8_t>(), c.l0c, fix);  // HERE quant-sign
  });
  all["window-columns"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), 512);
    const uint8_t none[4] = {0, 0, 0, 0};
    LoadData(c.l0a, c.l1, LoadData3DParamsV2<half>(none, 4, 4, 16, 32, 16, 0, 0, 1, 1, 1, 1, 1, 1, false, false, half(0)));  // HERE window-columns
  });
  all["placed-capacity"] = aiv([] {
    LocalTensor<float>(TPosition::VECCALC, 188000, 256);  // HERE placed-capacity
  });
  all["assert"] = aiv([] {
    assert(GetBlockNum() == 2 && "two blocks");  // HERE assert
  });
  all["softmax-shape"] = vec<float>([](auto a, auto b) {
    SoftMax(b, a, b[64].template ReinterpretCast<uint8_t>(), SoftMaxTiling());  // HERE softmax-shape
  });
  all["topk-inner"] = vec<float>([](auto a, auto b) {
    auto ids = b[64].template ReinterpretCast<int32_t>();
    TopK<float>(b, ids, a, ids, LocalTensor<bool>(), b[128].template ReinterpretCast<uint8_t>(), 3, TopkTiling(), TopKInfo{1, 24, 24});  // HERE topk-inner
  });
  return all;
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
