// Batches of products, operands that vector cores share, factors on the way out, and results that somebody waits for later.
#include "matmul_batch.h"

namespace {

template <LayoutMode L, LayoutMode LC>
using BatchObject = Matmul<MatmulType<TPosition::GM, CubeFormat::ND, half, false, L>, MatmulType<TPosition::GM, CubeFormat::ND, half, true, L>,
                           MatmulType<TPosition::GM, CubeFormat::ND, float, false, LC>, MatmulType<TPosition::GM, CubeFormat::ND, float>>;
template <LayoutMode L>
using ToUb = Matmul<MatmulType<TPosition::GM, CubeFormat::ND, half, false, L>, MatmulType<TPosition::GM, CubeFormat::ND, half, true, L>,
                    MatmulType<TPosition::VECIN, CubeFormat::ND, float, false, L>, MatmulType<TPosition::GM, CubeFormat::ND, float>>;

/// All rows and heads, a group of products in each call.
template <LayoutMode L, LayoutMode LC> void batch(const Batch &b) {
  const Layout in = layoutA<L>(b), with = layoutB<L>(b), out = layoutC<LC>(b);
  for (uint64_t seed = 1; seed <= 3; seed++) {
    Matrices x(in.size(), with.size(), out.size(), size_t(b.rows) * b.heads * b.group() * b.n);
    Device device;
    device.setSeed(seed);
    x.on(device);
    body = [&] {
      TCubeTiling tiling = tilingOf(b);
      TPipe pipe;
      BatchObject<L, LC> mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      for (int row = 0; row < b.rows; row++)
        for (int head = 0; head < b.heads; head++) {
          mm.SetTensorA(gm(x.a)[in.at(row, head, 0, 0, 0)]);
          mm.SetTensorB(gm(x.b)[with.at(row, head, 0, 0, 0)], b.turned);
          if (b.bias) mm.SetBias(gm(x.bias)[static_cast<size_t>((row * b.heads + head) * b.group() * b.n)]);
          const auto c = gm(x.c)[out.at(row, head, 0, 0, 0)];
          const auto countA = static_cast<uint32_t>(b.groupA), countB = static_cast<uint32_t>(b.groupB);
          if (b.waited) {
            mm.template IterateBatch<false, true>(c, countA, countB, false);
            mm.WaitIterateBatch();
          } else {
            mm.IterateBatch(c, countA, countB, false);
          }
        }
      mm.End();
    };
    device.launch("batch", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
    device.requireWritten(x.c.data());
    expectProducts(b, x, in, with, out);
  }
}

void batches() {
  Batch b;
  batch<LayoutMode::BSNGD, LayoutMode::BSNGD>(b);
  b.bias = true;
  batch<LayoutMode::BSNGD, LayoutMode::BNGS1S2>(b);
  b.turned = false, b.waited = true;
  batch<LayoutMode::SBNGD, LayoutMode::SBNGD>(b);
  batch<LayoutMode::BNGS1S2, LayoutMode::BNGS1S2>(b);
  b.groupB = 1;
  batch<LayoutMode::BSNGD, LayoutMode::BSNGD>(b);
  b.groupA = 1, b.groupB = 4;
  batch<LayoutMode::SBNGD, LayoutMode::BNGS1S2>(b);
  b.groupA = 4, b.groupB = 2, b.turned = true;
  batch<LayoutMode::NORMAL, LayoutMode::NORMAL>(b);
}

/// Two products out of matrices that lie further apart, into UB, one behind the other.
void apart() {
  Batch b;
  b.rows = b.heads = 1, b.groupA = b.groupB = 2, b.toUb = true;
  const int gap = b.m * b.k + 40;
  Matrices x(static_cast<size_t>(2 * gap), layoutB<LayoutMode::NORMAL>(b).size(), layoutC<LayoutMode::NORMAL>(b).size(), 0);
  Device device;
  x.on(device);
  body = [&] {
    TCubeTiling tiling = tilingOf(b);
    TPipe pipe;
    ToUb<LayoutMode::NORMAL> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    TQue<TPosition::VECIN, 1> in;
    pipe.InitBuffer(in, 1, static_cast<uint32_t>(2 * b.m * b.n * 4));
    mm.SetTensorA(gm(x.a));
    mm.SetTensorB(gm(x.b), true);
    auto c = in.AllocTensor<float>();
    mm.IterateBatch(c, 2, 2, true, static_cast<uint32_t>(gap));
    SetFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
    DataCopy(gm(x.c), c, static_cast<uint32_t>(2 * b.m * b.n));
    in.FreeTensor(c);
    mm.End();
  };
  device.launch("apart", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
  for (int g = 0; g < 2; g++)
    for (int i = 0; i < b.m; i++)
      for (int j = 0; j < b.n; j++) {
        double sum = 0;
        for (int p = 0; p < b.k; p++)
          sum += numberOf(x.a[static_cast<size_t>(g * gap + i * b.k + p)]) * numberOf(x.b[static_cast<size_t>((g * b.n + j) * b.k + p)]);
        const auto at = static_cast<size_t>((g * b.m + i) * b.n + j);
        expectNear("c", at, x.c[at], sum, 1e-3);
      }
}

// ---- shared operands --------------------------------------------------------------------------------------------------------------

template <class T> using SharedInGm = MatmulType<TPosition::GM, CubeFormat::ND, T, false, LayoutMode::NONE, true>;
using Sharing = Matmul<InGm<half>, SharedInGm<half>, InGm<float>, InGm<float>, CFG_IBSHARE_NORM>;

Product wholeB() {
  Product p;
  p.m = 40, p.n = p.singleN = 16, p.k = 64, p.singleM = 16;
  return p;
}
TCubeTiling sharedTiling() {
  TCubeTiling t = tilingOf(wholeB(), sizeof(half));
  t.stepKb = 4, t.depthB1 = 4;
  return t;
}

/// Vector cores of one group take the rows in turn; the third part of A has no partner.
void shared() {
  onVectors<half, float, float>(wholeB(), 1e-3, [](Operands<half, float, float> &o) {
    const Product p = wholeB();
    TCubeTiling tiling = sharedTiling();
    TPipe pipe;
    Sharing mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    if (GetBlockIdx() > 1) return;
    for (int at = GetBlockIdx() * 16; at < 64; at += 32) {
      if (at < p.m) {
        mm.SetTail(std::min(16, p.m - at));
        mm.SetTensorA(gm(o.a)[at * p.k]);
        mm.SetTensorB(gm(o.b));
      }
      mm.IterateAll(gm(o.c)[std::min(at, p.m - 1) * p.n], 0, false, false, at >= p.m);
    }
    mm.End();
  });
}

// ---- factors ----------------------------------------------------------------------------------------------------------------------

/// The 64 bits of a factor for a signed result.
uint64_t factor(float scale, int offset = 0) {
  uint32_t bits = 0;
  std::memcpy(&bits, &scale, 4);
  return (bits & 0xffffe000u) | (static_cast<uint64_t>(offset & 0x1ff) << 37) | (uint64_t{1} << 46);
}

/// C by one factor, or by one for each column, of which each is a power of two.
template <class T, class Out, class BiasT> void scaled(bool columns, float scale, bool rounds, double tolerance) {
  Product p = Product();
  p.bias = true;
  std::vector<uint64_t> factors;
  for (int j = 0; j < p.n; j++) factors.push_back(factor(j % 2 == 0 ? scale : scale / 2));
  for (uint64_t seed = 1; seed <= 3; seed++) {
    Operands<T, Out, BiasT> o(p);
    Device device;
    device.setSeed(seed);
    o.on(device);
    device.registerBuffer(factors.data(), factors.size() * 8, "factors", true);
    body = [&] {
      TCubeTiling tiling = tilingOf(p, sizeof(T));
      TPipe pipe;
      Matmul<InGm<T>, InGm<T>, InGm<Out>, InGm<BiasT>> mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      eachPart(p, GetBlockIdx(), cores(), [&](int i, int j, int m, int n) {
        mm.SetTail(m, n);
        if (columns) mm.SetQuantVector(gm(factors)[j]);
        else mm.SetQuantScalar(factors[0]);
        mm.SetTensorA(gm(o.a)[i * p.k]);
        mm.SetTensorB(gm(o.b)[j]);
        mm.SetBias(gm(o.bias)[j]);
        mm.IterateAll(gm(o.c)[i * p.n + j]);
        mm.End();
      });
    };
    device.launch("scaled", KERNEL_TYPE_MIX_AIC_1_2, 2, run);
    for (size_t i = 0; i < o.want.size(); i++) {
      o.want[i] *= columns && i % static_cast<size_t>(p.n) % 2 == 1 ? scale / 2 : scale;
      if (rounds) o.want[i] = std::max(-128.0, std::min(127.0, std::nearbyint(o.want[i])));
    }
    o.check(tolerance);
  }
}

// ---- broken kernels -----------------------------------------------------------------------------------------------------------------

/// A call of IterateBatch with a tiling that is changed before.
template <LayoutMode L = LayoutMode::BSNGD, LayoutMode LC = L>
std::function<void()> call(uint32_t a, uint32_t b, std::function<void(TCubeTiling &)> change = [](auto &) {}, bool sequential = false) {
  return on<BatchObject<L, LC>>(
      [=](auto &mm, auto &o) {
        mm.SetTensorA(gm(o.a));
        mm.SetTensorB(gm(o.b));
        mm.IterateBatch(gm(o.c), a, b, sequential);
      },
      [=](TCubeTiling &t) {
        t = tilingOf(Batch());
        change(t);
      });
}

void brokenBatches(Cases &all) {
  all["batch, no matrices"] = call(0, 1);
  all["batch, numbers"] = call<LayoutMode::NORMAL>(3, 2);
  all["batch, ratio"] = call(3, 1);
  all["batch, more than BatchNum"] = call(6, 6);
  all["batch, half a row"] = call(2, 2, [](TCubeTiling &t) { t.ALayoutInfoN = t.BLayoutInfoN = 1; });
  all["batch, L1"] = call(3, 3, [](TCubeTiling &t) { t.singleCoreM = t.M = 2048, t.singleCoreK = t.Ka = t.Kb = 128; });
  all["batch, L1 in NORMAL"] =
      call<LayoutMode::NORMAL>(3, 3, [](TCubeTiling &t) { t.singleCoreM = t.M = 2048, t.singleCoreK = t.Ka = t.Kb = 128; });
  all["batch, in order"] = call(3, 3, [](auto &) {}, true);
  all["batch, A beyond its buffer"] = call<LayoutMode::NORMAL>(4, 4);
  all["batch, stride of C"] = on<BatchObject<LayoutMode::NORMAL, LayoutMode::NORMAL>>([](auto &mm, auto &o) {
    set(mm, o);
    mm.IterateBatch(gm(o.c), 1, 1, false, 0, 0, 8);
  });
  all["batch, partial sums"] = on<BatchObject<LayoutMode::NORMAL, LayoutMode::NORMAL>>([](auto &mm, auto &o) {
    set(mm, o);
    mm.IterateBatch(gm(o.c), 1, 1, false, 0, 0, 0, true);
  });
  all["batch, blocks in UB"] = on<ToUb<LayoutMode::NORMAL>>([](auto &mm, auto &o) {
    TBuf<TPosition::VECCALC> memory;
    GetTPipePtr()->InitBuffer(memory, 4096);
    set(mm, o);
    mm.IterateBatch(memory.Get<float>(), 1, 1, true);
  });
  all["batch, factors"] = [] {
    Device device;
    body = [] {
      TPipe pipe;
      using In = MatmulType<TPosition::GM, CubeFormat::ND, int8_t, false, LayoutMode::NORMAL>;
      Matmul<In, In, MatmulType<TPosition::GM, CubeFormat::ND, half, false, LayoutMode::NORMAL>, InGm<int32_t>> mm;
      TCubeTiling tiling = tilingOf(Product(), 1);
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      mm.IterateBatch(GlobalTensor<half>(), 1, 1, false);
    };
    device.launch("broken", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
  };
  all["batch, not waited for"] = on<BatchObject<LayoutMode::NORMAL, LayoutMode::NORMAL>>([](auto &mm, auto &o) {
    set(mm, o);
    mm.template IterateBatch<false, true>(gm(o.c), 1, 1, false);  // HERE batch, not waited for
  });
}

/// Two vector cores that share B.
std::function<void()> both(std::function<void(Sharing &, Operands<half, float, float> &)> use,
                           std::function<void(TCubeTiling &)> change = [](auto &) {}) {
  return on<Sharing>([=](Sharing &mm, auto &o) { use(mm, o); },
                     [=](TCubeTiling &t) {
                       t = sharedTiling();
                       t.M = t.N = t.Ka = t.Kb = 32, t.singleCoreM = t.singleCoreN = 16, t.singleCoreK = 32;
                       change(t);
                     },
                     KERNEL_TYPE_MIX_AIC_1_2);
}
void brokenShares(Cases &all) {
  all["share, another matrix"] = both([](Sharing &mm, auto &o) {
    mm.SetTensorA(gm(o.a));
    mm.SetTensorB(gm(o.b)[GetBlockIdx() * 16]);
    mm.IterateAll(gm(o.c)[GetBlockIdx() * 16]);
  });
  all["share, one call"] = both([](Sharing &mm, auto &o) {
    if (GetBlockIdx() == 1) return;
    set(mm, o);
    mm.IterateAll(gm(o.c));  // HERE share, one call
  });
  all["share, not all in L1"] = both(
      [](Sharing &mm, auto &o) {
        set(mm, o);
        mm.IterateAll(gm(o.c)[GetBlockIdx() * 512]);
      },
      [](TCubeTiling &t) { t.stepKb = t.depthB1 = 1; });
  all["share, fake without a share"] = on([](Simple &mm, auto &o) { mm.IterateAll(gm(o.c), 0, false, false, true); });
}

void brokenFactors(Cases &all) {
  const auto bytes = [](std::function<void(Matmul<InGm<half>, InGm<half>, InGm<int8_t>, InGm<float>> &, Operands<half, float, float> &)> use) {
    return on<Matmul<InGm<half>, InGm<half>, InGm<int8_t>, InGm<float>>>([=](auto &mm, auto &o) {
      GlobalTensor<int8_t> c;
      c.SetGlobalBuffer(reinterpret_cast<int8_t *>(o.c.data()));
      set(mm, o);
      use(mm, o);
      mm.IterateAll(c);
    });
  };
  all["factors, none"] = bytes([](auto &, auto &) {});
  all["factors, sign"] = bytes([](auto &mm, auto &) { mm.SetQuantScalar(0x3f800000); });
  all["factors, sign of one"] = bytes([](auto &mm, auto &o) {
    GlobalTensor<uint64_t> some;
    some.SetGlobalBuffer(reinterpret_cast<uint64_t *>(o.a.data()));
    mm.SetQuantVector(some);
  });
  all["factors, in UB"] = bytes([](auto &mm, auto &) {
    TBuf<TPosition::VECCALC> memory;
    GetTPipePtr()->InitBuffer(memory, 512);
    mm.SetQuantVector(memory.template Get<uint64_t>());
  });
  all["factors, not needed"] = on([](Simple &mm, auto &) { mm.SetQuantScalar(factor(1)); });
}

void brokenWaits(Cases &all) {
  all["all, not waited for"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.template IterateAll<false>(gm(o.c), 0, false, true);  // HERE all, not waited for
    mm.End();
  });
  all["all, never waited for"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.template IterateAll<false>(gm(o.c));  // HERE all, never waited for
  });
  all["all, waited for twice"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.template IterateAll<false>(gm(o.c), 0, false, true);
    mm.WaitIterateAll();
    mm.WaitIterateAll();
  });
  all["all, waited for without an answer"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.template IterateAll<false>(gm(o.c));
    mm.WaitIterateAll();
  });
  all["block, never fetched"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.Iterate();  // HERE block, never fetched
    mm.End();
  });
  all["blocks, one of four never fetched"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.template Iterate<false>();  // HERE blocks, one of four never fetched
    for (int i = 0; i < 3; i++) mm.template GetTensorC<false>(gm(o.c));
  });
}

