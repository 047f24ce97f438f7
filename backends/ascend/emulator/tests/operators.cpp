// Operators on tensors, elements by (), and the register of comparisons.
#include <set>

#include "kernels.h"

namespace {

/// A pass over 256 floats and the sync that it needs, in ten orders: `a` is 1, 2, 3, …, and what `body` leaves in `b` comes back.
Numbers inAnyOrder(const std::function<void(LocalTensor<float>, LocalTensor<float>)> &body) {
  Numbers first;
  for (uint64_t seed = 0; seed < 10; seed++) {
    Device device;
    device.setSeed(seed);
    const Numbers found = onVector(device, [&](LocalTensor<float> a, LocalTensor<float> b) {
      SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
      WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
      body(a, b);
      SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
      WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
    });
    if (seed > 0 && found != first) throw Mismatch("other numbers in another order");
    first = found;
  }
  return first;
}

LocalTensor<float> part(const LocalTensor<float> &tensor, uint32_t from, uint32_t count) {
  LocalTensor<float> out = tensor[from];
  out.SetSize(count);
  return out;
}

/// Four quarters of 64: (a + a) * a, a - 2a, 2a / a, and bits of both integers.
void arithmetic() {
  const Numbers out = inAnyOrder([](auto a, auto b) {
    auto sum = part(b, 0, 64), difference = part(b, 64, 64), quotient = part(b, 128, 64), bits = part(b, 192, 64);
    sum = a + a;
    PipeBarrier<PIPE_V>();
    difference = a - sum;
    quotient = sum / a;
    LocalTensor<int16_t> small = bits.template ReinterpretCast<int16_t>(), other = b[256].template ReinterpretCast<int16_t>();
    other.SetSize(128);
    Duplicate<int16_t>(small, 12, 128);
    Duplicate<int16_t>(other, 10, 128);
    PipeBarrier<PIPE_V>();
    sum = sum * a;
    part(bits, 0, 32).template ReinterpretCast<int16_t>() = small & other;
    part(bits, 32, 32).template ReinterpretCast<int16_t>() = small[64] | other[64];
  });
  for (size_t i = 0; i < 64; i++) {
    const double a = static_cast<double>(i + 1);
    expectNear("(a + a) * a", i, out[i], 2 * a * a, 0);
    expectNear("a - 2a", i, out[64 + i], -a, 0);
    expectNear("2a / a", i, out[128 + i], 2, 0);
    expectNear("12 & 10, 12 | 10", i, unmoor::ascend::detail::bitsAs<int32_t>(out[192 + i]), i < 32 ? 0x00080008 : 0x000e000e, 0);
  }
}

void comparisons() {
  const Numbers out = inAnyOrder([](auto a, auto b) {
    auto limit = part(b, 512, 64), bits = b[640];
    Duplicate(limit, 32.0f, 64);
    PipeBarrier<PIPE_V>();
    const auto held = [&](uint32_t quarter, auto compare) {
      auto mask = bits.template ReinterpretCast<uint8_t>()[32 * quarter];
      compare(mask);
      PipeBarrier<PIPE_V>();
      Select(b[64 * quarter], mask, a, 0.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, 64);
    };
    held(0, [&](auto &mask) { mask = part(a, 0, 64) < limit; });
    held(1, [&](auto &mask) { mask = part(a, 0, 64) >= limit; });
    held(2, [&](auto &mask) { mask = part(a, 0, 64) == limit; });
    held(3, [&](auto &mask) { mask = part(a, 0, 64) != limit; });
  });
  expectAll("comparisons", out, [](size_t i) {
    const double a = static_cast<double>(i % 64 + 1);
    const bool holds[] = {a < 32, a >= 32, a == 32, a != 32};
    return holds[i / 64] ? a : 0.0;
  });
}

void elements() {
  const Numbers out = inAnyOrder([](auto a, auto memory) {
    auto b = part(memory, 0, 256);
    b = a + a;
    SetFlag<HardEvent::V_S>(EVENT_ID0);
    WaitFlag<HardEvent::V_S>(EVENT_ID0);
    const float third = b(2);
    b(0) = third + b(3);
    b(1) += b(0);
    b(4) = b(5);
    SetFlag<HardEvent::S_MTE3>(EVENT_ID0);
    WaitFlag<HardEvent::S_MTE3>(EVENT_ID0);
  });
  expectAll("elements", out, [](size_t i) { return i == 0 ? 14.0 : i == 1 ? 18.0 : i == 4 ? 12.0 : 2.0 * (i + 1); });
}

/// All three modes of selection by CmpMask, two repeats each but the first.
void cmpMask() {
  const Numbers out = inAnyOrder([](auto a, auto b) {
    auto limit = part(b, 512, 64), bits = b[640];
    const BinaryRepeatParams rows;
    Duplicate(limit, 32.0f, 64);
    Duplicate(b, 0.0f, 256);
    PipeBarrier<PIPE_V>();
    Compare(a, limit, CMPMODE::LE, uint64_t{64}, rows);
    SetVectorMask<float>(48);
    Select<float, SELMODE::VSEL_CMPMASK_SPR>(b, a, limit, 1, rows);
    GetCmpMask(bits.template ReinterpretCast<uint8_t>());
    PipeBarrier<PIPE_V>();
    Duplicate<float, false>(limit, -1.0f, MASK_PLACEHOLDER, 1, 1, 8);
    auto all = bits[8].template ReinterpretCast<uint8_t>();
    Compares(all, a[64], 200.0f, CMPMODE::LT, 128);
    PipeBarrier<PIPE_V>();
    SetCmpMask(limit);
    SetVectorMask<float>(64);
    Select(b[64], all, a[64], 2, rows);
    auto address = bits[16].template ReinterpretCast<uint32_t>();
    const auto at = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(bits.template ReinterpretCast<uint8_t>().GetPhyAddr()));
    Duplicate<uint32_t>(address, at, 32);
    PipeBarrier<PIPE_V>();
    SetCmpMask(address.template ReinterpretCast<int64_t>());
    Select<float, SELMODE::VSEL_TENSOR_TENSOR_MODE>(b[192], a[192], a, 1, rows);
    ResetMask();
  });
  expectAll("cmp-mask", out, [](size_t i) {
    const double a = static_cast<double>(i + 1);
    if (i < 64) return i >= 48 ? 0.0 : a <= 32 ? a : 32.0;
    if (i < 192) return a < 200 ? a : -1.0;
    return i - 192 < 32 ? a : a - 192;
  });
}

