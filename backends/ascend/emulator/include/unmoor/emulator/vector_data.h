// Filling, indexing, gathering and broadcasting within UB.
#pragma once
#include <algorithm>

#include "lanes.h"

namespace unmoor::ascend::detail {

inline constexpr Dtypes WIDE{
    {Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::U32, Dtype::F32}};
inline constexpr Dtypes INDEXABLE{{Dtype::I16, Dtype::F16, Dtype::I32, Dtype::F32}};

/// dst[i] = f(i) over `count` elements.
template <class T, class F>
void fillCount(const Call &call, const AscendC::LocalTensor<T> &dst, int64_t count, F &&f) {
  call.operand(dst, "dst", Space::UB);
  call.limit("count", count, 0, arch2201::UB_TOTAL, "the count is the number of elements");
  const auto n = static_cast<uint64_t>(count);
  const Range to = call.range(dst, "dst", Access::Write, n * sizeof(T));
  call.issue({}, {to}, [=] {
    uint8_t *out = call.data(dst.handle);
    for (uint64_t i = 0; i < n; i++) storeAs<T>(out + i * sizeof(T), f(i));
  });
}

inline AscendC::UnaryRepeatParams unaryOf(const AscendC::CopyRepeatParams &p) {
  const auto step = [](uint16_t stride) { return static_cast<uint8_t>(stride); };
  return {p.dstStride, p.srcStride, step(p.dstRepeatSize), step(p.srcRepeatSize)};
}

/// The value of a lane when numbers count on from the first.
template <class T> auto indexFrom(T first) {
  return [=](uint32_t repeat, uint32_t lane) {
    return narrow<T>(widen(first) + static_cast<Compute<T>>(repeat * (arch2201::REPEAT / sizeof(T)) + lane));
  };
}

/// Where gathered elements come from. Offsets are data: they are needed (and checked) before the elements can be.
template <class T>
std::vector<Range> gatherSources(const Call &call, const AscendC::LocalTensor<T> &src,
                                        const AscendC::LocalTensor<uint32_t> &offsets, uint64_t base,
                                        const std::vector<uint64_t> &places, uint32_t bytes) {
  std::vector<Range> index, reads;
  for (const uint64_t place : places) index.push_back(call.range(offsets, "srcOffset", Access::Read, 4, place * 4));
  call.issue({index.data(), index.size()}, {}, [] {});
  call.c.settle(PIPE_V);
  for (const uint64_t place : places) {
    const uint64_t offset = base + loadAs<uint32_t>(call.data(offsets.handle) + place * 4);
    if (offset % bytes != 0)
      call.fail("alignment", "srcOffset", "byte offsets that are multiples of " + std::to_string(bytes),
                "offset " + std::to_string(offset) + " for element " + std::to_string(place),
                "offsets count bytes: multiply indices by the size of an element");
    reads.push_back(call.range(src, "src", Access::Read, bytes, offset));
  }
  return reads;
}

/// Gathers by masked repeats; the offsets lie in a row, as many per repeat as it has lanes.
template <class T, class M>
void gatherRepeat(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
                         const AscendC::LocalTensor<uint32_t> &offsets, uint32_t base, M maskArg, uint32_t repeats,
                         uint32_t dstRepStride) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("dst", WIDE, "gather 16-bit or 32-bit elements");
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  call.operand(offsets, "srcOffset", Space::UB);
  const Lanes active = lanesOf(call, maskArg, true, lanes, repeats);
  const Strided walk{sizeof(T), 1, dstRepStride};
  std::vector<uint64_t> places;
  active.each([&](uint32_t r, uint32_t l) { places.push_back(uint64_t{r} * lanes + l); });
  const std::vector<Range> reads = gatherSources(call, src, offsets, base, places, sizeof(T));
  std::vector<Range> writes;
  pushRanges(writes, call, dst, "dst", Access::Write, walk, active);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    size_t next = 0;
    active.each([&](uint32_t r, uint32_t l) {
      std::memcpy(call.data(dst.handle) + walk.offset(r, l), call.c.bytesAt(Space::UB, reads[next++].begin), sizeof(T));
    });
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T>
void Duplicate(const LocalTensor<T> &dst, const T &scalarValue, const int32_t &count,
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Duplicate", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "ReinterpretCast 8-bit tensors to int16_t");
  d::fillCount(call, dst, count, [=](uint64_t) { return scalarValue; });
}

template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T> &dst, const T &scalarValue, uint64_t mask, const uint8_t repeatTime,
                      const uint16_t dstBlockStride, const uint8_t dstRepeatStride,
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Duplicate", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "ReinterpretCast 8-bit tensors to int16_t");
  d::fillRepeat(call, dst, mask, isSetMask, repeatTime, dstBlockStride, dstRepeatStride,
                [=](uint32_t, uint32_t) { return scalarValue; });
}
template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T> &dst, const T &scalarValue, uint64_t mask[], const uint8_t repeatTime,
                      const uint16_t dstBlockStride, const uint8_t dstRepeatStride,
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Duplicate", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "ReinterpretCast 8-bit tensors to int16_t");
  d::fillRepeat(call, dst, static_cast<const uint64_t *>(mask), isSetMask, repeatTime, dstBlockStride, dstRepeatStride,
                [=](uint32_t, uint32_t) { return scalarValue; });
}

