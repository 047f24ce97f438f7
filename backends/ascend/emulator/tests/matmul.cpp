// Matmul objects in MIX kernels: vector cores run the code, and their cube core makes the products.
#include "matmul_mix.h"

namespace {

/// All parts of C, by IterateAll or block by block.
template <class T, class Out, class BiasT, bool TURN = false>
void whole(const Product &p, double tolerance, bool byBlocks = false) {
  onVectors<T, Out, BiasT>(p, tolerance, [=](Operands<T, Out, BiasT> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(T));
    TPipe pipe;
    Matmul<InGm<T, TURN>, InGm<T, TURN>, InGm<Out>, InGm<BiasT>> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    eachPart(p, GetBlockIdx(), cores(), [&](int i, int j, int rows, int columns) {
      mm.SetTail(rows, columns);
      mm.SetTensorA(gm(o.a)[p.turnA ? i : i * p.k], p.turnA);
      mm.SetTensorB(gm(o.b)[p.turnB ? j * p.k : j], p.turnB);
      if (p.bias) mm.SetBias(gm(o.bias)[j]);
      auto c = gm(o.c)[i * p.n + j];
      if (!byBlocks) mm.IterateAll(c);
      else while (mm.Iterate()) mm.GetTensorC(c);
      mm.End();
    });
  });
}

Product product(bool turnA, bool turnB, bool bias, int order = 0) {
  Product p;
  p.turnA = turnA, p.turnB = turnB, p.bias = bias, p.order = order;
  return p;
}

/// C comes to the vector cores block by block, and leaves doubled.
void fused(bool ahead) {
  Product p;
  p.m = 32, p.n = 64, p.singleM = 32, p.singleN = 32;
  onVectors<half, float, float>(p, 1e-3, [=](Operands<half, float, float> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    TPipe pipe;
    Matmul<InGm<half>, InGm<half>, MatmulType<TPosition::VECIN, CubeFormat::ND, float>> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    TQue<TPosition::VECIN, 1> in;
    TQue<TPosition::VECOUT, 1> out;
    pipe.InitBuffer(in, 2, 16 * 16 * 4);
    pipe.InitBuffer(out, 2, 16 * 16 * 4);
    eachPart(p, GetBlockIdx(), cores(), [&](int i, int j, int rows, int columns) {
      mm.SetTensorA(gm(o.a)[i * p.k]);
      mm.SetTensorB(gm(o.b)[j]);
      if (ahead) mm.template Iterate<false>();
      for (int block = 0; block < rows / 16 * columns / 16; block++) {
        if (!ahead) mm.Iterate();
        auto sums = in.AllocTensor<float>();
        if (ahead) mm.template GetTensorC<false>(sums, 0, true);
        else mm.GetTensorC(sums, 0, true);
        in.EnQue(sums);
        sums = in.DeQue<float>();
        auto twice = out.AllocTensor<float>();
        Muls(twice, sums, 2.0f, 256);
        out.EnQue(twice);
        in.FreeTensor(sums);
        twice = out.DeQue<float>();
        const int row = i + block % 2 * 16, column = j + block / 2 * 16;
        DataCopy(gm(o.c)[row * p.n + column], twice, DataCopyParams(16, 2, 0, static_cast<uint16_t>((p.n - 16) / 8)));
        out.FreeTensor(twice);
      }
      mm.End();
    });
    if (GetBlockIdx() == 0) for (double &one : o.want) one *= 2;
  });
}

/// A comes from the vector core: by way of global memory, or out of UB; C goes back to it.
template <TPosition FROM> void afterVectors(bool asynchronous) {
  Product p;
  p.m = 16, p.n = 16, p.k = 32, p.singleM = 16, p.singleN = 16;
  onVectors<half, float, float>(p, 1e-3, [=](Operands<half, float, float> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    TPipe pipe;
    Matmul<MatmulType<FROM, CubeFormat::ND, half>, InGm<half>, InGm<float>> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    if (GetBlockIdx() != 0) return;
    TBuf<TPosition::VECCALC> memory;
    TBuf<TPosition::VECOUT> left;
    pipe.InitBuffer(memory, 2048);
    pipe.InitBuffer(left, 1024);
    auto a = left.Get<half>();
    auto c = memory.Get<float>(256);
    DataCopy(a, gm(o.a), 512);
    SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
    Muls(a, a, half(2), 512);
    if constexpr (FROM == TPosition::GM) {
      SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
      WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
      DataCopy(gm(o.a), a, 512);
      mm.SetTensorA(gm(o.a));
    } else {
      mm.SetTensorA(a);
    }
    mm.SetTensorB(gm(o.b));
    if (asynchronous) {
      mm.template IterateAll<false>(gm(o.c), 0, false, true);
      mm.WaitIterateAll();
    } else {
      mm.IterateAll(gm(o.c));
    }
    DataCopy(c, gm(o.c), 256);
    SetFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
    DataCopy(gm(o.c), c, 256);
    mm.End();
    for (double &one : o.want) one *= 2;
  });
}

