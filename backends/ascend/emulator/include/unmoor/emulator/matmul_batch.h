// Batches of products: where their matrices lie, and what a batch has to keep to.
#pragma once
#include <algorithm>

#include "matmul_tiling.h"

namespace unmoor::ascend::detail {

/// What IterateBatch is asked for: how many matrices of each operand, elements from one to the next (0: as the layout says), and how C leaves.
struct MatmulBatch {
  uint32_t a = 0, b = 0;
  uint64_t strideA = 0, strideB = 0, strideC = 0;
  bool alone = false, onto = false;
  uint8_t atomic = 0;
  uint32_t count() const { return std::max(a, b); }
};

/// The axes of an operand, as the tiling gives them: matrices of s x d (of C s1 x s2), n * g of them for each of b.
struct BatchAxes {
  LayoutMode layout;
  uint64_t b, s, n, g, d;

  /// Rows of the matrices lie among each other's.
  bool woven() const { return layout == LayoutMode::BSNGD || layout == LayoutMode::SBNGD; }
  bool hasAxes() const { return woven() || layout == LayoutMode::BNGS1S2; }
  /// Elements from one row to the next.
  uint64_t rowStep(uint64_t columns) const {
    return layout == LayoutMode::BSNGD ? n * g * d : layout == LayoutMode::SBNGD ? b * n * g * d : layout == LayoutMode::BNGS1S2 ? d : columns;
  }
  /// Elements before a matrix; `alone` is what one takes by itself.
  uint64_t before(uint64_t index, uint64_t stride, uint64_t alone) const {
    return index * (stride != 0 ? stride : woven() ? d : layout == LayoutMode::BNGS1S2 ? s * d : alone);
  }
  /// Elements before a matrix by its number among all: a row of the layout holds n * g, and BSNGD has rows one behind the other.
  uint64_t beforeAll(uint64_t index) const {
    if (layout != LayoutMode::BSNGD) return before(index, 0, 0);
    return index / (n * g) * (s * n * g * d) + index % (n * g) * d;
  }
};

inline BatchAxes axesOf(LayoutMode layout, int b, int s, int n, int g, int d) {
  const auto whole = [](int value) { return static_cast<uint64_t>(value); };
  return {layout, whole(b), whole(s), whole(n), whole(g), whole(d)};
}

/// How many products are added up in one matrix of C: those along G, where C has none.
inline uint64_t addedUp(const BatchAxes &a, const BatchAxes &b, const BatchAxes &c) {
  return a.hasAxes() && c.hasAxes() && c.g == 1 ? std::max(a.g, b.g) : 1;
}

/// Which matrix of an operand the i-th product takes: those with fewer of them are used again.
inline uint64_t batchIndex(uint64_t i, uint32_t count, uint32_t own, const BatchAxes &mine, const BatchAxes &other) {
  if (!mine.hasAxes()) return i / (count / own);
  if (mine.g == 1 && other.g != 1) return i / other.g;
  if (mine.n == 1 && other.n != 1) return i % other.g + i / (other.g * other.n);
  if (mine.b == 1 && other.b != 1) return i % (other.g * other.n) + i / (other.g * other.n * other.b);
  return i;
}

/// The vendor's constraints on a batch; `bytes` are those of one matrix of each operand in L1, in whole fractals.
UNMOOR_COMMON void checkBatch(const Call &call, const MatmulBatch &of, const BatchAxes &a, const BatchAxes &b, const BatchAxes &c, BatchMode mode,
                              int32_t most, uint64_t bytesA, uint64_t bytesB) {
  const auto require = [&](bool holds, const char *what, const std::string &expected, const std::string &found, const char *remedy) {
    call.require(holds, "matmul-batch", what, expected, found, remedy);
  };
  const auto pair = [](uint64_t x, uint64_t y) { return std::to_string(x) + " and " + std::to_string(y); };
  require(of.a > 0 && of.b > 0, "batchA and batchB", "at least one matrix each", pair(of.a, of.b), "give the numbers of matrices (SetBatchNum)");
  require(of.strideC == 0, "matrixStrideC", "0: it is reserved", std::to_string(of.strideC), "leave it out");
  call.require(!of.onto, "not-modelled", "enPartialSum", "false", "true", "add up in global memory with enAtomic = 1");
  call.limit("enAtomic", of.atomic, 0, 3, "0: none, 1: add, 2: max, 3: min");
  const uint64_t all = of.a * bytesA + of.b * bytesB, capacity = arch2201::L1;
  const auto inL1 = [&](const char *what, uint64_t bytes, const char *remedy) {
    require(bytes <= capacity, what, "at most " + std::to_string(capacity) + " bytes of L1", std::to_string(bytes) + " bytes", remedy);
  };
  if (!a.hasAxes()) {
    require(of.count() % of.a == 0 && of.count() % of.b == 0, "batchA and batchB", "a number that is a multiple of the other", pair(of.a, of.b),
            "give operands of one number of matrices, or one that divides the other");
    if (mode == BatchMode::BATCH_LESS_THAN_L1)
      inL1("all matrices of a batch", all, "use BatchMode::BATCH_LARGE_THAN_L1 in MatmulConfig, or fewer matrices");
    if (mode == BatchMode::BATCH_LARGE_THAN_L1)
      inL1("one matrix of A and of B", bytesA + bytesB, "use BatchMode::SINGLE_LARGE_THAN_L1 in MatmulConfig");
    return;
  }
  inL1("all matrices of a batch", all, "use fewer matrices in a batch");
  require(static_cast<int64_t>(of.count()) <= most, "BatchNum", "at least the " + std::to_string(of.count()) + " matrices of the call",
          std::to_string(most), "set BatchNum on the host (SetBatchNum of the tiling) to the largest number");
  require(a.g * of.b == b.g * of.a, "batchA and batchB", "numbers in the ratio of ALayoutInfoG to BLayoutInfoG, " + pair(a.g, b.g),
          pair(of.a, of.b), "change the numbers, or SetALayout and SetBLayout");
  for (const auto &[name, axes, count] : {std::tuple{"batchA", &a, of.a}, std::tuple{"batchB", &b, of.b}})
    if (axes->woven())
      require(axes->n * axes->g % count == 0, name, "a divisor of N * G, " + std::to_string(axes->n * axes->g) + ": one row of the layout",
              std::to_string(count), "take the rows (of B) in a loop");
  const uint64_t added = addedUp(a, b, c);
  require(!c.hasAxes() || c.g == std::max(a.g, b.g) || added > 1, "CLayoutInfoG",
          "the larger G of A and B, " + std::to_string(std::max(a.g, b.g)) + ", or 1 to add up along it", std::to_string(c.g),
          "change SetCLayout on the host");
  require(of.count() % added == 0, "batchA and batchB", "whole groups of " + std::to_string(added) + " that are added up", pair(of.a, of.b),
          "take all of G in a batch");
  require(added == 1 || of.atomic <= 1, "enAtomic", "0 or 1 where products are added up along G: they leave by atomic addition",
          std::to_string(of.atomic), "leave it out");
  require(!of.alone || !c.woven(), "enSequentialWrite", "false with BSNGD and SBNGD", "true", "write to global memory");
}

}  // namespace unmoor::ascend::detail
