// Memory without a TPipe and in pools, what turns as it moves, and blocks that wait for each other by words in global memory.
#include "kernels.h"

namespace {

std::function<void()> body;
void run() { body(); }

/// A kernel with two arrays in global memory.
template <class T> struct Arrays {
  std::vector<T> x, y;
  Device device;
  Arrays(size_t in, size_t out) : x(in), y(out) {
    for (size_t i = 0; i < in; i++) x[i] = T(static_cast<float>(i % 97));
    device.registerBuffer(x.data(), in * sizeof(T), "x", true);
    device.registerBuffer(y.data(), out * sizeof(T), "y", false);
  }
  GlobalTensor<T> in() {
    GlobalTensor<T> g;
    g.SetGlobalBuffer(x.data(), x.size());
    return g;
  }
  GlobalTensor<T> out() {
    GlobalTensor<T> g;
    g.SetGlobalBuffer(y.data(), y.size());
    return g;
  }
};

/// For four orders of the pipes.
void launch(Device &device, KernelMetaType type, uint32_t blocks, std::function<void()> kernel) {
  body = std::move(kernel);
  for (uint64_t seed = 1; seed <= 4; seed++) {
    device.setSeed(seed);
    device.launch("kernel", type, blocks, run);
  }
}

template <HardEvent event> void after() {
  SetFlag<event>(EVENT_ID0);
  WaitFlag<event>(EVENT_ID0);
}

void allocator() {
  Arrays<float> a(64, 64);
  launch(a.device, KERNEL_TYPE_AIV_ONLY, 1, [&] {
    LocalMemAllocator memory;
    auto x = memory.Alloc<float, 64>();
    auto y = memory.Alloc<TPosition::VECOUT, float>(63);
    if (memory.GetCurAddr() != 512) throw Mismatch("the next tensor begins at " + std::to_string(memory.GetCurAddr()));
    DataCopy(x, a.in(), 64);
    after<HardEvent::MTE2_V>();
    Adds(y, x, 1.0f, 63);
    after<HardEvent::V_MTE3>();
    DataCopyPad(a.out(), y, DataCopyExtParams(1, 63 * 4, 0, 0, 0));
  });
  for (int i = 0; i < 63; i++) expectNear("y", i, a.y[i], i % 97 + 1, 0);
}

/// Two pools at one place, one after the other, inside a third.
void pools() {
  Arrays<half> a(1024, 1024);
  launch(a.device, KERNEL_TYPE_AIV_ONLY, 1, [&] {
    TPipe pipe;
    TBufPool<TPosition::VECCALC, 16> outer;
    TBufPool<TPosition::VECCALC> first, second;
    TQue<TPosition::VECIN, 1> in, laterIn;
    TQue<TPosition::VECOUT, 1> out, laterOut;
    pipe.InitBufPool(outer, 4096);
    outer.InitBufPool(first, 2048);
    outer.InitBufPool(second, 2048, first);
    const auto half_ = [&](TQue<TPosition::VECIN, 1> &from, TQue<TPosition::VECOUT, 1> &to, uint32_t at) {
      auto x = from.AllocTensor<half>();
      DataCopy(x, a.in()[at], 512);
      from.EnQue(x);
      x = from.DeQue<half>();
      auto y = to.AllocTensor<half>();
      Adds(y, x, half(1), 512);
      to.EnQue(y);
      from.FreeTensor(x);
      y = to.DeQue<half>();
      DataCopy(a.out()[at], y, 512);
      to.FreeTensor(y);
    };
    first.InitBuffer(in, 1, 1024);
    first.InitBuffer(out, 1, 1024);
    half_(in, out, 0);
    first.Reset();
    second.InitBuffer(laterIn, 1, 1024);
    second.InitBuffer(laterOut, 1, 1024);
    half_(laterIn, laterOut, 512);
    second.Reset();
    outer.Reset();
  });
  for (int i = 0; i < 1024; i++) expectNear("y", i, a.y[i], i % 97 + 1, 0);
}

/// C[m][n] = sum of At[k][m] B[k][n]: A lies turned in L1 and turns on its way to L0A, B on its way to L0B. One square along m and n.
template <class T, class Out, class Acc> void turnedLoads(bool windows) {
  constexpr uint32_t side = sizeof(T) == 1 ? 32 : 16, c0 = 32 / sizeof(T), K = 2 * side;
  Arrays<T> a(2 * K * side, 16);
  std::vector<Out> c(side * side);
  a.device.registerBuffer(c.data(), c.size() * sizeof(Out), "c", false);
  launch(a.device, KERNEL_TYPE_AIC_ONLY, 1, [&] {
    TPipe pipe;
    TBuf<TPosition::A1> l1;
    TBuf<TPosition::A2> l0a;
    TBuf<TPosition::B2> l0b;
    TBuf<TPosition::CO1> l0c;
    pipe.InitBuffer(l1, 2 * K * side * sizeof(T));
    pipe.InitBuffer(l0a, K * side * sizeof(T));
    pipe.InitBuffer(l0b, K * side * sizeof(T));
    pipe.InitBuffer(l0c, side * side * 4);
    auto x = l1.Get<T>(), left = l0a.Get<T>(), right = l0b.Get<T>();
    auto sums = l0c.Get<Acc>();
    GlobalTensor<Out> out;
    out.SetGlobalBuffer(c.data(), c.size());
    for (uint32_t m = 0; m < 2; m++) {
      if (windows && (m == 0 || sizeof(T) == 2)) {
        // NZ, with the rows along k: a picture of K pixels with `side` channels.
        DataCopy(x[m * K * side], a.in()[m * K * side], Nd2NzParams(1, K, side, 0, side, K, 1, 0));
      } else {
        // Squares one after the other, each of fractals side by side (4 bytes) or one above the other (bytes).
        for (uint32_t square = 0; square < 2; square++)
          for (uint32_t part = 0; part < (sizeof(T) == 4 ? 2 : 1); part++)
            DataCopy(x[(m * K + square * side) * side + part * 16 * c0], a.in()[(m * K + square * side) * side + part * c0],
                     Nd2NzParams(1, side, c0, 0, side, side, 1, 0));
      }
    }
    after<HardEvent::MTE2_MTE1>();
    const uint16_t apart = sizeof(T) == 2 ? 0 : 1;
    if (windows) {
      const uint8_t none[4] = {0, 0, 0, 0};
      LoadData3DParamsV2<T> p(none, 1, K, side, side, K, 0, 0, 1, 1, 1, 1, 1, 1, true, false, T(0));
      LoadData(left, x, p);
      if constexpr (sizeof(T) == 2) LoadData(right, x[K * side], p);
      else LoadDataWithTranspose(right, x[K * side], LoadData2dTransposeParams(0, 2, 1, apart, 0));
    } else if constexpr (sizeof(T) == 1) {
      // L0A [m1][k1]: the two fractals of a square lie one above the other, two apart. L0B [k1][n1]: one after the other.
      LoadDataWithTranspose(left, x, LoadData2dTransposeParams(0, 2, 1, 0, 1));
      LoadDataWithTranspose(right, x[K * side], LoadData2dTransposeParams(0, 2, 1, 1, 0));
    } else {
      LoadDataWithTranspose(left, x, LoadData2dTransposeParams(0, 2, 1, apart, 0));
      LoadDataWithTranspose(right, x[K * side], LoadData2dTransposeParams(0, 2, 1, apart, 0));
    }
    after<HardEvent::MTE1_M>();
    Mmad(sums, left, right, MmadParams(side, side, K, 0, false, true));
    after<HardEvent::M_FIX>();
    Fixpipe<Out, Acc, CFG_ROW_MAJOR>(out, sums, FixpipeParamsV220(side, side, side, side, false));
  });
  for (uint32_t i = 0; i < side; i++)
    for (uint32_t j = 0; j < side; j++) {
      double sum = 0;
      for (uint32_t k = 0; k < K; k++) sum += static_cast<double>(a.x[k * side + i]) * static_cast<double>(a.x[(K + k) * side + j]);
      expectNear("c", i * side + j, static_cast<double>(c[i * side + j]), sum, 1e-6);
    }
}

template <class T> void turnedBlocks(bool addresses, uint8_t repeats) {
  constexpr uint32_t c0 = 32 / sizeof(T), columns = sizeof(T) == 4 ? 8 : 16;
  const uint32_t width = c0 * repeats;
  Arrays<T> a(16 * width, 16 * width);
  launch(a.device, KERNEL_TYPE_AIV_ONLY, 1, [&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 32 * width * sizeof(T));
    auto x = memory.Get<T>(16 * width), y = memory.GetWithOffset<T>(16 * width, 16 * width * sizeof(T));
    DataCopy(x, a.in(), 16 * width);
    after<HardEvent::MTE2_V>();
    TransDataTo5HDParams p(false, false, repeats, repeats == 1 ? 0 : 16, repeats == 1 ? 0 : 1);
    uint64_t from[16], to[16];
    LocalTensor<T> fromTensors[16], toTensors[16];
    for (int i = 0; i < 16; i++) {
      fromTensors[i] = x[i * width], toTensors[i] = y[i * c0];
      from[i] = reinterpret_cast<uint64_t>(fromTensors[i].GetPhyAddr()), to[i] = reinterpret_cast<uint64_t>(toTensors[i].GetPhyAddr());
    }
    if (sizeof(T) == 1) Duplicate(y.template ReinterpretCast<half>(), half(0), 8 * width);
    if (sizeof(T) == 1) PipeBarrier<PIPE_V>();
    if (addresses) TransDataTo5HD<T>(to, from, p);
    else TransDataTo5HD(toTensors, fromTensors, p);
    after<HardEvent::V_MTE3>();
    DataCopy(a.out(), y, 16 * width);
  });
  for (uint32_t repeat = 0; repeat < repeats; repeat++)
    for (uint32_t column = 0; column < columns; column++)
      for (uint32_t row = 0; row < 16; row++) {
        // Rows of 16 elements: half a block of bytes, one block of halves, two blocks of floats.
        const uint32_t place = sizeof(T) == 1 ? repeat * 16 * 32 + column * 32 + row : (repeat * columns + column) * 16 + row;
        expectNear("y", place, static_cast<double>(a.y[place]), static_cast<double>(a.x[row * width + repeat * c0 + column]), 0);
      }
}

