// Reductions: a whole tensor, each repeat, each DataBlock.
#pragma once
#include "lanes.h"

namespace unmoor::ascend::detail {

enum class ReduceKind { Sum, Max, Min };

/// Adds neighbours pairwise, as the adder tree of one repeat does; half partial sums stay in float.
inline float treeSum(float *values, uint32_t count) {
  for (; count > 1; count = (count + 1) / 2)
    for (uint32_t i = 0; i < count / 2 + count % 2; i++)
      values[i] = 2 * i + 1 < count ? values[2 * i] + values[2 * i + 1] : values[2 * i];
  return count == 0 ? 0.0f : values[0];
}

/// Position of the first extreme value.
inline uint32_t firstExtreme(const float *values, uint32_t count, ReduceKind kind) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < count; i++)
    if (kind == ReduceKind::Max ? values[i] > values[best] : values[i] < values[best]) best = i;
  return best;
}

/// Index values are stored as integer bits in an element of the tensor's type.
template <class T> void storeIndex(uint8_t *to, uint32_t index) {
  if constexpr (sizeof(T) == 2) storeAs<uint16_t>(to, static_cast<uint16_t>(index));
  else storeAs<uint32_t>(to, index);
}

/// Elements of work space that a max or min over `count` elements needs (formula of the vendor's page).
inline uint64_t workElements(uint64_t count, uint32_t size, bool withIndex) {
  const uint64_t perBlock = 32 / size, perRepeat = 256 / size;
  const auto up = [](uint64_t a, uint64_t b) { return (a + b - 1) / b; };
  const uint64_t first = std::max<uint64_t>(count / perRepeat, 1) * 2;
  const uint64_t firstEnd = up(first, perBlock) * perBlock;
  if (!withIndex) return firstEnd;
  const uint64_t second = up(first, perRepeat) * 2, secondEnd = up(second, perBlock) * perBlock;
  const uint64_t third = up(second, perRepeat) * 2, thirdEnd = up(third, perBlock) * perBlock;
  return firstEnd + secondEnd + thirdEnd;
}

template <class T>
void reduceAll(const Call &call, ReduceKind kind, const AscendC::LocalTensor<T> &dst,
                      const AscendC::LocalTensor<T> &src, const AscendC::LocalTensor<T> &work, int64_t count,
                      bool withIndex) {
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  // A lone value only needs its own alignment, so results can be gathered side by side.
  call.operand(dst, "dst", Space::UB, static_cast<uint32_t>(sizeof(T)) * (withIndex ? 2 : 1));
  call.operand(src, "src", Space::UB);
  call.operand(work, "sharedTmpBuffer", Space::UB);
  call.limit("count", count, 0, arch2201::UB_TOTAL, "the count is the number of elements");
  if (count == 0) return;
  const auto n = static_cast<uint32_t>(count);
  if (withIndex && sizeof(T) == 2) call.limit("count", n, 1, 65535, "a half holds indices up to 65535 only");
  const Range from = call.range(src, "src", Access::Read, n * sizeof(T)),
              to = call.range(dst, "dst", Access::Write, (withIndex ? 2 : 1) * sizeof(T));
  // The count form of ReduceSum uses no work space on A2 and A3.
  const uint64_t needed = kind == ReduceKind::Sum ? 0 : workElements(n, sizeof(T), withIndex);
  Range scratch = call.range(work, "sharedTmpBuffer", Access::Touch, needed * sizeof(T));
  const uint64_t room = call.c.regions[static_cast<size_t>(work.handle.region)].end - work.handle.address;
  call.require(scratch.bytes <= room, "work-space", "sharedTmpBuffer", std::to_string(needed) + " elements or more",
               std::to_string(room / sizeof(T)), "give ReduceMax and ReduceMin a larger work tensor");
  call.issue({from}, {scratch, to}, [=] {
    const uint8_t *in = call.data(src.handle);
    std::vector<float> values(n);
    for (uint32_t i = 0; i < n; i++) values[i] = widen(loadAs<T>(in + i * sizeof(T)));
    float result = 0;
    uint32_t index = 0;
    if (kind == ReduceKind::Sum) {
      constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
      std::vector<float> partial;
      for (uint32_t at = 0; at < n; at += lanes) partial.push_back(treeSum(&values[at], std::min(lanes, n - at)));
      for (float one : partial) result += one;
    } else {
      index = firstExtreme(values.data(), n, kind);
      result = values[index];
    }
    std::memset(call.data(work.handle), POISON, scratch.bytes);
    storeAs<T>(call.data(dst.handle), narrow<T>(result));
    if (withIndex) storeIndex<T>(call.data(dst.handle) + sizeof(T), index);
  });
  std::memset(call.state(work.handle), Fresh, scratch.bytes);
}

