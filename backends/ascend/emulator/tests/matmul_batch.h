// Batches of products: their layouts, seeded operands, and what C has to be.
#pragma once
#include "matmul_mix.h"

/// Products of m x k and k x n: `heads` groups in each of `rows` rows of the layout, with groupA and groupB matrices in a group.
struct Batch {
  int rows = 2, heads = 2, groupA = 3, groupB = 3;
  bool turned = true, bias = false, toUb = false, waited = false;
  int m = 20, n = 24, k = 18;
  int group() const { return std::max(groupA, groupB); }
};

/// Where element (i, j) of matrix g of a group lies, in a layout of `rows` rows of `heads` heads of `group` matrices of s x d.
struct Layout {
  LayoutMode mode;
  int rows, heads, group, s, d;
  size_t at(int row, int head, int g, int i, int j) const {
    const auto whole = [](int value) { return static_cast<size_t>(value); };
    const size_t width = whole(heads * group), matrix = whole(head * group + g);
    if (mode == LayoutMode::BSNGD) return ((whole(row * s + i)) * width + matrix) * whole(d) + whole(j);
    if (mode == LayoutMode::SBNGD) return ((whole(i * rows + row)) * width + matrix) * whole(d) + whole(j);
    return ((whole(row) * width + matrix) * whole(s) + whole(i)) * whole(d) + whole(j);
  }
  size_t size() const { return size_t(rows) * heads * group * s * d; }
};

template <LayoutMode L> Layout layoutA(const Batch &b) { return {L, b.rows, b.heads, b.groupA, b.m, b.k}; }
template <LayoutMode L> Layout layoutB(const Batch &b) {
  return {L, b.rows, b.heads, b.groupB, b.turned ? b.n : b.k, b.turned ? b.k : b.n};
}
template <LayoutMode L> Layout layoutC(const Batch &b) { return {L, b.rows, b.heads, b.group(), b.m, b.n}; }

inline TCubeTiling tilingOf(const Batch &b) {
  Product p;
  p.m = p.singleM = b.m, p.n = p.singleN = b.n, p.k = b.k, p.bias = b.bias;
  if (b.toUb) p.baseM = p.baseN = 32;
  TCubeTiling t = ::tilingOf(p, sizeof(half));
  t.ALayoutInfoB = b.rows, t.ALayoutInfoS = b.m, t.ALayoutInfoN = b.heads, t.ALayoutInfoG = b.groupA, t.ALayoutInfoD = b.k;
  t.BLayoutInfoB = b.rows, t.BLayoutInfoS = b.turned ? b.n : b.k, t.BLayoutInfoN = b.heads, t.BLayoutInfoG = b.groupB;
  t.BLayoutInfoD = b.turned ? b.k : b.n;
  t.CLayoutInfoB = b.rows, t.CLayoutInfoS1 = b.m, t.CLayoutInfoN = b.heads, t.CLayoutInfoG = b.group(), t.CLayoutInfoS2 = b.n;
  t.BatchNum = b.group();
  return t;
}

/// Seeded operands, and what C has to be.
struct Matrices {
  std::vector<half> a, b;
  std::vector<float> bias, c;
  Matrices(size_t sizeA, size_t sizeB, size_t sizeC, size_t sizeBias) : c(sizeC) {
    for (const float one : randoms(sizeA, 1)) a.push_back(half(one));
    for (const float one : randoms(sizeB, 2)) b.push_back(half(one));
    bias = randoms(sizeBias, 3);
  }
  void on(Device &device) {
    device.registerBuffer(a.data(), a.size() * 2, "a", true);
    device.registerBuffer(b.data(), b.size() * 2, "b", true);
    device.registerBuffer(bias.data(), bias.size() * 4, "bias", true);
    device.registerBuffer(c.data(), c.size() * 4, "c", false);
  }
};

/// Holds C against plain loops; where it has one matrix for a group, products along the group are added up.
inline void expectProducts(const Batch &b, const Matrices &x, const Layout &in, const Layout &with, const Layout &out) {
  for (int row = 0; row < b.rows; row++)
    for (int head = 0; head < b.heads; head++)
      for (int to = 0; to < out.group; to++)
        for (int i = 0; i < b.m; i++)
          for (int j = 0; j < b.n; j++) {
            double sum = b.bias ? x.bias[static_cast<size_t>(((row * b.heads + head) * b.group() + to) * b.n + j)] : 0;
            for (int g = out.group == 1 ? 0 : to; g <= (out.group == 1 ? b.group() - 1 : to); g++)
              for (int p = 0; p < b.k; p++)
                sum += numberOf(x.a[in.at(row, head, g * b.groupA / b.group(), i, p)]) *
                       numberOf(x.b[with.at(row, head, g * b.groupB / b.group(), b.turned ? j : p, b.turned ? p : j)]);
            const size_t at = out.at(row, head, to, i, j);
            expectNear("c", at, x.c[at], sum, 1e-3);
          }
}
