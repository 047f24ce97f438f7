// Many batches in one call, sums over G, and products of which both operands are shared.
#include "matmul_batch.h"

namespace {

constexpr MatmulBatchParams manyParams{true, BatchMode::BATCH_LESS_THAN_L1, true};
constexpr MatmulConfig MANY = GetMMConfig<MatmulConfigMode::CONFIG_NORM>(manyParams);

template <LayoutMode L, LayoutMode LC>
using Many = Matmul<MatmulType<TPosition::GM, CubeFormat::ND, half, false, L>, MatmulType<TPosition::GM, CubeFormat::ND, half, true, L>,
                    MatmulType<TPosition::GM, CubeFormat::ND, float, false, LC>, MatmulType<TPosition::GM, CubeFormat::ND, float>, MANY>;

/// A launch on one vector core, with the object registered.
template <class Object> void launch(const Batch &b, Matrices &x, std::function<void(TCubeTiling &)> change, std::function<void(Object &)> use) {
  for (uint64_t seed = 1; seed <= 3; seed++) {
    Device device;
    device.setSeed(seed);
    x.on(device);
    body = [&] {
      TCubeTiling tiling = tilingOf(b);
      change(tiling);
      TPipe pipe;
      Object mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      mm.SetTensorA(gm(x.a));
      mm.SetTensorB(gm(x.b), b.turned);
      if (b.bias) mm.SetBias(gm(x.bias));
      use(mm);
      mm.End();
    };
    device.launch("many", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
    device.requireWritten(x.c.data());
  }
}
template <LayoutMode L, LayoutMode LC> Matrices matricesOf(const Batch &b) {
  return Matrices(layoutA<L>(b).size(), layoutB<L>(b).size(), layoutC<LC>(b).size(), size_t(b.rows) * b.heads * b.group() * b.n);
}

/// All groups of all rows in one call.
template <LayoutMode L, LayoutMode LC> void together(const Batch &b, bool waited) {
  Matrices x = matricesOf<L, LC>(b);
  launch<Many<L, LC>>(b, x, [](auto &) {}, [&](auto &mm) {
    auto c = gm(x.c);
    mm.SetWorkspace(c);
    const auto loops = static_cast<uint32_t>(b.rows * b.heads), countA = static_cast<uint32_t>(b.groupA), countB = static_cast<uint32_t>(b.groupB);
    if (waited) {
      mm.template IterateNBatch<false, true>(loops, countA, countB, false);
      mm.WaitIterateBatch();
    } else {
      mm.IterateNBatch(loops, countA, countB, false);
    }
  });
  expectProducts(b, x, layoutA<L>(b), layoutB<L>(b), layoutC<LC>(b));
}

void many() {
  Batch b;
  together<LayoutMode::BSNGD, LayoutMode::BSNGD>(b, false);
  b.bias = true;
  together<LayoutMode::BSNGD, LayoutMode::BNGS1S2>(b, true);
  together<LayoutMode::SBNGD, LayoutMode::SBNGD>(b, false);
  b.groupB = 1;
  together<LayoutMode::BNGS1S2, LayoutMode::BNGS1S2>(b, true);
}

/// Each batch is fetched, and moved on through UB.
void fetched() {
  Batch b;
  constexpr LayoutMode L = LayoutMode::BSNGD, LC = LayoutMode::BNGS1S2;
  Matrices x = matricesOf<L, LC>(b);
  std::vector<float> made(x.c.size());
  Device device;
  x.on(device);
  device.registerBuffer(made.data(), made.size() * 4, "made", false);
  body = [&] {
    TCubeTiling tiling = tilingOf(b);
    TPipe pipe;
    Many<L, LC> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    TBuf<TPosition::VECCALC> memory;
    const auto size = static_cast<uint32_t>(b.group() * b.m * b.n);
    pipe.InitBuffer(memory, size * 4);
    auto part = memory.Get<float>();
    mm.SetTensorA(gm(x.a));
    mm.SetTensorB(gm(x.b), true);
    mm.SetWorkspace(made.data(), static_cast<int>(made.size()));
    mm.IterateNBatch<false>(4, 3, 3, false);
    for (uint32_t i = 0; i < 4; i++) {
      const GlobalTensor<float> c = mm.GetBatchTensorC<false>(3, 3);
      SetFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
      WaitFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
      DataCopy(part, c, size);
      SetFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
      WaitFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
      DataCopy(gm(x.c)[i * size], part, size);
    }
    mm.End();
  };
  device.launch("fetched", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
  expectProducts(b, x, layoutA<L>(b), layoutB<L>(b), layoutC<LC>(b));
}

/// C has one matrix for each head: the products of a group are added to what is there.
template <LayoutMode L, LayoutMode LC> void addedUp(const Batch &b) {
  Batch one = b;
  one.groupA = one.groupB = 1;
  const Layout out = layoutC<LC>(one);
  for (const bool at : {false, true}) {
    Matrices x(layoutA<L>(b).size(), layoutB<L>(b).size(), out.size(), 0);
    Device device;
    x.on(device);
    device.registerBuffer(x.c.data(), x.c.size() * 4, "c", true);  // zeros
    body = [&] {
      TCubeTiling tiling = tilingOf(b);
      tiling.CLayoutInfoG = 1;
      TPipe pipe;
      Many<L, LC> mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      auto c = gm(x.c);
      mm.SetWorkspace(c);
      mm.SetTensorA(gm(x.a));
      mm.SetTensorB(gm(x.b), b.turned);
      const auto countA = static_cast<uint32_t>(b.groupA), countB = static_cast<uint32_t>(b.groupB);
      if (at) {
        mm.IterateNBatch(static_cast<uint32_t>(b.rows * b.heads), countA, countB, false);
      } else {
        const Layout in = layoutA<L>(b), with = layoutB<L>(b);
        for (int row = 0; row < b.rows; row++)
          for (int head = 0; head < b.heads; head++) {
            mm.SetTensorA(gm(x.a)[in.at(row, head, 0, 0, 0)]);
            mm.SetTensorB(gm(x.b)[with.at(row, head, 0, 0, 0)], b.turned);
            mm.IterateBatch(c[out.at(row, head, 0, 0, 0)], countA, countB, false);
          }
      }
      mm.End();
    };
    device.launch("added", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
    expectProducts(b, x, layoutA<L>(b), layoutB<L>(b), out);
  }
}

void added() {
  Batch b;
  addedUp<LayoutMode::BSNGD, LayoutMode::BSNGD>(b);
  b.groupB = 1, b.turned = false;
  addedUp<LayoutMode::SBNGD, LayoutMode::BNGS1S2>(b);
}

// ---- both operands shared ---------------------------------------------------------------------------------------------------------

template <class T> using SharedInGm = MatmulType<TPosition::GM, CubeFormat::ND, T, false, LayoutMode::NONE, true>;
using Sharing = Matmul<SharedInGm<half>, SharedInGm<half>, MatmulType<TPosition::VECIN, CubeFormat::ND, float>, InGm<float>, CFG_IBSHARE_NORM>;

Product small() {
  Product p;
  p.m = p.singleM = 32, p.n = p.singleN = 32, p.k = 64;
  return p;
}
TCubeTiling sharedTiling() {
  TCubeTiling t = tilingOf(small(), sizeof(half));
  t.stepM = t.stepN = 2, t.stepKa = t.stepKb = 4, t.depthA1 = t.depthB1 = 8;
  return t;
}

/// Both vector cores of a group make the call, which makes C once; each doubles half of it.
void both(bool later) {
  const Product p = small();
  for (uint64_t seed = 1; seed <= 4; seed++) {
    Operands<half, float, float> o(p);
    std::vector<float> sums(o.c.size());
    Device device;
    device.setSeed(seed);
    o.on(device);
    device.registerBuffer(sums.data(), sums.size() * 4, "sums", false);
    body = [&] {
      TCubeTiling tiling = sharedTiling();
      TPipe pipe;
      Sharing mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      TBuf<TPosition::VECCALC> memory;
      pipe.InitBuffer(memory, 2048);
      auto part = memory.Get<float>();
      mm.SetTensorA(gm(o.a));
      mm.SetTensorB(gm(o.b));
      if (later) {
        mm.IterateAll<false>(gm(sums), 0, false, true);
        mm.WaitIterateAll();
      } else {
        mm.IterateAll(gm(sums));
      }
      const auto half = static_cast<uint64_t>(GetSubBlockIdx()) * 512;
      DataCopy(part, gm(sums)[half], 512);
      SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
      WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
      Add(part, part, part, 512);
      SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
      WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
      DataCopy(gm(o.c)[half], part, 512);
      mm.End();
    };
    device.launch("both", KERNEL_TYPE_MIX_AIC_1_2, 1, run);
    for (double &one : o.want) one *= 2;
    o.check(1e-3);
  }
}

// ---- broken kernels -----------------------------------------------------------------------------------------------------------------

template <LayoutMode LC = LayoutMode::BNGS1S2, class Use>
std::function<void()> call(Use use, std::function<void(TCubeTiling &)> change = [](auto &) {}, bool bias = false) {
  return [=] {
    Batch b;
    b.bias = bias;
    Matrices x = matricesOf<LayoutMode::BSNGD, LC>(b);
    launch<Many<LayoutMode::BSNGD, LC>>(b, x, change, [&](auto &mm) { use(mm, x); });
  };
}
template <class Object> void work(Object &mm, Matrices &x) {
  auto c = gm(x.c);
  mm.SetWorkspace(c);
}

void broken(Cases &all) {
  all["many, no work space"] = call([](auto &mm, auto &) { mm.IterateNBatch(4, 3, 3, false); });
  all["many, too many"] = call([](auto &mm, auto &x) {
    work(mm, x);
    mm.IterateNBatch(5, 3, 3, false);
  });
  all["many, not waited for"] = call([](auto &mm, auto &x) {
    work(mm, x);
    mm.template IterateNBatch<false, true>(4, 3, 3, false);  // HERE many, not waited for
  });
  all["many, one of four never fetched"] = call([](auto &mm, auto &x) {
    work(mm, x);
    mm.template IterateNBatch<false>(4, 3, 3, false);  // HERE many, one of four never fetched
    for (int i = 0; i < 3; i++) mm.template GetBatchTensorC<false>(3, 3);
  });
  all["many, fetched too often"] = call([](auto &mm, auto &x) {
    work(mm, x);
    mm.template IterateNBatch<false>(4, 3, 3, false);
    for (int i = 0; i < 5; i++) mm.template GetBatchTensorC<false>(3, 3);
  });
  all["many, fetched in order"] = call([](auto &mm, auto &x) {
    work(mm, x);
    mm.template IterateNBatch<false>(4, 3, 3, false);
    mm.template GetBatchTensorC<false>(3, 3, true);
  });
  all["many, fetched among rows"] = call<LayoutMode::BSNGD>([](auto &mm, auto &x) {
    work(mm, x);
    mm.template IterateNBatch<false>(4, 3, 3, false);
    mm.template GetBatchTensorC<false>(3, 3);
  });
  const auto addUp = [](TCubeTiling &t) { t.CLayoutInfoG = 1; };
  all["added, onto nothing"] = call([](auto &mm, auto &x) { mm.IterateBatch(gm(x.c), 3, 3, false); }, addUp);
  all["added, a bias"] = call([](auto &mm, auto &x) { mm.IterateBatch(gm(x.c), 3, 3, false); }, addUp, true);
  all["added, part of a group"] = call([](auto &mm, auto &x) { mm.IterateBatch(gm(x.c), 1, 1, false); }, addUp);
  all["added, the largest"] =
      call([](auto &mm, auto &x) { mm.IterateBatch(gm(x.c), 3, 3, false, 0, 0, 0, false, 2); }, addUp);
  all["added, G of neither"] = call([](auto &mm, auto &x) { mm.IterateBatch(gm(x.c), 3, 3, false); }, [](TCubeTiling &t) { t.CLayoutInfoG = 2; });
  const auto sharing = [](std::function<void(Sharing &, Operands<half, float, float> &)> use) {
    return on<Sharing>([=](Sharing &mm, auto &o) { use(mm, o); },
                       [](TCubeTiling &t) {
                         t = sharedTiling();
                         t.Ka = t.Kb = t.singleCoreK = 32;
                       },
                       KERNEL_TYPE_MIX_AIC_1_2);
  };
  all["both, another A"] = sharing([](Sharing &mm, auto &o) {
    mm.SetTensorA(gm(o.a)[GetBlockIdx() * 512]);
    mm.SetTensorB(gm(o.b));
    mm.SetTail(16);
    mm.IterateAll(gm(o.c));
  });
  all["both, the second core does not call"] = sharing([](Sharing &mm, auto &o) {
    if (GetBlockIdx() == 1) return;
    set(mm, o);
    mm.IterateAll(gm(o.c));  // HERE both, the second core does not call
  });
  all["both, the first core does not call"] = sharing([](Sharing &mm, auto &o) {
    if (GetBlockIdx() == 0) return;
    set(mm, o);
    mm.IterateAll(gm(o.c));
  });
  all["both, a call that makes nothing"] = sharing([](Sharing &mm, auto &o) {
    set(mm, o);
    mm.IterateAll(gm(o.c), 0, false, false, true);
  });
  all["both, not waited for by the second"] = sharing([](Sharing &mm, auto &o) {
    TBuf<TPosition::VECCALC> memory;
    GetTPipePtr()->InitBuffer(memory, 4096);
    set(mm, o);
    mm.IterateAll<false>(gm(o.c), 0, false, true);
    if (GetBlockIdx() == 0) mm.WaitIterateAll();
    else DataCopy(memory.Get<float>(), gm(o.c), 1024);
  });
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  all["many"] = many;
  all["fetched"] = fetched;
  all["added"] = added;
  all["both"] = [] {
    both(false);
    both(true);
  };
  broken(all);
  return runCase(all, argc, argv);
}