/// Block 1 takes what block 0 has written, twice.
void blockFlags() {
  Arrays<float> a(64, 64);
  std::vector<int32_t> words(2 * 2 * 8, 0);
  a.device.registerBuffer(words.data(), words.size() * 4, "words", true);
  launch(a.device, KERNEL_TYPE_AIV_ONLY, 2, [&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 512);
    auto x = memory.Get<float>(64);
    auto word = memory.GetWithOffset<int32_t>(8, 256);
    GlobalTensor<int32_t> sync;
    sync.SetGlobalBuffer(words.data(), words.size());
    for (int turn = 0; turn < 2; turn++) {
      if (GetBlockIdx() == 0) {
        DataCopy(x, a.in(), 64);
        after<HardEvent::MTE2_MTE3>();
        DataCopy(a.out(), x, 64);
        IBSet(sync, word, 0, 1);
        IBWait(sync, word, 1, 0);
      } else {
        IBWait(sync, word, 0, 1);
        DataCopy(x, a.out(), 64);
        after<HardEvent::MTE2_V>();
        Adds(x, x, 1.0f, 64);
        after<HardEvent::V_MTE3>();
        DataCopy(a.out(), x, 64);
        IBSet(sync, word, 1, 0);
      }
    }
  });
  for (int i = 0; i < 64; i++) expectNear("y", i, a.y[i], i + 1, 0);
}

