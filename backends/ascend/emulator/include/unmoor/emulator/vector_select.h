// Comparisons to bit masks, and selection by bit masks.
#pragma once
#include "lanes.h"

namespace unmoor::ascend::detail {

using AscendC::CMPMODE;
using AscendC::SELMODE;

template <class V> bool compares(V a, V b, CMPMODE mode) {
  switch (mode) {
    case CMPMODE::LT: return a < b;
    case CMPMODE::GT: return a > b;
    case CMPMODE::EQ: return a == b;
    case CMPMODE::LE: return a <= b;
    case CMPMODE::GE: return a >= b;
    case CMPMODE::NE: return a != b;
  }
  return false;
}

/// Result bit i (lowest bit of a byte first) is the comparison of element i.
template <class U, class T, class Other>
void compareCount(const Call &call, const AscendC::LocalTensor<U> &dst, const AscendC::LocalTensor<T> &src0,
                         const Range *src1, CMPMODE mode, uint32_t count, Other &&other) {
  static_assert(sizeof(U) == 1, "comparison results are bits in bytes");
  call.dtype<T>("src0", Dtypes{{Dtype::F16, Dtype::F32, Dtype::I32}}, CAST_FIRST);
  call.require(dtypeOf<T>() != Dtype::I32 || mode == CMPMODE::EQ, "dtype", "src0", "CMPMODE::EQ for int32_t",
               "another mode", CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  const uint64_t bytes = uint64_t{count} * sizeof(T);
  call.require(bytes % 256 == 0, "compare-length", "count", "a multiple of 256 bytes",
               std::to_string(count) + " elements = " + std::to_string(bytes) + " bytes",
               "round the count up (and fill the tail), hardware leaves the rest uncompared");
  const Range to = call.range(dst, "dst", Access::Write, count / 8),
              from = call.range(src0, "src0", Access::Read, bytes);
  const Range reads[] = {from, src1 == nullptr ? from : *src1};
  call.issue({reads, 2}, {to}, [=] {
    std::vector<uint8_t> bits(count / 8, 0);  // dst may be src
    const uint8_t *in = call.data(src0.handle);
    for (uint32_t i = 0; i < count; i++)
      if (compares(widen(loadAs<T>(in + i * sizeof(T))), other(i), mode))
        bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | (1u << (i % 8)));
    std::memcpy(call.data(dst.handle), bits.data(), bits.size());
  });
}

/// The same of two tensors.
template <class U, class T>
void compareTensors(const Call &call, const AscendC::LocalTensor<U> &dst, const AscendC::LocalTensor<T> &src0,
                    const AscendC::LocalTensor<T> &src1, CMPMODE mode, uint32_t count) {
  call.operand(src1, "src1", Space::UB);
  const Range right = call.range(src1, "src1", Access::Read, uint64_t{count} * sizeof(T));
  compareCount(call, dst, src0, &right, mode, count, [=](uint32_t i) { return widen(loadAs<T>(call.data(src1.handle) + i * sizeof(T))); });
}

/// dst[i] = bit i of the mask ? src0[i] : other(i). In CMPMASK_SPR mode every repeat reads the same bits.
template <class T, class U, class Other>
void selectCount(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &mask,
                        const AscendC::LocalTensor<T> &src0, const Range *src1, SELMODE mode, uint32_t count,
                        Other &&other) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("dst", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(mask, "selMask", Space::UB);
  call.operand(src0, "src0", Space::UB);
  const uint32_t wrap = mode == SELMODE::VSEL_CMPMASK_SPR ? lanes : UINT32_MAX;
  const uint64_t bytes = uint64_t{count} * sizeof(T);
  const Range to = call.range(dst, "dst", Access::Write, bytes), from = call.range(src0, "src0", Access::Read, bytes),
              bits = call.range(mask, "selMask", Access::Read, (std::min(count, wrap) + 7) / 8);
  call.notShifted(to, from);
  const Range reads[] = {bits, from, src1 == nullptr ? from : *src1};
  call.issue({reads, 3}, {to}, [=] {
    const uint8_t *in = call.data(src0.handle), *select = call.data(mask.handle);
    uint8_t *out = call.data(dst.handle);
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t bit = i % wrap;
      const bool first = (select[bit / 8] >> (bit % 8) & 1) != 0;
      storeAs<T>(out + i * sizeof(T), first ? loadAs<T>(in + i * sizeof(T)) : other(i));
    }
  });
}

