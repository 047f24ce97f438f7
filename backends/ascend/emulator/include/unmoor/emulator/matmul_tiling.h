// The tiling of Matmul objects, and what it has to keep to on architecture 2201.
#pragma once
#include "call.h"
#include "matmul_config.h"

/// How a matrix lies in memory.
enum class CubeFormat { ND = 0, NZ, ZN, ZZ, NN, ND_ALIGN, SCALAR, VECTOR, ROW_MAJOR = ND, COLUMN_MAJOR = 8 };
/// How the matrices of a batch lie: one behind the other (NORMAL, BNGS1S2), or their rows among each other's.
enum class LayoutMode { NONE = 0, BSNGD, SBNGD, BNGS1S2, NORMAL };

namespace AscendC::tiling {

/// The fields and their order are the vendor's (kernel_tiling.h). Sizes are in elements.
struct TCubeTiling {
  int32_t usedCoreNum = 0, M = 0, N = 0, Ka = 0, Kb = 0;
  int32_t singleCoreM = 0, singleCoreN = 0, singleCoreK = 0;
  int32_t baseM = 0, baseN = 0, baseK = 0;
  int32_t depthA1 = 0, depthB1 = 0, stepM = 0, stepN = 0;
  int32_t isBias = 0, transLength = 0, iterateOrder = 0;
  int32_t shareMode = 0, shareL1Size = 0, shareL0CSize = 0, shareUbSize = 0;
  int32_t batchM = 0, batchN = 0, singleBatchM = 0, singleBatchN = 0;
  int32_t stepKa = 0, stepKb = 0, depthAL1CacheUB = 0, depthBL1CacheUB = 0;
  int32_t dbL0A = 0, dbL0B = 0, dbL0C = 0;
  int32_t ALayoutInfoB = 0, ALayoutInfoS = 0, ALayoutInfoN = 0, ALayoutInfoG = 0, ALayoutInfoD = 0;
  int32_t BLayoutInfoB = 0, BLayoutInfoS = 0, BLayoutInfoN = 0, BLayoutInfoG = 0, BLayoutInfoD = 0;
  int32_t CLayoutInfoB = 0, CLayoutInfoS1 = 0, CLayoutInfoN = 0, CLayoutInfoG = 0, CLayoutInfoS2 = 0;
  int32_t BatchNum = 0, mxTypePara = 0;
};

}  // namespace AscendC::tiling

using AscendC::tiling::TCubeTiling;