/// All active lanes of all repeats to one value; the index counts elements, and is only asked for where nothing is left out.
template <class T, class M>
void reduceMasked(const Call &call, ReduceKind kind, const AscendC::LocalTensor<T> &dst,
                         const AscendC::LocalTensor<T> &src, const AscendC::LocalTensor<T> &work, M maskArg,
                         int64_t repeats, uint32_t srcRep, bool withIndex) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB, static_cast<uint32_t>(sizeof(T)) * (withIndex ? 2 : 1));
  call.operand(src, "src", Space::UB);
  call.operand(work, "sharedTmpBuffer", Space::UB);
  call.limit("repeatTime", repeats, 1, 255, "split the call");
  const Mask mask = repeatMask(call, maskArg, lanes);
  call.require(!withIndex || (mask.has(lanes - 1) && mask.has(0) && srcRep == 8), "not-modelled", "calIndex",
               "whole repeats one behind the other", "a mask or a stride that leaves elements out",
               "use the form with a count, or WholeReduceMax and WholeReduceMin");
  const Lanes active = repeatedLanes(mask, lanes, static_cast<uint32_t>(repeats));
  const Strided walk{sizeof(T), 1, srcRep};
  std::vector<Range> reads;
  pushRanges(reads, call, src, "src", Access::Read, walk, active);
  const uint64_t needed = kind == ReduceKind::Sum ? static_cast<uint64_t>(repeats)
                                                  : workElements(static_cast<uint64_t>(repeats) * lanes, sizeof(T), withIndex);
  const Range scratch = call.range(work, "sharedTmpBuffer", Access::Touch, needed * sizeof(T)),
              to = call.range(dst, "dst", Access::Write, (withIndex ? 2 : 1) * sizeof(T));
  call.issue({reads.data(), reads.size()}, {scratch, to}, [=] {
    std::vector<float> values;
    active.each([&](uint32_t r, uint32_t l) { values.push_back(widen(loadAs<T>(call.data(src.handle) + walk.offset(r, l)))); });
    const auto count = static_cast<uint32_t>(values.size());
    const uint32_t index = kind == ReduceKind::Sum ? 0 : firstExtreme(values.data(), count, kind);
    float result = kind == ReduceKind::Sum ? 0 : values[index];
    if (kind == ReduceKind::Sum)
      for (uint32_t at = 0, per = count / static_cast<uint32_t>(repeats); at < count; at += per) result += treeSum(&values[at], per);
    std::memset(call.data(work.handle), POISON, scratch.bytes);
    storeAs<T>(call.data(dst.handle), narrow<T>(result));
    if (withIndex) storeIndex<T>(call.data(dst.handle) + sizeof(T), index);
  });
  std::memset(call.state(work.handle), Fresh, scratch.bytes);
}

/// Reduces each repeat to one value (and its lane, for extremes that ask for it).
template <class T, class M>
void reduceRepeats(const Call &call, ReduceKind kind, const AscendC::LocalTensor<T> &dst,
                          const AscendC::LocalTensor<T> &src, M maskArg, int64_t repeats, uint32_t dstRep,
                          uint32_t srcBlk, uint32_t srcRep, AscendC::ReduceOrder order) {
  using AscendC::ReduceOrder;
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  const bool pair = kind != ReduceKind::Sum && order <= ReduceOrder::ORDER_INDEX_VALUE;
  const uint32_t unit = order == ReduceOrder::ORDER_ONLY_INDEX ? 4 : static_cast<uint32_t>(sizeof(T)) * (pair ? 2 : 1);
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB, unit);
  call.operand(src, "src", Space::UB);
  call.limit("repeatTime", repeats, 0, 255, "split the call");
  const Mask mask = repeatMask(call, maskArg, lanes);
  const auto times = static_cast<uint32_t>(repeats);
  const Strided walk{sizeof(T), srcBlk, srcRep};
  std::vector<Range> reads;
  pushRanges(reads, call, src, "src", Access::Read, walk, repeatedLanes(mask, lanes, times));
  Range to = call.range(dst, "dst", Access::Write, unit);
  to.inner = times;
  to.innerStride = int64_t{dstRep} * unit;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    const uint8_t *in = call.data(src.handle);
    for (uint32_t r = 0; r < times; r++) {
      float values[lanes];
      uint32_t laneOf[lanes], n = 0;
      repeatedLanes(mask, lanes, 1).each([&](uint32_t, uint32_t l) {
        laneOf[n] = l;
        values[n++] = widen(loadAs<T>(in + walk.offset(r, l)));
      });
      uint8_t *out = call.data(dst.handle) + uint64_t{r} * dstRep * unit;
      if (kind == ReduceKind::Sum) {
        storeAs<T>(out, narrow<T>(treeSum(values, n)));
        continue;
      }
      const uint32_t best = firstExtreme(values, n, kind);
      if (order == ReduceOrder::ORDER_ONLY_INDEX) {
        storeAs<uint32_t>(out, laneOf[best]);
        continue;
      }
      storeAs<T>(out + (order == ReduceOrder::ORDER_INDEX_VALUE ? sizeof(T) : 0), narrow<T>(values[best]));
      if (pair) storeIndex<T>(out + (order == ReduceOrder::ORDER_INDEX_VALUE ? 0 : sizeof(T)), laneOf[best]);
    }
  });
}

