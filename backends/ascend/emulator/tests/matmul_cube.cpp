// Matmul objects in kernels that cube cores run.
#define ASCENDC_CUBE_ONLY
#include "matmul.h"

namespace {

template <class T> using InGm = MatmulType<TPosition::GM, CubeFormat::ND, T>;
using Simple = Matmul<InGm<half>, InGm<half>, InGm<float>>;

std::function<void()> body;
void run() { body(); }

template <class T> GlobalTensor<T> gm(std::vector<T> &of) {
  GlobalTensor<T> out;
  out.SetGlobalBuffer(of.data(), of.size());
  return out;
}

void whole() {
  const Product p;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    Operands<half, float, float> o(p);
    Device device;
    device.setSeed(seed);
    o.on(device);
    body = [&] {
      TCubeTiling tiling = tilingOf(p, sizeof(half));
      TPipe pipe;
      Simple mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      eachPart(p, GetBlockIdx(), GetBlockNum(), [&](int i, int j, int rows, int columns) {
        mm.SetSingleShape(rows, columns, p.k);
        mm.SetTensorA(gm(o.a)[i * p.k]);
        mm.SetTensorB(gm(o.b)[j]);
        mm.IterateAll(gm(o.c)[i * p.n + j]);
        mm.End();
      });
    };
    device.launch("product", KERNEL_TYPE_AIC_ONLY, 3, run);
    device.requireWritten(o.c.data());
    o.check(1e-3);
  }
}

/// A product of a product: the second reads what Fixpipe wrote.
void chain() {
  Product p;
  p.m = p.n = p.k = p.singleM = p.singleN = 32;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    Operands<float, float, float> o(p);
    std::vector<float> middle(32 * 32);
    Device device;
    device.setSeed(seed);
    o.on(device);
    device.registerBuffer(middle.data(), middle.size() * 4, "middle", false);
    body = [&] {
      TCubeTiling tiling = tilingOf(p, sizeof(float));
      TPipe pipe;
      Matmul<InGm<float>, InGm<float>, InGm<float>> mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm);
      mm.Init(&tiling);
      mm.SetTensorA(gm(o.a));
      mm.SetTensorB(gm(o.b));
      mm.IterateAll(gm(middle));
      mm.SetTensorA(gm(middle));
      mm.IterateAll(gm(o.c));
      mm.End();
    };
    device.launch("chain", KERNEL_TYPE_AIC_ONLY, 1, run);
    for (int i = 0; i < 32; i++)
      for (int j = 0; j < 32; j++) {
        double sum = 0;
        for (int x = 0; x < 32; x++) sum += o.want[i * 32 + x] * o.b[x * 32 + j];
        expectNear("c", i * 32 + j, o.c[i * 32 + j], sum, 1e-3);
      }
  }
}

template <class T> using Batched = MatmulType<TPosition::GM, CubeFormat::ND, T, false, LayoutMode::NORMAL>;
using BatchObject = Matmul<Batched<half>, Batched<half>, Batched<float>, InGm<float>, CFG_NORM>;

/// The rows of A as a batch: three matrices of 16 rows by one B.
void batch() {
  Product p;
  p.m = 48, p.n = p.singleN = 53;
  Operands<half, float, float> o(p);
  Device device;
  o.on(device);
  body = [&] {
    TCubeTiling tiling = tilingOf(p, sizeof(half));
    tiling.M = 16;
    TPipe pipe;
    BatchObject mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    mm.SetTensorA(gm(o.a));
    mm.SetTensorB(gm(o.b));
    mm.SetBatchNum(3, 1);
    mm.IterateBatch(gm(o.c), false, 0, false);
    mm.End();
  };
  device.launch("batch", KERNEL_TYPE_AIC_ONLY, 1, run);
  device.requireWritten(o.c.data());
  o.check(1e-3);
}

/// Factors that the kernel itself brought to L1.
void factors() {
  Product p;
  p.m = p.singleM = 32, p.n = p.singleN = 32;
  Operands<int8_t, half, int32_t> o(p);
  std::vector<uint64_t> scales(32, 0x3d000000);  // 1 / 32
  for (uint64_t seed = 1; seed <= 4; seed++) {
    Device device;
    device.setSeed(seed);
    o.on(device);
    device.registerBuffer(scales.data(), scales.size() * 8, "scales", true);
    body = [&] {
      TCubeTiling tiling = tilingOf(p, 1);
      TPipe pipe;
      Matmul<InGm<int8_t>, InGm<int8_t>, InGm<half>, InGm<int32_t>> mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      TBuf<TPosition::C1> memory;
      pipe.InitBuffer(memory, 256);
      auto in = memory.Get<uint64_t>();
      DataCopy(in, gm(scales), 32);
      mm.SetQuantVector(in);
      mm.SetTensorA(gm(o.a));
      mm.SetTensorB(gm(o.b));
      while (mm.Iterate()) mm.GetTensorC(gm(o.c));
      mm.End();
    };
    device.launch("factors", KERNEL_TYPE_AIC_ONLY, 1, run);
    for (size_t i = 0; i < o.c.size(); i++) expectNear("c", i, numberOf(o.c[i]), o.want[i] / 32, 2e-3);
  }
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  all["whole"] = whole;
  all["chain"] = chain;
  all["batch"] = batch;
  all["factors"] = factors;
  all["batch, no SetBatchNum"] = [] {
    Product p;
    Operands<half, float, float> o(p);
    Device device;
    body = [&] {
      TPipe pipe;
      BatchObject mm;
      TCubeTiling tiling = tilingOf(p, sizeof(half));
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      mm.SetTensorA(gm(o.a));
      mm.SetTensorB(gm(o.b));
      mm.IterateBatch(gm(o.c), false, 0, false);
    };
    device.launch("broken", KERNEL_TYPE_AIC_ONLY, 1, run);
  };
  all["matmul, L1 beside it"] = [] {
    Device device;
    body = [] {
      TPipe pipe;
      TBuf<TPosition::A1> memory;
      pipe.InitBuffer(memory, 500 * 1024);
      Simple mm;
      TCubeTiling tiling = tilingOf(Product(), sizeof(half));
      tiling.baseM = tiling.baseN = 128, tiling.baseK = 64;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    };
    device.launch("broken", KERNEL_TYPE_AIC_ONLY, 1, run);
  };
  all["matmul, on a vector core"] = [] {
    Device device;
    body = [] {
      TPipe pipe;
      Simple mm;
      TCubeTiling tiling = tilingOf(Product(), sizeof(half));
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    };
    device.launch("broken", KERNEL_TYPE_AIV_ONLY, 1, run);
  };
  return runCase(all, argc, argv);
}