/// firstValue, firstValue + 1, ...
template <typename T>
void CreateVecIndex(LocalTensor<T> dst, const T &firstValue, uint32_t count,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("CreateVecIndex", PIPE_V, where);
  call.dtype<T>("dst", d::INDEXABLE, "use int32_t and ReinterpretCast");
  d::fillCount(call, dst, count, [=](uint64_t i) {
    return d::narrow<T>(d::widen(firstValue) + static_cast<d::Compute<T>>(i));
  });
}

/// By masked repeats: the numbers go on from repeat to repeat, over all lanes.
template <typename T>
void CreateVecIndex(LocalTensor<T> &dst, const T &firstValue, uint64_t mask, uint8_t repeatTime,
                           uint16_t dstBlkStride, uint8_t dstRepStride,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("CreateVecIndex", PIPE_V, where);
  call.dtype<T>("dst", d::INDEXABLE, "use int32_t and ReinterpretCast");
  d::fillRepeat(call, dst, mask, true, repeatTime, dstBlkStride, dstRepStride, d::indexFrom(firstValue));
}
template <typename T>
void CreateVecIndex(LocalTensor<T> &dst, const T &firstValue, uint64_t mask[], uint8_t repeatTime,
                           uint16_t dstBlkStride, uint8_t dstRepStride,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("CreateVecIndex", PIPE_V, where);
  call.dtype<T>("dst", d::INDEXABLE, "use int32_t and ReinterpretCast");
  d::fillRepeat(call, dst, static_cast<const uint64_t *>(mask), true, repeatTime, dstBlkStride, dstRepStride,
                d::indexFrom(firstValue));
}

/// dst[i] = the element of src that lies srcBaseAddr + srcOffset[i] bytes from its start.
template <typename T>
void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &srcOffset,
                   const uint32_t srcBaseAddr, const uint32_t count,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Gather", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "gather 16-bit or 32-bit elements");
  call.operand(dst, "dst", d::Space::UB);
  call.operand(src, "src", d::Space::UB);
  call.operand(srcOffset, "srcOffset", d::Space::UB);
  std::vector<uint64_t> places(count);
  for (uint32_t i = 0; i < count; i++) places[i] = i;
  const std::vector<d::Range> reads = d::gatherSources(call, src, srcOffset, srcBaseAddr, places, sizeof(T));
  const d::Range to = call.range(dst, "dst", d::Access::Write, uint64_t{count} * sizeof(T));
  if (!reads.empty() && dst.handle.address == src.handle.address)
    call.fail("overlap", "dst and src", "operands apart", "the same start", "gather into another buffer");
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    for (uint32_t i = 0; i < count; i++)
      std::memcpy(call.data(dst.handle) + uint64_t{i} * sizeof(T), call.c.bytesAt(d::Space::UB, reads[i].begin),
                  sizeof(T));
  });
}