// ---- broken kernels -------------------------------------------------------------------------------------------------------------------

void memories(Cases &all) {
  all["allocator beside a TPipe"] = aiv([] {
    TPipe pipe;
    LocalMemAllocator memory;
  });
  all["allocator, a second"] = aiv([] {
    LocalMemAllocator first;
    LocalMemAllocator second;
  });
  all["allocator, too much"] = aiv([] {
    LocalMemAllocator memory;
    memory.Alloc<float>(40000);
    memory.Alloc<float>(10000);
  });
  all["allocator, L0A of a vector core"] = aiv([] {
    LocalMemAllocator<Hardware::L0A> memory;
    memory.Alloc<half, 256>();
  });
  using Pool = TBufPool<TPosition::VECCALC>;
  const auto pool = [](std::function<void(TPipe &, Pool &)> use) {
    return aiv([=] {
      TPipe pipe;
      Pool one;
      pipe.InitBufPool(one, 1024);
      use(pipe, one);
    });
  };
  all["pool, too much"] = pool([](TPipe &, Pool &one) {
    TBuf<TPosition::VECCALC> a, b;
    one.InitBuffer(a, 992);
    one.InitBuffer(b, 64);
  });
  all["pool, another memory"] = aic([] {
    TPipe pipe;
    TBufPool<TPosition::A1> one;
    TBuf<TPosition::A2> a;
    pipe.InitBufPool(one, 1024);
    one.InitBuffer(a, 512);
  });
  all["pool, not initialised"] = aiv([] {
    TPipe pipe;
    Pool one;
    TBuf<TPosition::VECCALC> a;
    one.InitBuffer(a, 64);
  });
  all["pool, larger than what it shares"] = pool([](TPipe &pipe, Pool &one) {
    Pool two;
    pipe.InitBufPool(two, 2048, one);
  });
  all["pool, the other in use"] = pool([](TPipe &pipe, Pool &one) {
    Pool two;
    TBuf<TPosition::VECCALC> a, b;
    pipe.InitBufPool(two, 1024, one);
    one.InitBuffer(a, 64);
    two.InitBuffer(b, 64);
  });
  all["pool, reset too early"] = pool([](TPipe &, Pool &one) {
    InQueue q;
    one.InitBuffer(q, 1, 64);
    q.AllocTensor<float>();
    one.Reset();
  });
  all["pool, tensor from before"] = pool([](TPipe &, Pool &one) {
    TBuf<TPosition::VECCALC> a;
    one.InitBuffer(a, 64);
    auto x = a.Get<float>();
    one.Reset();
    Duplicate(x, 1.0f, 16);
  });
  all["pool, unordered"] = [] {
    synchronisation = Synchronisation::Explicit;
    aiv([] {
      TPipe pipe;
      Pool one, two;
      TBuf<TPosition::VECCALC> a, b;
      pipe.InitBufPool(one, 512);
      pipe.InitBufPool(two, 512, one);
      one.InitBuffer(a, 512);
      Duplicate(a.Get<float>(), 1.0f, 128);
      one.Reset();
      two.InitBuffer(b, 512);
      DataCopy(b.Get<float>(), input<float>(), 128);
    })();
  };
}

