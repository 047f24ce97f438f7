// Frames for small kernels: buffers in global memory, a core, and tensors to break something with.
#pragma once
#include "support.h"

constexpr uint32_t N = 64;

/// Global memory and tensors that most cases share: x holds N values, y is a result.
struct Fixture {
  std::vector<uint8_t> x, y;
  Fixture() : x(N * 16, 0x3c), y(N * 16) {}
};
inline Fixture &fixture() {
  static Fixture one;
  return one;
}
template <class T> inline GlobalTensor<T> input() {
  GlobalTensor<T> out;
  out.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(fixture().x.data()));
  return out;
}
template <class T> inline GlobalTensor<T> output() {
  GlobalTensor<T> out;
  out.SetGlobalBuffer(reinterpret_cast<__gm__ T *>(fixture().y.data()));
  return out;
}

inline std::function<void()> kernelBody;
inline void kernel() { kernelBody(); }

/// Cases about other faults leave the order of the pipes to the compiler.
inline Synchronisation synchronisation = Synchronisation::Automatic;

inline std::function<void()> onCore(KernelMetaType type, uint32_t blocks, std::function<void()> body) {
  return [=] {
    Device device;
    device.setSynchronisation(synchronisation);
    device.registerBuffer(fixture().x.data(), N * 16, "x", true);
    device.registerBuffer(fixture().y.data(), N * 16, "y", false);
    kernelBody = body;
    device.launch("broken", type, blocks, kernel);
  };
}
inline std::function<void()> aiv(std::function<void()> body) { return onCore(KERNEL_TYPE_AIV_ONLY, 1, std::move(body)); }
inline std::function<void()> aic(std::function<void()> body) { return onCore(KERNEL_TYPE_AIC_ONLY, 1, std::move(body)); }

/// A vector kernel with one scratch buffer; `a` is filled from x, the rest is empty.
template <class T> inline std::function<void()> vec(std::function<void(LocalTensor<T>, LocalTensor<T>)> body) {
  return aiv([=] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 2048);
    auto a = memory.template GetWithOffset<T>(512 / sizeof(T), 0), b = memory.template GetWithOffset<T>(512 / sizeof(T), 1024);
    DataCopy(a, input<T>(), 512 / sizeof(T));
    body(a, b);
  });
}

using InQueue = TQue<TPosition::VECIN, 1>;
inline std::function<void()> queue(uint8_t buffers, std::function<void(InQueue &)> body) {
  return aiv([=] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, buffers, 256);
    body(q);
  });
}

/// A cube kernel with room for one 16x16 product of halves in every memory.
struct Cube {
  TPipe pipe;
  TBuf<TPosition::A1> a1;
  TBuf<TPosition::A2> a2;
  TBuf<TPosition::B2> b2;
  TBuf<TPosition::CO1> co1;
  LocalTensor<half> l1, l0a, l0b;
  LocalTensor<float> l0c;
  Cube() {
    pipe.InitBuffer(a1, 1024);
    pipe.InitBuffer(a2, 1024);
    pipe.InitBuffer(b2, 1024);
    pipe.InitBuffer(co1, 2048);
    l1 = a1.Get<half>(), l0a = a2.Get<half>(), l0b = b2.Get<half>(), l0c = co1.Get<float>();
  }
  void load() {
    DataCopy(l1, input<half>(), 512);
    PipeBarrier<PIPE_ALL>();
    LoadData(l0a, l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    LoadData(l0b, l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    PipeBarrier<PIPE_ALL>();
  }
};
inline std::function<void()> cube(std::function<void(Cube &)> body) {
  return aic([=] {
    Cube c;
    body(c);
  });
}

using Numbers = std::vector<float>;

/// Runs a vector kernel on 256 floats in `a` (1, 2, 3, …); what it leaves in `b` comes back.
inline Numbers onVector(Device &device, const std::function<void(LocalTensor<float>, LocalTensor<float>)> &body) {
  Numbers x(256), y(256, -1);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i + 1);
  device.registerBuffer(x.data(), 1024, "x", true);
  device.registerBuffer(y.data(), 1024, "y", false);
  kernelBody = [&] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 8192);
    auto a = memory.GetWithOffset<float>(256, 0), b = memory.GetWithOffset<float>(1024, 2048);
    GlobalTensor<float> in, out;
    in.SetGlobalBuffer(x.data()), out.SetGlobalBuffer(y.data());
    DataCopy(a, in, 256);
    body(a, b);
    DataCopy(out, b, 256);
  };
  device.launch("numbers", KERNEL_TYPE_AIV_ONLY, 1, kernel);
  return y;
}
/// The same without synchronisation of its own, into zeros.
inline Numbers onVector(const std::function<void(LocalTensor<float>, LocalTensor<float>)> &body) {
  Device device;
  device.setSynchronisation(Synchronisation::Automatic);
  return onVector(device, [&](LocalTensor<float> a, LocalTensor<float> b) {
    Duplicate(b, 0.0f, 1024);
    body(a, b);
  });
}

inline void expectAll(const char *what, const Numbers &got, const std::function<double(size_t)> &want) {
  for (size_t i = 0; i < got.size(); i++) expectNear(what, i, got[i], want(i), 1e-6);
}