Cases cases() {
  Cases all;
  const auto broken = [&](const char *name, std::function<void()> run) { all[name] = std::move(run); };
  all["arithmetic"] = arithmetic;
  all["comparisons"] = comparisons;
  all["elements"] = elements;
  all["cmp-mask"] = cmpMask;

  broken("operator-size", vec<float>([](auto a, auto b) {
    LocalTensor<float> rest = a[64];
    b = a + rest;  // HERE operator-size
  }));
  broken("operator-dtype", vec<bfloat16_t>([](auto a, auto b) { b = a * a; }));
  broken("operator-bits", vec<int32_t>([](auto a, auto b) { b = a | a; }));
  broken("operator-quotient", vec<int32_t>([](auto a, auto b) { b = a / a; }));
  broken("operator-length", vec<float>([](auto a, auto b) {
    LocalTensor<float> some = a;
    some.SetSize(40);
    b.template ReinterpretCast<uint8_t>() = some < a;
  }));
  broken("operator-compares-int", vec<half>([](auto a, auto b) {
    LocalTensor<half> rest = a[128];
    b.template ReinterpretCast<uint8_t>() = a != rest;
  }));
  broken("operator-order", aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 1024);
    auto a = memory.GetWithOffset<float>(64, 0), b = memory.GetWithOffset<float>(64, 512);
    Duplicate(a, 1.0f, 64);
    b = a + a;  // HERE operator-order
  }));
  broken("element-order", aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 1024);
    auto a = memory.Get<float>(64);
    Duplicate(a, 1.0f, 64);
    a(3) = 2.0f;  // HERE element-order
  }));
  broken("element-unwritten", vec<float>([](auto a, auto b) { a(0) = b(7); }));
  broken("cmp-mask-missing", vec<float>([](auto a, auto b) {
    Select<float, SELMODE::VSEL_CMPMASK_SPR>(b, a, a, 1, BinaryRepeatParams());
  }));
  broken("cmp-mask-part", vec<float>([](auto a, auto b) {
    Compare(a, a, CMPMODE::EQ, uint64_t{32}, BinaryRepeatParams());
    SetVectorMask<float>(64);
    Select<float, SELMODE::VSEL_CMPMASK_SPR>(b, a, a, 1, BinaryRepeatParams());
  }));
  broken("cmp-mask-scalar", vec<float>([](auto a, auto b) {
    Compare(a, a, CMPMODE::EQ, uint64_t{64}, BinaryRepeatParams());
    Select(b, a.template ReinterpretCast<uint32_t>(), a, 1, BinaryRepeatParams());
  }));
  broken("cmp-mask-address", vec<float>([](auto a, auto b) {
    Duplicate<uint32_t>(b.template ReinterpretCast<uint32_t>(), 100000, 32);
    SetCmpMask(b);
    Select<float, SELMODE::VSEL_TENSOR_TENSOR_MODE>(b, a, a, 1, BinaryRepeatParams());
  }));
  broken("cmp-mask-bits", vec<float>([](auto a, auto b) {
    Duplicate<uint32_t>(b.template ReinterpretCast<uint32_t>(), static_cast<uint32_t>(b.handle.address) + 512, 32);
    SetCmpMask(b);
    Select<float, SELMODE::VSEL_TENSOR_TENSOR_MODE>(b, a, a, 1, BinaryRepeatParams());
  }));
  broken("cmp-mask-dtype", vec<int32_t>([](auto a, auto) { Compare(a, a, CMPMODE::EQ, uint64_t{64}, BinaryRepeatParams()); }));
  broken("cmp-mask-unread", vec<float>([](auto a, auto b) { Compare(a, b, CMPMODE::LT, uint64_t{64}, BinaryRepeatParams()); }));
  broken("cmp-mask-counter", vec<float>([](auto a, auto) {
    SetMaskCount();
    Compare(a, a, CMPMODE::EQ, uint64_t{64}, BinaryRepeatParams());
  }));
  broken("get-cmp-mask-missing", vec<float>([](auto, auto b) { GetCmpMask(b); }));
  broken("get-cmp-mask-size", vec<float>([](auto a, auto b) {
    Compare(a, a, CMPMODE::EQ, uint64_t{64}, BinaryRepeatParams());
    b.SetSize(8);
    GetCmpMask(b);
  }));
  broken("get-cmp-mask-place", vec<uint8_t>([](auto, auto b) { GetCmpMask(b[8]); }));
  broken("set-cmp-mask-place", vec<uint8_t>([](auto a, auto) { SetCmpMask(a[8]); }));
  // What CmpMask holds is what UB held: half of it.
  broken("get-cmp-mask-half", vec<float>([](auto a, auto b) {
    Compare(a, a, CMPMODE::EQ, uint64_t{64}, BinaryRepeatParams());
    GetCmpMask(b);
    Adds(b[64], b, 1.0f, 4);
  }));
  broken("compares-all", vec<float>([](auto a, auto b) {
    Duplicate(b, 0.0f, 48);
    Compare(a.template ReinterpretCast<uint8_t>(), a, b, CMPMODE::LT, uint64_t{48}, 1, BinaryRepeatParams());
  }));
  const std::set<std::string> ordered{"operator-order", "element-order"};
  for (auto &[name, run] : all)
    if (ordered.count(name) > 0)
      run = [run = run] {
        synchronisation = Synchronisation::Explicit;
        run();
      };
  return all;
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
