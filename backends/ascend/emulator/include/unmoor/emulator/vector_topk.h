// The k largest or smallest of each row: of the high-level interface, computed at once.
#pragma once
#include <numeric>

#include "vector_data.h"

/// The vendor's tiling of TopK. It changes no result, so that the emulator looks at none of it.
struct TopkTiling {
  int32_t tmpLocalSize = 0, allDataSize = 0, innerDataSize = 0;
  uint32_t sortRepeat = 0;
  int32_t mrgSortRepeat = 0, kAlignFourBytes = 0, kAlignTwoBytes = 0, maskOffset = 0, maskVreducev2FourBytes = 0,
          maskVreducev2TwoBytes = 0, mrgSortSrc1offset = 0, mrgSortSrc2offset = 0, mrgSortSrc3offset = 0,
          mrgSortTwoQueueSrc1Offset = 0, mrgFourQueueTailPara1 = 0, mrgFourQueueTailPara2 = 0, srcIndexOffset = 0;
  uint32_t copyUbToUbBlockCount = 0;
  int32_t topkMrgSrc1MaskSizeOffset = 0, topkNSmallSrcIndexOffset = 0;
  uint32_t vreduceValMask0 = 0, vreduceValMask1 = 0, vreduceIdxMask0 = 0, vreduceIdxMask1 = 0;
  uint16_t vreducehalfValMask0 = 0, vreducehalfValMask1 = 0, vreducehalfValMask2 = 0, vreducehalfValMask3 = 0,
           vreducehalfValMask4 = 0, vreducehalfValMask5 = 0, vreducehalfValMask6 = 0, vreducehalfValMask7 = 0;
};

namespace AscendC {

/// TOPK_NSMALL is for rows of 32.
enum class TopKMode { TOPK_NORMAL, TOPK_NSMALL };
/// Rows, their length in memory (a multiple of 32), and how many of it count.
struct TopKInfo {
  int32_t outter = 1, inner, n;
};

/// The k largest (or smallest) of each row, in order; of equal values the first. In TOPK_NORMAL rows of results begin at 32 bytes, and
/// all rows share the indices of srcIndexLocal. Rows that finishLocal marks get the index n.
template <typename T, bool isInitIndex = false, bool isHasfinish = false, bool isReuseSrc = false,
          TopKMode topkMode = TopKMode::TOPK_NORMAL>
void TopK(const LocalTensor<T> &dstValueLocal, const LocalTensor<int32_t> &dstIndexLocal,
                 const LocalTensor<T> &srcLocal, const LocalTensor<int32_t> &srcIndexLocal,
                 const LocalTensor<bool> &finishLocal, const LocalTensor<uint8_t> &tmpLocal, const int32_t k,
                 const TopkTiling &, const TopKInfo &info, const bool isLargest = true,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  constexpr bool small = topkMode == TopKMode::TOPK_NSMALL;
  static_assert(!small || !isHasfinish, "TOPK_NSMALL has no finished rows");
  const d::Call call("TopK", PIPE_V, where);
  call.dtype<T>("srcLocal", d::FLOATS, d::CAST_FIRST);
  call.limit("inner", info.inner, 32, small ? 32 : 4096, "split longer rows, and merge with MrgSort");
  call.limit("inner modulo 32", info.inner % 32, 0, 0, "pad rows to 32 elements");
  call.limit("n", info.n, 1, info.inner, "as many elements as count");
  call.limit("k", k, 1, info.n, "ask for no more than there are");
  call.limit("outter", info.outter, 1, 65535, "give the number of rows");
  call.operand(dstValueLocal, "dstValueLocal", d::Space::UB);
  call.operand(dstIndexLocal, "dstIndexLocal", d::Space::UB);
  call.operand(srcLocal, "srcLocal", d::Space::UB);
  call.operand(tmpLocal, "tmpLocal", d::Space::UB);
  const auto rows = static_cast<uint32_t>(info.outter), inner = static_cast<uint32_t>(info.inner), best = static_cast<uint32_t>(k);
  const auto rowOf = [&](uint32_t size) { return small ? best * size : (best * size + 31) / 32 * 32; };
  const uint32_t valueStep = rowOf(sizeof(T)), indexStep = rowOf(4);
  const auto rowsOf = [&](d::Range one, uint32_t step) {
    one.inner = rows;
    one.innerStride = step;
    return one;
  };
  std::vector<d::Range> reads{call.range(srcLocal, "srcLocal", d::Access::Read, uint64_t{rows} * inner * sizeof(T))};
  if constexpr (isInitIndex) {
    call.operand(srcIndexLocal, "srcIndexLocal", d::Space::UB);
    reads.push_back(call.range(srcIndexLocal, "srcIndexLocal", d::Access::Read, uint64_t{small ? rows : 1} * inner * 4));
  }
  if constexpr (isHasfinish) {
    call.operand(finishLocal, "finishLocal", d::Space::UB);
    reads.push_back(call.range(finishLocal, "finishLocal", d::Access::Read, rows));
  }
  const d::Range values = rowsOf(call.range(dstValueLocal, "dstValueLocal", d::Access::Write, best * sizeof(T)), valueStep),
                 ids = rowsOf(call.range(dstIndexLocal, "dstIndexLocal", d::Access::Write, best * 4), indexStep);
  call.issue({reads.data(), reads.size()}, {values, ids}, [=] {
    std::vector<uint32_t> order(inner);
    for (uint32_t row = 0; row < rows; row++) {
      const uint8_t *in = call.data(srcLocal.handle) + uint64_t{row} * inner * sizeof(T);
      const auto at = [&](uint32_t i) { return d::widen(d::loadAs<T>(in + i * sizeof(T))); };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return isLargest ? at(a) > at(b) : at(a) < at(b); });
      for (uint32_t i = 0; i < best; i++) {
        auto id = static_cast<int32_t>(order[i]);
        if constexpr (isInitIndex)
          id = d::loadAs<int32_t>(call.data(srcIndexLocal.handle) + ((small ? row * inner : 0) + order[i]) * 4);
        if constexpr (isHasfinish)
          if (call.data(finishLocal.handle)[row] != 0) id = info.n;
        d::storeAs<T>(call.data(dstValueLocal.handle) + row * valueStep + i * sizeof(T), d::loadAs<T>(in + order[i] * sizeof(T)));
        d::storeAs<int32_t>(call.data(dstIndexLocal.handle) + row * indexStep + i * 4, id);
      }
    }
  });
}

}  // namespace AscendC