/// A and C in fractals: [columns / 16][rows][16].
void fractals() {
  Product p;
  p.m = 32, p.n = 48, p.k = 64, p.singleM = 32, p.singleN = 48;
  onVectors<half, half, float>(p, 2e-3, [=](Operands<half, half, float> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    TPipe pipe;
    Matmul<MatmulType<TPosition::GM, CubeFormat::NZ, half>, InGm<half>, MatmulType<TPosition::GM, CubeFormat::NZ, half>, InGm<float>> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    if (GetBlockIdx() != 0) return;
    const auto turned = [](std::vector<half> &of, int rows, int columns, bool in) {
      std::vector<half> out(of.size());
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
          const int plain = i * columns + j, nz = j / 16 * rows * 16 + i * 16 + j % 16;
          out[in ? nz : plain] = of[in ? plain : nz];
        }
      of = out;
    };
    // Fractals stand where the host put them before the launch.
    std::vector<half> a = o.a;
    turned(a, p.m, p.k, true);
    std::copy(a.begin(), a.end(), o.a.begin());
    mm.SetTensorA(gm(o.a));
    mm.SetTensorB(gm(o.b));
    mm.IterateAll(gm(o.c));
    mm.End();
    PipeBarrier<PIPE_ALL>();
    std::vector<half> c = o.c;
    turned(c, p.m, p.n, false);
    std::copy(c.begin(), c.end(), o.c.begin());
  });
}

/// k in two halves: added up in L0C, or in global memory.
void inHalves(bool atomic) {
  Product p;
  p.m = 16, p.n = 16, p.k = 64, p.singleM = 16, p.singleN = 16;
  onVectors<half, float, float>(p, 1e-3, [=](Operands<half, float, float> &o) {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    TPipe pipe;
    Matmul<InGm<half>, InGm<half>, InGm<float>> mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    if (GetBlockIdx() != 0) return;
    for (int at = 0; at < 64; at += 32) {
      mm.SetSingleShape(16, 16, 32);
      mm.SetTensorA(gm(o.a)[at]);
      mm.SetTensorB(gm(o.b)[at * p.n]);
      if (atomic) mm.IterateAll(gm(o.c), at > 0);
      else mm.Iterate(at > 0);
    }
    if (!atomic) mm.GetTensorC(gm(o.c));
    mm.End();
  });
}

// ---- broken kernels -------------------------------------------------------------------------------------------------------------------

void tilings(Cases &all) {
  const auto with = [](std::function<void(TCubeTiling &)> change) {
    return on([](Simple &, auto &) {}, change);
  };
  all["matmul, base"] = with([](auto &t) { t.baseM = 24; });
  all["matmul, empty tiling"] = with([](auto &t) { t = TCubeTiling(); });
  all["matmul, depth"] = with([](auto &t) { t.depthA1 = 3; });
  all["matmul, L0A"] = with([](auto &t) { t.baseM = 512, t.baseK = 64; });
  all["matmul, L0C"] = with([](auto &t) { t.baseM = 256, t.baseN = 256; });
  all["matmul, L1"] = with([](auto &t) { t.baseM = 128, t.baseK = 64, t.stepKa = 32, t.depthA1 = 32; });
  all["matmul, bias without isBias"] = on([](Simple &mm, auto &o) { mm.SetBias(gm(o.bias)); });
}

void orders(Cases &all) {
  all["matmul, no tensor"] = on([](Simple &mm, auto &o) {
    mm.SetTensorA(gm(o.a));
    mm.IterateAll(gm(o.c));
  });
  all["matmul, no bias"] = on(
      [](Simple &mm, auto &o) {
        set(mm, o);
        mm.IterateAll(gm(o.c));
      },
      [](auto &t) { t.isBias = 1; });
  all["matmul, no tiling"] = on([](Simple &, auto &o) {
    Simple other;
    other.SetTensorA(gm(o.a));
  });
  all["matmul, two at work"] = on([](Simple &mm, auto &o) {
    Simple other;
    TCubeTiling tiling = mm.state.tiling;
    other.Init(&tiling);
    set(mm, o), set(other, o);
    mm.IterateAll(gm(o.c));
    other.IterateAll(gm(o.c));
  });
  all["matmul, block not fetched"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.Iterate();
    mm.Iterate();
  });
  all["matmul, nothing to fetch"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.GetTensorC(gm(o.c));
  });
  all["matmul, registered late"] = [] {
    Device device;
    body = [] {
      TPipe pipe;
      TBuf<TPosition::VECCALC> memory;
      if (ASCEND_IS_AIV) pipe.InitBuffer(memory, 256);
      Simple mm;
      TCubeTiling tiling;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    };
    device.launch("broken", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
  };
  all["matmul, kernel type"] = on([](Simple &, auto &) {}, [](auto &) {}, KERNEL_TYPE_AIV_ONLY);
  all["matmul, five objects"] = on([](Simple &mm, auto &) {
    TCubeTiling t = mm.state.tiling;
    TPipe pipe;
    Simple a, b, c, d;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), a, &t, b, &t, c, &t, d, &t);
  });
}