template <typename T>
void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &srcOffset,
                   const uint32_t srcBaseOffset, const uint64_t mask, const uint8_t repeatTime,
                   const uint16_t dstRepStride, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::gatherRepeat(d::Call("Gather", PIPE_V, where), dst, src, srcOffset, srcBaseOffset, mask, repeatTime, dstRepStride);
}
template <typename T>
void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &srcOffset,
                   const uint32_t srcBaseOffset, const uint64_t mask[], const uint8_t repeatTime,
                   const uint16_t dstRepStride, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::gatherRepeat(d::Call("Gather", PIPE_V, where), dst, src, srcOffset, srcBaseOffset, mask, repeatTime, dstRepStride);
}

/// Gathers DataBlocks of 32 bytes: eight per repeat, each from its offset in bytes.
template <typename T>
void Gatherb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
                    const uint8_t repeatTime, const GatherRepeatParams &repeatParams,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Gatherb", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "gather 16-bit or 32-bit elements");
  call.operand(dst, "dst", d::Space::UB);
  call.operand(src, "src", d::Space::UB);
  call.operand(offset, "offset", d::Space::UB);
  std::vector<uint64_t> places(uint64_t{repeatTime} * 8);
  for (size_t i = 0; i < places.size(); i++) places[i] = i;
  const std::vector<d::Range> reads = d::gatherSources(call, src, offset, 0, places, 32);
  d::Range to = call.range(dst, "dst", d::Access::Write, 32);
  to.inner = 8;
  to.innerStride = int64_t{repeatParams.dstBlkStride} * 32;
  to.outer = repeatTime;
  to.outerStride = int64_t{repeatParams.dstRepStride} * 32;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    for (size_t i = 0; i < reads.size(); i++)
      std::memcpy(call.data(dst.handle) + static_cast<int64_t>(i % 8) * to.innerStride +
                      static_cast<int64_t>(i / 8) * to.outerStride,
                  call.c.bytesAt(d::Space::UB, reads[i].begin), 32);
  });
}

/// Moves elements by masked repeats.
template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask, const uint8_t repeatTime,
                 const CopyRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Copy", PIPE_V, where);
  call.dtype<T>("src", d::WIDE, "ReinterpretCast to a type of 16 or 32 bits");
  d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, d::unaryOf(repeatParams), [](T value) { return value; });
}
template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const uint8_t repeatTime,
                 const CopyRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Copy", PIPE_V, where);
  call.dtype<T>("src", d::WIDE, "ReinterpretCast to a type of 16 or 32 bits");
  d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, d::unaryOf(repeatParams), [](T value) { return value; });
}

/// Spreads each of eight elements per repeat over a DataBlock of its own.
template <typename T>
void Brcb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint8_t repeatTime,
                 const BrcbRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Brcb", PIPE_V, where);
  call.dtype<T>("dst", d::WIDE, "broadcast 16-bit or 32-bit elements");
  call.operand(dst, "dst", d::Space::UB);
  call.operand(src, "src", d::Space::UB);
  const uint32_t blk = repeatParams.dstBlkStride == 0 ? 1 : repeatParams.dstBlkStride;
  const d::Range from = call.range(src, "src", d::Access::Read, uint64_t{repeatTime} * 8 * sizeof(T));
  d::Range to = call.range(dst, "dst", d::Access::Write, 32);
  to.inner = 8;
  to.innerStride = int64_t{blk} * 32;
  to.outer = repeatTime;
  to.outerStride = int64_t{repeatParams.dstRepStride} * 32;
  call.issue({from}, {to}, [=] {
    for (uint32_t i = 0; i < repeatTime * 8u; i++) {
      const T value = d::loadAs<T>(call.data(src.handle) + i * sizeof(T));
      uint8_t *out = call.data(dst.handle) + (uint64_t{i / 8} * repeatParams.dstRepStride + uint64_t{i % 8} * blk) * 32;
      for (uint32_t at = 0; at < 32; at += sizeof(T)) d::storeAs<T>(out + at, value);
    }
  });
}

}  // namespace AscendC