void turns(Cases &all) {
  const auto load = [](std::function<void(LoadData2dTransposeParams &)> change) {
    return aic([=] {
      TPipe pipe;
      TBuf<TPosition::A1> l1;
      TBuf<TPosition::A2> l0a;
      pipe.InitBuffer(l1, 2048);
      pipe.InitBuffer(l0a, 2048);
      DataCopy(l1.Get<float>(), input<float>(), 256);
      LoadData2dTransposeParams p(0, 1, 1, 1, 0);
      change(p);
      LoadDataWithTranspose(l0a.Get<float>(), l1.Get<float>(), p);
    });
  };
  all["turned load, beyond L1"] = load([](auto &p) { p.startIndex = 2; });
  all["turned load, beyond L0A"] = load([](auto &p) { p.dstFracGap = 3; });
  all["turned load, two at one place"] = load([](auto &p) { p.repeatTimes = 2, p.dstGap = 0; });
  all["turned load, falling addresses"] = load([](auto &p) { p.addrMode = 1; });
  all["turned load to UB"] = cube([](Cube &c) { LoadDataWithTranspose(c.l1, c.l1, LoadData2dTransposeParams(0, 1, 1, 0, 0)); });
  all["turned load, type"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::A1> l1;
    TBuf<TPosition::A2> l0a;
    pipe.InitBuffer(l1, 512);
    pipe.InitBuffer(l0a, 512);
    LoadDataWithTranspose(l0a.Get<int64_t>(), l1.Get<int64_t>(), LoadData2dTransposeParams(0, 1, 1, 0, 0));
  });
  const auto windows = [](auto zero, uint16_t k) {
    using T = decltype(zero);
    return aic([=] {
      TPipe pipe;
      TBuf<TPosition::A1> l1;
      TBuf<TPosition::A2> l0a;
      pipe.InitBuffer(l1, 1024);
      pipe.InitBuffer(l0a, 2048);
      DataCopy(l1.template Get<T>(), input<T>(), 1024 / sizeof(T));
      const uint8_t none[4] = {0, 0, 0, 0};
      LoadData(l0a.template Get<T>(), l1.template Get<T>(),
               LoadData3DParamsV2<T>(none, 1, 16, k, k, 16, 0, 0, 1, 1, 1, 1, 1, 1, true, false, zero));
    });
  };
  all["turned windows, bytes"] = windows(int8_t{0}, 32);
  all["turned windows, half a square"] = windows(0.0f, 8);
  const auto blocks = [](std::function<void(LocalTensor<half>, LocalTensor<half> (&)[16], LocalTensor<half> (&)[16], TransDataTo5HDParams &)> change) {
    return vec<half>([=](LocalTensor<half> a, LocalTensor<half> b) {
      LocalTensor<half> from[16], to[16];
      for (int i = 0; i < 16; i++) from[i] = a[i * 16], to[i] = b[i * 16];
      TransDataTo5HDParams p;
      change(a, to, from, p);
      TransDataTo5HD(to, from, p);
    });
  };
  all["turned blocks, unaligned"] = blocks([](auto, auto &to, auto &, auto &) { to[3] = to[3][1]; });
  all["turned blocks, halves of halves"] = blocks([](auto, auto &, auto &, auto &p) { p.srcHighHalf = true; });
  all["turned blocks, unwritten"] = blocks([](auto, auto &to, auto &from, auto &) { from[15] = to[15]; });
  all["turned blocks, type"] = vec<bfloat16_t>([](auto a, auto b) {
    LocalTensor<bfloat16_t> from[16], to[16];
    for (int i = 0; i < 16; i++) from[i] = a[i * 16], to[i] = b[i * 16];
    TransDataTo5HD(to, from, TransDataTo5HDParams());
  });
  all["turned blocks, no address"] = vec<half>([](auto, auto) {
    uint64_t from[16] = {4096}, to[16] = {};
    TransDataTo5HD<half>(to, from, TransDataTo5HDParams());
  });
}

