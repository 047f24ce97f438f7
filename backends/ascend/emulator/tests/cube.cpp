// The whole path of a matrix product: Nd2Nz -> LoadData -> Mmad -> Fixpipe, against a plain loop.
#include "support.h"

namespace {

uint32_t up(uint32_t value, uint32_t to) { return (value + to - 1) / to * to; }

/// C[m,n] = A[m,k] * B, where B is [n,k] (weights, the usual case) or [k,n]; k may be split into accumulated parts.
template <class T, class Out, class Acc>
void product(GlobalTensor<T> a, GlobalTensor<T> b, GlobalTensor<Out> c, uint32_t m, uint32_t n, uint32_t k,
             bool transposed, uint32_t kTile) {
  constexpr uint32_t c0 = 32 / sizeof(T);
  const uint32_t mUp = up(m, 16), nUp = up(n, 16), kUp = up(kTile, c0 > 16 ? c0 : 16);
  TPipe pipe;
  TQue<TPosition::A1, 1> a1;
  TQue<TPosition::B1, 1> b1;
  TQue<TPosition::A2, 1> a2;
  TQue<TPosition::B2, 1> b2;
  TQue<TPosition::CO1, 1> co1;
  pipe.InitBuffer(a1, 2, mUp * kUp * sizeof(T));
  pipe.InitBuffer(b1, 2, nUp * kUp * sizeof(T));
  pipe.InitBuffer(a2, 2, mUp * kUp * sizeof(T));
  pipe.InitBuffer(b2, 2, nUp * kUp * sizeof(T));
  pipe.InitBuffer(co1, 1, mUp * nUp * 4);
  LocalTensor<Acc> out = co1.AllocTensor<Acc>();
  for (uint32_t at = 0; at < k; at += kTile) {
    const uint32_t kk = std::min(kTile, k - at);
    LocalTensor<T> left = a1.AllocTensor<T>(), right = b1.AllocTensor<T>();
    DataCopy(left, a[at], Nd2NzParams(1, m, kk, 0, k, mUp, 1, 0));
    if (transposed) DataCopy(right, b[at], Nd2NzParams(1, n, kk, 0, k, nUp, 1, 0));
    else DataCopy(right, b[uint64_t{at} * n], Nd2NzParams(1, kk, n, 0, n, up(kk, 16), 1, 0));
    a1.EnQue(left);
    b1.EnQue(right);
    left = a1.DeQue<T>();
    right = b1.DeQue<T>();
    LocalTensor<T> l0a = a2.AllocTensor<T>(), l0b = b2.AllocTensor<T>();
    const auto k1 = static_cast<uint16_t>((kk + c0 - 1) / c0);
    for (uint32_t row = 0; row < mUp / 16; row++)
      LoadData(l0a[row * k1 * 16 * c0], left,
               LoadData2DParams(static_cast<uint16_t>(row), static_cast<uint8_t>(k1), static_cast<uint16_t>(mUp / 16),
                                0, 0, false, 0));
    if (transposed) {
      for (uint32_t i = 0; i < k1; i++)
        LoadData(l0b[i * nUp * c0], right, LoadData2DParams(static_cast<uint16_t>(i * nUp / 16),
                                                            static_cast<uint8_t>(nUp / 16), 1, 0, 0, false, 0));
    } else {
      for (uint32_t i = 0; i < k1; i++)
        LoadData(l0b[i * nUp * c0], right,
                 LoadData2DParams(static_cast<uint16_t>(i), static_cast<uint8_t>(nUp / 16), k1, 0, 0, true, 0));
    }
    a1.FreeTensor(left);
    b1.FreeTensor(right);
    a2.EnQue(l0a);
    b2.EnQue(l0b);
    l0a = a2.DeQue<T>();
    l0b = b2.DeQue<T>();
    MmadParams params;
    params.m = static_cast<uint16_t>(m);
    params.n = static_cast<uint16_t>(n);
    params.k = static_cast<uint16_t>(kk);
    params.cmatrixInitVal = at == 0;
    PipeBarrier<PIPE_M>();
    Mmad(out, l0a, l0b, params);
    a2.FreeTensor(l0a);
    b2.FreeTensor(l0b);
  }
  co1.EnQue(out);
  out = co1.DeQue<Acc>();
  FixpipeParamsV220 fix(static_cast<uint16_t>(n), static_cast<uint16_t>(m), static_cast<uint16_t>(mUp), n, false);
  if constexpr (std::is_same_v<Out, half>) fix.quantPre = QuantMode_t::F322F16;
  if constexpr (std::is_same_v<Out, bfloat16_t>) fix.quantPre = QuantMode_t::F322BF16;
  Fixpipe<Out, Acc, CFG_ROW_MAJOR>(c, out, fix);
  co1.FreeTensor(out);
}

template <class T, class Out, class Acc>
void productKernel(GM_ADDR a, GM_ADDR b, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k, uint32_t transposed,
                   uint32_t kTile) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);
  GlobalTensor<T> aGm, bGm;
  GlobalTensor<Out> cGm;
  aGm.SetGlobalBuffer((__gm__ T *)a, m * k);
  bGm.SetGlobalBuffer((__gm__ T *)b, n * k);
  cGm.SetGlobalBuffer((__gm__ Out *)c, m * n);
  product<T, Out, Acc>(aGm, bGm, cGm, m, n, k, transposed != 0, kTile);
}

template <class T> T element(float value) {
  if constexpr (std::is_same_v<T, int8_t>) return static_cast<int8_t>(value * 100);
  else return T(value);
}
template <class T> double number(T value) {
  if constexpr (std::is_same_v<T, bfloat16_t>) return value.toFloat();
  else return value;
}

