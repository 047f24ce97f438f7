// Matmul objects in MIX kernels: launches of right and of broken kernels.
#pragma once
#include "kernels.h"
#include "matmul.h"

template <class T, bool TURN = false> using InGm = MatmulType<TPosition::GM, CubeFormat::ND, T, TURN>;

inline std::function<void()> body;
inline void run() { body(); }

template <class T> GlobalTensor<T> gm(std::vector<T> &of) {
  GlobalTensor<T> out;
  out.SetGlobalBuffer(of.data(), of.size());
  return out;
}

/// Launches a body on the vector cores of two groups, for four seeds.
template <class T, class Out, class BiasT>
void onVectors(const Product &p, double tolerance, std::function<void(Operands<T, Out, BiasT> &)> kernel) {
  for (uint64_t seed = 1; seed <= 4; seed++) {
    Operands<T, Out, BiasT> operands(p);
    Device device;
    device.setSeed(seed);
    operands.on(device);
    body = [&] { kernel(operands); };
    device.launch("product", KERNEL_TYPE_MIX_AIC_1_2, 2, run);
    device.requireWritten(operands.c.data());
    operands.check(tolerance);
  }
}

inline uint32_t cores() { return static_cast<uint32_t>(GetBlockNum() * GetTaskRation()); }

using Simple = Matmul<InGm<half>, InGm<half>, InGm<float>>;

/// A kernel on one vector core with a registered object, to break something with.
template <class Object = Simple, class Use>
std::function<void()> on(Use use, std::function<void(TCubeTiling &)> change = [](TCubeTiling &) {},
                         KernelMetaType type = KERNEL_TYPE_MIX_AIC_1_1) {
  return [=] {
    Product p;
    p.m = p.n = p.k = p.singleM = p.singleN = 32;
    Operands<half, float, float> operands(p);
    Device device;
    operands.on(device);
    body = [&] {
      TCubeTiling tiling = tilingOf(p, sizeof(half));
      change(tiling);
      TPipe pipe;
      Object mm;
      REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
      use(mm, operands);
    };
    device.launch("broken", type, 1, run);
  };
}
template <class Object> void set(Object &mm, Operands<half, float, float> &o) {
  mm.SetTensorA(gm(o.a));
  mm.SetTensorB(gm(o.b));
}