namespace unmoor::ascend::detail {

/// What the types of a Matmul object say.
struct MatmulTypes {
  Element a, b, c, bias;
  CubeFormat formatA, formatB, formatC;
  bool mayTurnA, mayTurnB;  // transposed operands are allowed
  LayoutMode layoutA, layoutB, layoutC;
  bool sharedA, sharedB;    // both vector cores of a group take it out of L1 (IBSHARE)
  BatchMode batchMode;
  bool biasPerBatch;
  /// Fixpipe scales sums on their way out.
  bool scales() const { return a.type == Dtype::I8 ? c.type != Dtype::I32 : c.type == Dtype::I8; }
  uint32_t sum() const { return 4; }  // bytes of a sum in L0C: float, int32_t for int8_t
};

inline uint32_t roundedUp(uint32_t value, uint32_t to) { return (value + to - 1) / to * to; }

/// Bytes that the cube core keeps for a Matmul object, by memory.
struct MatmulMemory {
  uint64_t l1, l0a, l0b, l0c, bias;
};
inline MatmulMemory matmulMemory(const TCubeTiling &t, const MatmulTypes &types) {
  const auto product = [](int64_t a, int64_t b, int64_t c) { return static_cast<uint64_t>(a * b * c); };
  const uint64_t bias = t.isBias != 0 ? product(t.baseN, types.sum(), 1) : 0;
  return {product(t.baseM, t.baseK, t.depthA1) * types.a.size + product(t.baseN, t.baseK, t.depthB1) * types.b.size + bias,
          product(t.baseM, t.baseK, t.dbL0A) * types.a.size, product(t.baseN, t.baseK, t.dbL0B) * types.b.size,
          product(t.baseM, t.baseN, t.dbL0C) * types.sum(), bias};
}

/// The vendor's constraints on the fields (table 2 of the page on TCubeTiling).
UNMOOR_COMMON void checkMatmulTiling(const Call &call, const TCubeTiling &t, const MatmulTypes &types, uint32_t cores) {
  const auto range = [&](const char *name, int64_t value, int64_t low, int64_t high) {
    call.require(value >= low && value <= high, "matmul-tiling", name,
                 "a number in " + std::to_string(low) + ".." + std::to_string(high), std::to_string(value),
                 "take the tiling from MatmulApiTiling::GetTiling, or fill in every field");
  };
  range("usedCoreNum", t.usedCoreNum, 1, cores);
  const std::pair<const char *, int32_t> sizes[] = {
      {"M", t.M}, {"N", t.N}, {"Ka", t.Ka}, {"Kb", t.Kb}, {"singleCoreM", t.singleCoreM}, {"singleCoreN", t.singleCoreN},
      {"singleCoreK", t.singleCoreK}, {"baseM", t.baseM}, {"baseN", t.baseN}, {"baseK", t.baseK}, {"depthA1", t.depthA1},
      {"depthB1", t.depthB1}, {"stepM", t.stepM}, {"stepN", t.stepN}, {"stepKa", t.stepKa}, {"stepKb", t.stepKb}};
  for (const auto &[name, value] : sizes) range(name, value, 1, INT32_MAX);
  range("isBias", t.isBias, 0, 1);
  range("iterateOrder", t.iterateOrder, 0, 1);
  range("dbL0A", t.dbL0A, 1, 2);
  range("dbL0B", t.dbL0B, 1, 2);
  range("dbL0C", t.dbL0C, 1, 2);
  const auto multiple = [&](const char *name, int32_t value, uint32_t of) {
    call.require(value % static_cast<int32_t>(of) == 0, "matmul-tiling", name, "a multiple of " + std::to_string(of) + ": whole fractals",
                 std::to_string(value), "round it up; Matmul itself keeps to what is left of a matrix");
  };
  multiple("baseM", t.baseM, 16);
  multiple("baseN", t.baseN, 16);
  // 16 where an operand may be turned on its way to L0, else what 32 bytes hold.
  multiple("baseK", t.baseK, types.mayTurnA || !types.mayTurnB ? std::max(16u, 32 / types.a.size) : 32 / types.a.size);
  const auto depth = [&](const char *name, int32_t value, int64_t steps) {
    call.require(value == steps || value == 2 * steps, "matmul-tiling", name,
                 std::to_string(steps) + " or " + std::to_string(2 * steps) + ": steps along both axes, once or twice", std::to_string(value),
                 "set it to stepM * stepKa (stepN * stepKb), or twice that for double buffers in L1");
  };
  depth("depthA1", t.depthA1, int64_t{t.stepM} * t.stepKa);
  depth("depthB1", t.depthB1, int64_t{t.stepN} * t.stepKb);
  const MatmulMemory memory = matmulMemory(t, types);
  const auto fits = [&](const char *what, uint64_t bytes, uint32_t capacity, const char *remedy) {
    call.require(bytes <= capacity, "matmul-tiling", what, "at most " + std::to_string(capacity) + " bytes", std::to_string(bytes) + " bytes", remedy);
  };
  fits("baseM * baseK * dbL0A in L0A", memory.l0a, arch2201::L0A, "lower baseM or baseK");
  fits("baseN * baseK * dbL0B in L0B", memory.l0b, arch2201::L0B, "lower baseN or baseK");
  fits("baseM * baseN * dbL0C in L0C", memory.l0c, arch2201::L0C, "lower baseM or baseN, or set dbL0C to 1");
  fits("baseN of the bias in the BiasTable", memory.bias, arch2201::BT, "lower baseN");
  fits("depthA1 and depthB1 blocks in L1", memory.l1, arch2201::L1, "lower the steps, or one of the depths to one buffer");
}

}  // namespace unmoor::ascend::detail