/// The comparison by repeats: each gives as many bits as it has lanes, one behind the other. Architecture 2201 compares all of them: the
/// mask is reserved, except that counter mode counts elements.
template <class U, class T, class M, class Other>
void compareRepeat(const Call &call, const AscendC::LocalTensor<U> &dst, const AscendC::LocalTensor<T> &src0,
                          const AscendC::LocalTensor<T> *src1, CMPMODE mode, M maskArg, bool isSetMask, uint32_t repeats,
                          const AscendC::BinaryRepeatParams &p, Other &&other) {
  static_assert(sizeof(U) == 1, "comparison results are bits in bytes");
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("src0", Dtypes{{Dtype::F16, Dtype::F32, Dtype::I32}}, CAST_FIRST);
  call.require(dtypeOf<T>() != Dtype::I32 || mode == CMPMODE::EQ, "dtype", "src0", "CMPMODE::EQ for int32_t",
               "another mode", CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  const Lanes active = call.c.registers.counter ? lanesOf(call, maskArg, isSetMask, lanes, repeats)
                                                : repeatedLanes(firstLanes(lanes), lanes, repeats);
  const Strided a{sizeof(T), p.src0BlkStride, p.src0RepStride}, b{sizeof(T), p.src1BlkStride, p.src1RepStride};
  std::vector<Range> reads;
  pushRanges(reads, call, src0, "src0", Access::Read, a, active);
  if (src1 != nullptr) {
    call.operand(*src1, "src1", Space::UB);
    pushRanges(reads, call, *src1, "src1", Access::Read, b, active);
  }
  const uint32_t last = active.count == 0 ? 0 : active.parts[active.count - 1].first + active.parts[active.count - 1].repeats;
  const Range to = call.range(dst, "dst", Access::Write, uint64_t{last} * lanes / 8);
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    std::vector<uint8_t> bits(to.bytes, 0);  // dst may be src
    active.each([&](uint32_t r, uint32_t l) {
      const uint32_t bit = r * lanes + l;
      if (compares(widen(loadAs<T>(call.data(src0.handle) + a.offset(r, l))), other(b.offset(r, l)), mode))
        bits[bit / 8] = static_cast<uint8_t>(bits[bit / 8] | 1u << bit % 8);
    });
    if (!bits.empty()) std::memcpy(call.data(dst.handle), bits.data(), bits.size());
  });
}

/// The selection by masked repeats; lanes that take no part keep their values.
template <class T, class U, class M, class Other>
void selectRepeat(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &bits,
                         const AscendC::LocalTensor<T> &src0, const AscendC::LocalTensor<T> *src1, SELMODE mode, M maskArg,
                         uint32_t repeats, const AscendC::BinaryRepeatParams &p, Other &&other) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("dst", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(bits, "selMask", Space::UB);
  call.operand(src0, "src0", Space::UB);
  const Lanes active = lanesOf(call, maskArg, true, lanes, repeats);
  const Strided d{sizeof(T), p.dstBlkStride, p.dstRepStride}, a{sizeof(T), p.src0BlkStride, p.src0RepStride},
      b{sizeof(T), p.src1BlkStride, p.src1RepStride};
  const bool same = mode == SELMODE::VSEL_CMPMASK_SPR;
  const uint32_t last = active.count == 0 ? 0 : active.parts[active.count - 1].first + active.parts[active.count - 1].repeats;
  std::vector<Range> reads{call.range(bits, "selMask", Access::Read, uint64_t{same ? 1 : last} * lanes / 8)}, writes;
  pushRanges(reads, call, src0, "src0", Access::Read, a, active);
  if (src1 != nullptr) {
    call.operand(*src1, "src1", Space::UB);
    pushRanges(reads, call, *src1, "src1", Access::Read, b, active);
  }
  pushRanges(writes, call, dst, "dst", Access::Write, d, active);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    active.each([&](uint32_t r, uint32_t l) {
      const uint32_t bit = (same ? 0 : r * lanes) + l;
      const bool first = (call.data(bits.handle)[bit / 8] >> (bit % 8) & 1) != 0;
      storeAs<T>(call.data(dst.handle) + d.offset(r, l),
                 first ? loadAs<T>(call.data(src0.handle) + a.offset(r, l)) : other(b.offset(r, l)));
    });
  });
}

/// The strides of one source, for walks that know two.
inline AscendC::BinaryRepeatParams withoutSecond(const AscendC::UnaryRepeatParams &p) {
  const auto blk = [](uint16_t stride) { return static_cast<uint8_t>(stride); };
  return {blk(p.dstBlkStride), blk(p.srcBlkStride), 1, p.dstRepStride, p.srcRepStride, 8};
}

inline void checkSelectMode(const Call &call, SELMODE mode, bool scalar) {
  const bool fits = (mode == SELMODE::VSEL_TENSOR_SCALAR_MODE) == scalar;
  if (fits) return;
  if (scalar)
    call.fail("select-mode", "selMode", "VSEL_TENSOR_SCALAR_MODE for a tensor and a scalar", "a mode for two tensors",
              "pass a tensor as src1, or change the mode");
  call.fail("select-mode", "selMode", "VSEL_CMPMASK_SPR or VSEL_TENSOR_TENSOR_MODE for two tensors",
            "VSEL_TENSOR_SCALAR_MODE", "pass a scalar as src1, or change the mode");
}

}  // namespace unmoor::ascend::detail

