// A product by a Matmul object, held against a plain loop; shared by the programs for vector cores and for cube cores.
#pragma once
#include "lib/matmul_intf.h"
#include "support.h"

/// Sizes, and what each core takes of them.
struct Product {
  int m = 37, n = 53, k = 70, singleM = 16, singleN = 32;
  bool turnA = false, turnB = false, bias = false;
  int order = 0, baseM = 16, baseN = 16;
};

inline TCubeTiling tilingOf(const Product &p, uint32_t size) {
  TCubeTiling t;
  t.usedCoreNum = 1;
  t.M = p.m, t.N = p.n, t.Ka = t.Kb = p.k;
  t.singleCoreM = p.singleM, t.singleCoreN = p.singleN, t.singleCoreK = p.k;
  t.baseM = p.baseM, t.baseN = p.baseN, t.baseK = size == 1 ? 32 : 16;
  t.stepM = t.stepN = t.stepKa = t.stepKb = 1;
  t.depthA1 = t.depthB1 = 2;
  t.dbL0A = t.dbL0B = 2, t.dbL0C = 1;
  t.isBias = p.bias;
  t.iterateOrder = p.order;
  return t;
}

template <class T> T elementOf(float value) {
  if constexpr (std::is_same_v<T, int8_t>) return static_cast<int8_t>(value * 100);
  else return T(value);
}
template <class T> double numberOf(T value) {
  if constexpr (std::is_same_v<T, bfloat16_t>) return value.toFloat();
  else return static_cast<double>(value);
}

/// Seeded operands, C, and what C has to be.
template <class T, class Out, class BiasT> struct Operands {
  std::vector<T> a, b;
  std::vector<BiasT> bias;
  std::vector<Out> c;
  std::vector<double> want;
  explicit Operands(const Product &p) : c(size_t(p.m) * p.n), want(c.size()) {
    for (const float one : randoms(size_t(p.m) * p.k, p.m)) a.push_back(elementOf<T>(one));
    for (const float one : randoms(size_t(p.n) * p.k, p.n)) b.push_back(elementOf<T>(one));
    for (const float one : randoms(p.n, p.k)) bias.push_back(elementOf<BiasT>(one));
    for (int i = 0; i < p.m; i++)
      for (int j = 0; j < p.n; j++) {
        double sum = p.bias ? numberOf(bias[j]) : 0;
        for (int x = 0; x < p.k; x++)
          sum += numberOf(a[p.turnA ? x * p.m + i : i * p.k + x]) * numberOf(b[p.turnB ? j * p.k + x : x * p.n + j]);
        want[size_t(i) * p.n + j] = sum;
      }
  }
  void on(Device &device) {
    device.registerBuffer(a.data(), a.size() * sizeof(T), "a", true);
    device.registerBuffer(b.data(), b.size() * sizeof(T), "b", true);
    device.registerBuffer(bias.data(), bias.size() * sizeof(BiasT), "bias", true);
    device.registerBuffer(c.data(), c.size() * sizeof(Out), "c", false);
  }
  void check(double tolerance) const {
    for (size_t i = 0; i < c.size(); i++) expectNear("c", i, numberOf(c[i]), want[i], tolerance);
  }
};

/// The parts of C that one of `cores` cores takes: offsets of A, B and C, and what is left of the last row and column of parts.
template <class Body> void eachPart(const Product &p, uint32_t core, uint32_t cores, Body body) {
  const int rows = (p.m + p.singleM - 1) / p.singleM, columns = (p.n + p.singleN - 1) / p.singleN;
  for (int part = static_cast<int>(core); part < rows * columns; part += static_cast<int>(cores)) {
    const int i = part % rows * p.singleM, j = part / rows * p.singleN;
    body(i, j, std::min(p.singleM, p.m - i), std::min(p.singleN, p.n - j));
  }
}