void shapes(Cases &all) {
  all["matmul, transposed"] = on([](Simple &mm, auto &o) { mm.SetTensorA(gm(o.a), true); });
  all["matmul, beyond the matrix"] = on([](Simple &mm, auto &o) {
    mm.SetTail(33, 32);
    set(mm, o);
    mm.IterateAll(gm(o.c));
  });
  all["matmul, fractals of half a size"] = on<Matmul<MatmulType<TPosition::GM, CubeFormat::NZ, half>, InGm<half>, InGm<float>>>(
      [](auto &mm, auto &o) { mm.SetTensorA(gm(o.a)); }, [](auto &t) { t.M = t.singleCoreM = 24; });
  all["matmul, A beyond its buffer"] = on([](Simple &mm, auto &o) {
    mm.SetTensorA(gm(o.a)[32]);
    mm.SetTensorB(gm(o.b));
    mm.IterateAll(gm(o.c));
  });
  all["matmul, C beyond its buffer"] = on([](Simple &mm, auto &o) {
    set(mm, o);
    mm.IterateAll(gm(o.c)[1]);
  });
  all["matmul, C in UB too small"] =
      on<Matmul<InGm<half>, InGm<half>, MatmulType<TPosition::VECIN, CubeFormat::ND, float>>>([](auto &mm, auto &o) {
        TBuf<TPosition::VECCALC> memory;
        GetTPipePtr()->InitBuffer(memory, 512);
        set(mm, o);
        mm.Iterate();
        mm.GetTensorC(memory.template Get<float>(), 0, true);
      });
  all["matmul, bytes to float"] = [] {
    Device device;
    body = [] {
      TPipe pipe;
      Matmul<InGm<int8_t>, InGm<int8_t>, InGm<float>, InGm<int32_t>> mm;
      TCubeTiling tiling = tilingOf(Product(), 1);
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    };
    device.launch("broken", KERNEL_TYPE_MIX_AIC_1_1, 1, run);
  };
  all["matmul, gaps in UB"] =
      on<Matmul<InGm<half>, InGm<half>, MatmulType<TPosition::VECIN, CubeFormat::ND, float>>>([](auto &mm, auto &o) {
        TBuf<TPosition::VECCALC> memory;
        GetTPipePtr()->InitBuffer(memory, 4096);
        set(mm, o);
        mm.Iterate();
        mm.GetTensorC(memory.template Get<float>());
      });
}

void orderings(Cases &all) {
  all["matmul, C read before it is made"] = on([](Simple &mm, auto &o) {
    TBuf<TPosition::VECCALC> memory;
    GetTPipePtr()->InitBuffer(memory, 512);
    set(mm, o);
    mm.template IterateAll<false>(gm(o.c));
    DataCopy(memory.template Get<float>(), gm(o.c), 64);
  });
  all["matmul, A copied by MTE2"] = on<Matmul<MatmulType<TPosition::VECOUT, CubeFormat::ND, half>, InGm<half>, InGm<float>>>([](auto &mm, auto &o) {
    TBuf<TPosition::VECOUT> memory;
    GetTPipePtr()->InitBuffer(memory, 2048);
    auto a = memory.template Get<half>();
    DataCopy(a, gm(o.a), 1024);
    mm.SetTensorA(a);
    mm.SetTensorB(gm(o.b));
    mm.IterateAll(gm(o.c));
  });
  all["matmul, C of another core"] = on(
      [](Simple &mm, auto &o) {
        set(mm, o);
        if (GetBlockIdx() == 0) return mm.IterateAll(gm(o.c));
        mm.IterateAll(gm(o.c));
      },
      [](auto &) {}, KERNEL_TYPE_MIX_AIC_1_2);
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  all["whole"] = [] {
    whole<half, float, float>(product(false, false, false), 1e-3);
    whole<half, half, float, true>(product(false, true, true), 2e-3);
    whole<bfloat16_t, float, float, true>(product(true, false, true), 1e-3);
    whole<float, bfloat16_t, float, true>(product(true, true, false), 1e-2);
    whole<int8_t, int32_t, int32_t, true>(product(false, true, true), 0);
  };
  all["blocks"] = [] {
    Product p = product(false, false, true, 1);
    p.singleM = 37, p.singleN = 53;
    whole<half, float, float>(p, 1e-3, true);
    p.order = 0;
    whole<half, float, float>(p, 1e-3, true);
  };
  all["fused"] = [] {
    fused(false);
    fused(true);
  };
  all["vectors"] = [] {
    afterVectors<TPosition::GM>(false);
    afterVectors<TPosition::GM>(true);
    afterVectors<TPosition::VECOUT>(false);
  };
  all["fractals"] = fractals;
  all["halves"] = [] {
    inHalves(false);
    inHalves(true);
  };
  tilings(all);
  orders(all);
  shapes(all);
  orderings(all);
  return runCase(all, argc, argv);
}