/// Adds the two lanes of each pair; the results of a repeat lie side by side, and `dstRep` counts 128 bytes.
template <class T, class M>
void reducePairs(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
                        M maskArg, int64_t repeats, uint32_t dstRep, uint32_t srcBlk, uint32_t srcRep) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  call.limit("repeatTime", repeats, 0, 255, "split the call");
  const Mask mask = repeatMask(call, maskArg, lanes);
  const auto times = static_cast<uint32_t>(repeats);
  const Strided walk{sizeof(T), srcBlk, srcRep};
  uint32_t pairs = 0;  // pairs behind the last active lane give no result
  for (uint32_t l = 0; l < lanes; l++)
    if (mask.has(l)) pairs = l / 2 + 1;
  std::vector<Range> reads;
  pushRanges(reads, call, src, "src", Access::Read, walk, repeatedLanes(mask, lanes, times));
  Range to = call.range(dst, "dst", Access::Write, pairs * sizeof(T));
  to.inner = times;
  to.innerStride = int64_t{dstRep} * 128;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    const uint8_t *in = call.data(src.handle);
    for (uint32_t r = 0; r < times; r++)
      for (uint32_t pair = 0; pair < pairs; pair++) {
        float sum = 0;
        for (uint32_t l = 2 * pair; l < 2 * pair + 2; l++)
          if (mask.has(l)) sum += widen(loadAs<T>(in + walk.offset(r, l)));
        storeAs<T>(call.data(dst.handle) + uint64_t{r} * dstRep * 128 + pair * sizeof(T), narrow<T>(sum));
      }
  });
}

/// Reduces each DataBlock of each repeat to one value; eight results per repeat lie side by side.
template <class T, class M>
void reduceBlocks(const Call &call, ReduceKind kind, const AscendC::LocalTensor<T> &dst,
                         const AscendC::LocalTensor<T> &src, M maskArg, int64_t repeats, uint32_t dstRep,
                         uint32_t srcBlk, uint32_t srcRep) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T), perBlock = 32 / sizeof(T);
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB, 8 * sizeof(T));
  call.operand(src, "src", Space::UB);
  call.limit("repeat", repeats, 0, 255, "split the call");
  const Mask mask = repeatMask(call, maskArg, lanes);
  const auto times = static_cast<uint32_t>(repeats);
  const Strided walk{sizeof(T), srcBlk, srcRep};
  uint32_t blocks = 0;  // blocks without an active lane at the end give no result
  for (uint32_t l = 0; l < lanes; l++)
    if (mask.has(l)) blocks = l / perBlock + 1;
  std::vector<Range> reads;
  pushRanges(reads, call, src, "src", Access::Read, walk, repeatedLanes(mask, lanes, times));
  Range to = call.range(dst, "dst", Access::Write, blocks * sizeof(T));
  to.inner = times;
  to.innerStride = int64_t{dstRep} * 8 * static_cast<int64_t>(sizeof(T));
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    const uint8_t *in = call.data(src.handle);
    for (uint32_t r = 0; r < times; r++)
      for (uint32_t b = 0; b < blocks; b++) {
        float values[perBlock];
        uint32_t n = 0;
        for (uint32_t l = b * perBlock; l < (b + 1) * perBlock; l++)
          if (mask.has(l)) values[n++] = widen(loadAs<T>(in + walk.offset(r, l)));
        float result = 0;
        if (kind == ReduceKind::Sum) result = treeSum(values, n);
        else if (n > 0) result = values[firstExtreme(values, n, kind)];
        storeAs<T>(call.data(dst.handle) + (uint64_t{r} * dstRep * 8 + b) * sizeof(T), narrow<T>(result));
      }
  });
}

}  // namespace unmoor::ascend::detail