template <class T, class Out, class Acc = float>
void check(uint32_t m, uint32_t n, uint32_t k, bool transposed, double tolerance, uint32_t kTile = 4096) {
  kTile = std::min(kTile, k);
  const auto aValues = randoms(m * k, m), bValues = randoms(n * k, n + 1);
  std::vector<T> a, b;
  for (float one : aValues) a.push_back(element<T>(one));
  for (float one : bValues) b.push_back(element<T>(one));
  std::vector<Out> c(m * n);
  Device device;
  device.registerBuffer(a.data(), a.size() * sizeof(T), "a", true);
  device.registerBuffer(b.data(), b.size() * sizeof(T), "b", true);
  device.registerBuffer(c.data(), c.size() * sizeof(Out), "c", false);
  device.launch("product", KERNEL_TYPE_AIC_ONLY, 1, productKernel<T, Out, Acc>, (void *)a.data(), (void *)b.data(),
                (void *)c.data(), m, n, k, uint32_t{transposed}, kTile);
  device.requireWritten(c.data());
  for (uint32_t i = 0; i < m; i++)
    for (uint32_t j = 0; j < n; j++) {
      double want = 0;
      for (uint32_t p = 0; p < k; p++) want += number(a[i * k + p]) * number(transposed ? b[j * k + p] : b[p * n + j]);
      expectNear("c", i * n + j, number(c[i * n + j]), want, tolerance);
    }
}

void halfProduct() {
  check<half, float>(16, 16, 16, true, 1e-4);
  check<half, float>(33, 50, 70, true, 1e-4);
  check<half, float>(2, 17, 16, true, 1e-4);
  check<half, half>(30, 40, 70, false, 2e-3);
  check<half, float>(48, 64, 200, true, 1e-4, 64);
}
void bfloatProduct() {
  check<bfloat16_t, float>(16, 32, 48, true, 1e-4);
  check<bfloat16_t, bfloat16_t>(19, 35, 65, true, 1e-2);
  check<bfloat16_t, float>(19, 35, 65, false, 1e-4);
}
void floatProduct() {
  check<float, float>(16, 16, 8, true, 1e-5);
  check<float, float>(31, 45, 77, true, 1e-5);
  check<float, half>(18, 20, 100, true, 2e-3, 32);
}
void int8Product() { check<int8_t, int32_t, int32_t>(20, 33, 70, true, 0); }

// One row: L0A holds k elements in a row, 256 of which make one fractal.
void rowKernel(GM_ADDR a, GM_ADDR b, GM_ADDR c) {
  const uint32_t n = 24, k = 256;
  GlobalTensor<half> aGm, bGm;
  GlobalTensor<float> cGm;
  aGm.SetGlobalBuffer((__gm__ half *)a, k);
  bGm.SetGlobalBuffer((__gm__ half *)b, n * k);
  cGm.SetGlobalBuffer((__gm__ float *)c, n);
  TPipe pipe;
  TBuf<TPosition::A1> a1;
  TBuf<TPosition::B1> b1;
  TBuf<TPosition::A2> a2;
  TBuf<TPosition::B2> b2;
  TBuf<TPosition::CO1> co1;
  pipe.InitBuffer(a1, k * 2);
  pipe.InitBuffer(b1, 32 * k * 2);
  pipe.InitBuffer(a2, k * 2);
  pipe.InitBuffer(b2, 32 * k * 2);
  pipe.InitBuffer(co1, 32 * 16 * 4);
  auto left = a1.Get<half>(), right = b1.Get<half>(), l0a = a2.Get<half>(), l0b = b2.Get<half>();
  auto out = co1.Get<float>();
  DataCopy(left, aGm, k);
  DataCopy(right, bGm, Nd2NzParams(1, n, k, 0, k, 32, 1, 0));
  PipeBarrier<PIPE_ALL>();
  LoadData(l0a, left, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
  LoadData(l0b, right, LoadData2DParams(0, 32, 1, 0, 0, false, 0));
  PipeBarrier<PIPE_ALL>();
  Mmad(out, l0a, l0b, MmadParams(1, n, k, 0, false, true));
  PipeBarrier<PIPE_ALL>();
  Fixpipe(cGm, out, FixpipeParamsV220(n, 1, 16, n, false));
}

void row() {
  const uint32_t n = 24, k = 256;
  const auto aValues = randoms(k, 1), bValues = randoms(n * k, 2);
  std::vector<half> a(aValues.begin(), aValues.end()), b(bValues.begin(), bValues.end());
  std::vector<float> c(n);
  Device device;
  device.registerBuffer(a.data(), k * 2, "a", true);
  device.registerBuffer(b.data(), n * k * 2, "b", true);
  device.registerBuffer(c.data(), n * 4, "c", false);
  device.launch("row", KERNEL_TYPE_AIC_ONLY, 1, rowKernel, (void *)a.data(), (void *)b.data(), (void *)c.data());
  for (uint32_t j = 0; j < n; j++) {
    double want = 0;
    for (uint32_t p = 0; p < k; p++) want += double(a[p]) * double(b[j * k + p]);
    expectNear("c", j, c[j], want, 1e-4);
  }
}

// The size that layers of a demonstration have: mind the time.
void speed() { check<bfloat16_t, float>(128, 128, 256, true, 1e-4, 128); }

}  // namespace

int main(int argc, char **argv) {
  return runCase({{"half", halfProduct}, {"bfloat16", bfloatProduct}, {"float", floatProduct}, {"int8", int8Product},
                  {"row", row}, {"speed", speed}},
                 argc, argv);
}