/// Results of which a later call knows: the cube core works in order.
void later() {
  Product p;
  p.m = p.singleM = 32, p.n = p.singleN = 32;
  onVectors<half, float, float>(p, 1e-3, [=](Operands<half, float, float> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    TPipe pipe;
    Simple mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    if (GetBlockIdx() != 0) return;
    for (int at = 0; at < 32; at += 16) {
      mm.SetTail(16);
      mm.SetTensorA(gm(o.a)[at * p.k]);
      mm.SetTensorB(gm(o.b));
      if (at == 0) mm.template IterateAll<false>(gm(o.c));
      else mm.IterateAll(gm(o.c)[at * p.n]);
    }
    mm.End();
  });
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  all["batches"] = batches;
  all["apart"] = apart;
  all["shared"] = shared;
  all["later"] = later;
  all["factors"] = [] {
    scaled<int8_t, half, int32_t>(false, 0.03125f, false, 2e-3);
    scaled<int8_t, half, int32_t>(true, 0.03125f, false, 2e-3);
    scaled<int8_t, int8_t, int32_t>(true, 1.0f / 1024, true, 0);
    scaled<bfloat16_t, int8_t, float>(false, 8.0f, true, 0.2);
  };
  brokenBatches(all);
  brokenShares(all);
  brokenFactors(all);
  brokenWaits(all);
  return runCase(all, argc, argv);
}