// A mask argument is a count of lanes, or an array of bits; the vendor has an overload for each.
#define UNMOOR_COMPARE_SCALAR(NAME)                                                                                    \
  template <typename T, typename U>                                                                                    \
  void NAME(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const T src1Scalar, CMPMODE cmpMode,         \
                   uint32_t count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {              \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::compareCount(d::Call(#NAME, PIPE_V, where), dst, src0, nullptr, cmpMode, count,                                 \
                    [=](uint32_t) { return d::widen(src1Scalar); });                                                   \
  }                                                                                                                    \
  template <typename T, typename U, bool isSetMask = true>                                                             \
  void NAME(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const T src1Scalar, CMPMODE cmpMode,         \
                   const uint64_t mask, uint8_t repeatTime, const UnaryRepeatParams &repeatParams,                     \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::compareRepeat(d::Call(#NAME, PIPE_V, where), dst, src0, static_cast<const LocalTensor<T> *>(nullptr), cmpMode,  \
                     mask, isSetMask, repeatTime, d::withoutSecond(repeatParams),                                      \
                     [=](uint64_t) { return d::widen(src1Scalar); });                                                  \
  }                                                                                                                    \
  template <typename T, typename U, bool isSetMask = true>                                                             \
  void NAME(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const T src1Scalar, CMPMODE cmpMode,         \
                   const uint64_t mask[], uint8_t repeatTime, const UnaryRepeatParams &repeatParams,                   \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    namespace d = unmoor::ascend::detail;                                                                              \
    d::compareRepeat(d::Call(#NAME, PIPE_V, where), dst, src0, static_cast<const LocalTensor<T> *>(nullptr), cmpMode,  \
                     mask, isSetMask, repeatTime, d::withoutSecond(repeatParams),                                      \
                     [=](uint64_t) { return d::widen(src1Scalar); });                                                  \
  }
#define UNMOOR_MASKED_PAIR(MASK, CONST_MASK)                                                                           \
  template <typename T, typename U, bool isSetMask = true>                                                             \
  void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1,               \
                      CMPMODE cmpMode, CONST_MASK, uint8_t repeatTime, const BinaryRepeatParams &repeatParams,         \
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                           \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call("Compare", PIPE_V, where);                                                                      \
    d::compareRepeat(call, dst, src0, &src1, cmpMode, mask, isSetMask, repeatTime, repeatParams,                       \
                     [=](uint64_t at) { return d::widen(d::loadAs<T>(call.data(src1.handle) + at)); });                \
  }                                                                                                                    \
  template <typename T, typename U, bool isSetMask = true>                                                             \
  void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0,             \
                     const LocalTensor<T> &src1, SELMODE selMode, MASK, uint8_t repeatTime,                            \
                     const BinaryRepeatParams &repeatParams,                                                           \
                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                            \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call("Select", PIPE_V, where);                                                                       \
    d::checkSelectMode(call, selMode, false);                                                                          \
    d::selectRepeat(call, dst, selMask, src0, &src1, selMode, d::constMask(mask), repeatTime, repeatParams,            \
                    [=](uint64_t at) { return d::loadAs<T>(call.data(src1.handle) + at); });                           \
  }                                                                                                                    \
  template <typename T, typename U, bool isSetMask = true>                                                             \
  void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T src1,     \
                     SELMODE selMode, MASK, uint8_t repeatTime, const BinaryRepeatParams &repeatParams,                \
                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                            \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call("Select", PIPE_V, where);                                                                       \
    d::checkSelectMode(call, selMode, true);                                                                           \
    d::selectRepeat(call, dst, selMask, src0, static_cast<const LocalTensor<T> *>(nullptr), selMode,                   \
                    d::constMask(mask), repeatTime, repeatParams, [=](uint64_t) { return src1; });                     \
  }

namespace AscendC {

UNMOOR_COMPARE_SCALAR(CompareScalar)
UNMOOR_COMPARE_SCALAR(Compares)
UNMOOR_MASKED_PAIR(uint64_t mask, const uint64_t mask)
UNMOOR_MASKED_PAIR(uint64_t mask[], const uint64_t mask[])

template <typename T, typename U>
void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE cmpMode,
                    uint32_t count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::compareTensors(d::Call("Compare", PIPE_V, where), dst, src0, src1, cmpMode, count);
}

template <typename T, typename U>
void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0,
                   const LocalTensor<T> &src1, SELMODE selMode, uint32_t count,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Select", PIPE_V, where);
  d::checkSelectMode(call, selMode, false);
  call.operand(src1, "src1", d::Space::UB);
  const d::Range right = call.range(src1, "src1", d::Access::Read, uint64_t{count} * sizeof(T));
  d::selectCount(call, dst, selMask, src0, &right, selMode, count,
                 [=](uint32_t i) { return d::loadAs<T>(call.data(src1.handle) + i * sizeof(T)); });
}

template <typename T, typename U>
void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T src1,
                   SELMODE selMode, uint32_t count,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Select", PIPE_V, where);
  d::checkSelectMode(call, selMode, true);
  d::selectCount(call, dst, selMask, src0, nullptr, selMode, count, [=](uint32_t) { return src1; });
}

}  // namespace AscendC

#undef UNMOOR_COMPARE_SCALAR
#undef UNMOOR_MASKED_PAIR