#define UNMOOR_REDUCE(KIND)                                                                                            \
  template <typename T, typename M>                                                                                    \
  void BlockReduce##KIND(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeat, M mask,    \
                                const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,    \
                                unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                 \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::reduceBlocks(d::Call("BlockReduce" #KIND, PIPE_V, where), d::ReduceKind::KIND, dst, src, d::maskArgument(mask), \
                    repeat, static_cast<uint32_t>(dstRepStride), static_cast<uint32_t>(srcBlkStride),                  \
                    static_cast<uint32_t>(srcRepStride));                                                              \
  }

#define UNMOOR_REDUCE_EXTREME(KIND)                                                                                    \
  template <typename T>                                                                                                \
  void Reduce##KIND(const LocalTensor<T> &dst, const LocalTensor<T> &src,                                       \
                           const LocalTensor<T> &sharedTmpBuffer, const int32_t count, bool calIndex = 0,              \
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                      \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::reduceAll(d::Call("Reduce" #KIND, PIPE_V, where), d::ReduceKind::KIND, dst, src, sharedTmpBuffer, count,        \
                 calIndex);                                                                                            \
  }                                                                                                                    \
  template <typename T, typename M>                                                                                    \
  void Reduce##KIND(const LocalTensor<T> &dst, const LocalTensor<T> &src,                                       \
                           const LocalTensor<T> &sharedTmpBuffer, M mask, const int32_t repeatTime,                    \
                           const int32_t srcRepStride, bool calIndex = 0,                                              \
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                      \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::reduceMasked(d::Call("Reduce" #KIND, PIPE_V, where), d::ReduceKind::KIND, dst, src, sharedTmpBuffer,            \
                    d::maskArgument(mask), repeatTime, static_cast<uint32_t>(srcRepStride), calIndex);                 \
  }                                                                                                                    \
  template <typename T, typename M>                                                                                    \
  void WholeReduce##KIND(const LocalTensor<T> &dst, const LocalTensor<T> &src, M mask,                          \
                                const int32_t repeatTime, const int32_t dstRepStride, const int32_t srcBlkStride,      \
                                const int32_t srcRepStride, ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX,        \
                                unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                 \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::reduceRepeats(d::Call("WholeReduce" #KIND, PIPE_V, where), d::ReduceKind::KIND, dst, src,                       \
                     d::maskArgument(mask), repeatTime, static_cast<uint32_t>(dstRepStride),                           \
                     static_cast<uint32_t>(srcBlkStride), static_cast<uint32_t>(srcRepStride), order);                 \
  }

namespace unmoor::ascend::detail {

/// A mask argument is a count of lanes or an array of bits.
inline const uint64_t *maskArgument(const uint64_t *bits) { return bits; }
template <class N, std::enable_if_t<std::is_integral_v<N>, int> = 0> inline uint64_t maskArgument(N count) {
  return static_cast<uint64_t>(count);
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Sum of `count` elements into dst[0].
template <typename T, bool isSetMask = true>
void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &sharedTmpBuffer,
                      const int32_t count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::reduceAll(d::Call("ReduceSum", PIPE_V, where), d::ReduceKind::Sum, dst, src, sharedTmpBuffer, count, false);
}

template <typename T, typename M>
void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &sharedTmpBuffer, M mask,
                      const int32_t repeatTime, const int32_t srcRepStride,
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::reduceMasked(d::Call("ReduceSum", PIPE_V, where), d::ReduceKind::Sum, dst, src, sharedTmpBuffer,
                  d::maskArgument(mask), repeatTime, static_cast<uint32_t>(srcRepStride), false);
}

template <typename T, typename M>
void WholeReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, M mask, const int32_t repeatTime,
                           const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::reduceRepeats(d::Call("WholeReduceSum", PIPE_V, where), d::ReduceKind::Sum, dst, src, d::maskArgument(mask),
                   repeatTime, static_cast<uint32_t>(dstRepStride), static_cast<uint32_t>(srcBlkStride),
                   static_cast<uint32_t>(srcRepStride), ReduceOrder::ORDER_ONLY_VALUE);
}

/// Sums of neighbours, half as many as there were.
template <typename T, typename M>
void PairReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeatTime, M mask,
                          const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,
                          unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::reducePairs(d::Call("PairReduceSum", PIPE_V, where), dst, src, d::maskArgument(mask), repeatTime,
                 static_cast<uint32_t>(dstRepStride), static_cast<uint32_t>(srcBlkStride),
                 static_cast<uint32_t>(srcRepStride));
}

// Value first; with calIndex the index of the first extreme follows it.
UNMOOR_REDUCE_EXTREME(Max)
UNMOOR_REDUCE_EXTREME(Min)
UNMOOR_REDUCE(Sum)
UNMOOR_REDUCE(Max)
UNMOOR_REDUCE(Min)

}  // namespace AscendC

#undef UNMOOR_REDUCE
#undef UNMOOR_REDUCE_EXTREME