void flags(Cases &all) {
  const auto flag = [](uint32_t blocks, std::function<void(GlobalTensor<int32_t>, LocalTensor<int32_t>)> use) {
    return [=] {
      static std::vector<int32_t> words;
      words.assign(1024, 0);
      Device device;
      device.registerBuffer(words.data(), words.size() * 4, "words", true);
      body = [=] {
        TPipe pipe;
        TBuf<TPosition::VECCALC> memory;
        pipe.InitBuffer(memory, 64);
        GlobalTensor<int32_t> sync;
        sync.SetGlobalBuffer(words.data(), words.size());
        use(sync, memory.Get<int32_t>());
      };
      device.launch("broken", KERNEL_TYPE_AIV_ONLY, blocks, run);
    };
  };
  all["block flag, never set"] = flag(2, [](auto sync, auto word) {
    if (GetBlockIdx() == 1) IBWait(sync, word, 0, 0);
  });
  all["block flag, never waited for"] = flag(2, [](auto sync, auto word) {
    if (GetBlockIdx() == 0) IBSet(sync, word, 0, 0);
  });
  all["block flag, no such block"] = flag(2, [](auto sync, auto word) { IBSet(sync, word, 2, 0); });
  all["block flag, beyond its memory"] = flag(2, [](auto sync, auto word) { IBSet(sync, word, 0, 64); });
  all["block flag, event below 0"] = flag(2, [](auto sync, auto word) { IBSet(sync, word, 0, -1); });
  all["block flag, unaligned"] = flag(2, [](auto sync, auto word) { IBSet(sync, word[1], 0, 0); });
  all["block flag, more blocks than cores"] = flag(41, [](auto sync, auto word) { IBSet(sync, word, 0, 0); });
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  all["allocator"] = allocator;
  all["pools"] = pools;
  all["turned-loads"] = [] {
    turnedLoads<half, float, float>(false);
    turnedLoads<float, float, float>(false);
    turnedLoads<int8_t, int32_t, int32_t>(false);
    turnedLoads<half, float, float>(true);
    turnedLoads<float, float, float>(true);
  };
  all["turned-blocks"] = [] {
    for (const bool addresses : {false, true}) {
      turnedBlocks<half>(addresses, 1);
      turnedBlocks<half>(addresses, 3);
      turnedBlocks<float>(addresses, 2);
      turnedBlocks<int8_t>(addresses, 1);
    }
  };
  all["block-flags"] = blockFlags;
  memories(all);
  turns(all);
  flags(all);
  return runCase(all, argc, argv);
}
