// The vector unit's two ways to walk operands: `count` elements in a row, or masked repeats of 256 bytes.
#pragma once
#include "call.h"
#include "params.h"

namespace unmoor::ascend::detail {

inline constexpr Dtypes FLOATS{{Dtype::F16, Dtype::F32}};
inline constexpr const char *CAST_FIRST = "Cast to float (or half), compute, and Cast back";

/// Which lanes of a repeat take part.
struct Mask {
  uint64_t bits[2];
  bool has(uint32_t lane) const { return (bits[lane >> 6] >> (lane & 63) & 1) != 0; }
};

/// A contiguous mask: the first `count` lanes of a repeat.
inline Mask maskOf(const Call &call, uint64_t count, uint32_t lanes) {
  call.limit("mask", count, 1, lanes, "a repeat covers 256 bytes of the wider type: 64 lanes of 4 bytes, 128 of 2");
  const auto low = [](uint64_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; };
  return {{low(count), count > 64 ? low(count - 64) : 0}};
}
inline Mask maskOf(const Call &call, const uint64_t mask[], uint32_t lanes) {
  const Mask out{{mask[0], lanes > 64 ? mask[1] : 0}};
  call.require((out.bits[0] | out.bits[1]) != 0, "limit", "mask", "at least one bit set", "no bit set",
               "set the bits of the lanes to compute");
  return out;
}

/// One operand of a masked instruction: where lane `l` of repeat `r` lies.
struct Strided {
  uint32_t size;       // bytes of an element
  uint32_t blkStride;  // DataBlocks between blocks of a repeat
  uint32_t repStride;  // DataBlocks between repeats
  uint64_t offset(uint32_t repeat, uint32_t lane) const {
    const uint32_t perBlock = 32 / size;
    return (uint64_t{repeat} * repStride + uint64_t{lane / perBlock} * blkStride) * 32 + lane % perBlock * size;
  }
};

/// The byte ranges of a masked operand; there are few, since every repeat has the same mask.
template <class T>
inline void pushRanges(std::vector<Range> &out, const Call &call, const AscendC::LocalTensor<T> &tensor,
                       const char *name, Access access, const Strided &walk, const Mask &mask, uint32_t lanes,
                       uint32_t repeats) {
  const uint32_t perBlock = 32 / walk.size;
  for (uint32_t lane = 0; lane < lanes;) {
    if (!mask.has(lane)) {
      lane++;
      continue;
    }
    uint32_t end = lane + 1;
    while (end < lanes && end % perBlock != 0 && mask.has(end)) end++;
    Range run = call.range(tensor, name, access, (end - lane) * walk.size, walk.offset(0, lane));
    run.inner = repeats;
    run.innerStride = int64_t{walk.repStride} * 32;
    out.push_back(run);
    lane = end;
  }
}

template <class Body> inline void eachLane(const Mask &mask, uint32_t lanes, uint32_t repeats, Body &&body) {
  for (uint32_t repeat = 0; repeat < repeats; repeat++)
    for (uint32_t lane = 0; lane < lanes; lane++)
      if (mask.has(lane)) body(repeat, lane);
}

/// dst[i] = f(src0[i], src1[i]) over `count` elements in a row.
template <class T, class F>
inline void binaryCount(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0,
                        const AscendC::LocalTensor<T> &src1, int64_t count, F &&f) {
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  call.operand(src1, "src1", Space::UB);
  call.limit("count", count, 0, arch2201::UB_TOTAL, "the count is the number of elements");
  const uint64_t bytes = static_cast<uint64_t>(count) * sizeof(T);
  const Range to = call.range(dst, "dst", Access::Write, bytes), a = call.range(src0, "src0", Access::Read, bytes),
              b = call.range(src1, "src1", Access::Read, bytes);
  call.notShifted(to, a);
  call.notShifted(to, b);
  call.issue({a, b}, {to}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *left = call.data(src0.handle), *right = call.data(src1.handle);
    for (uint64_t at = 0; at < bytes; at += sizeof(T))
      storeAs<T>(out + at, narrow<T>(f(widen(loadAs<T>(left + at)), widen(loadAs<T>(right + at)))));
  });
}

/// The masked form of the same.
template <class T, class M, class F>
inline void binaryRepeat(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0,
                         const AscendC::LocalTensor<T> &src1, M maskArg, uint32_t repeats,
                         const AscendC::BinaryRepeatParams &p, F &&f) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  call.operand(src1, "src1", Space::UB);
  const Mask mask = maskOf(call, maskArg, lanes);
  const Strided d{sizeof(T), p.dstBlkStride, p.dstRepStride}, a{sizeof(T), p.src0BlkStride, p.src0RepStride},
      b{sizeof(T), p.src1BlkStride, p.src1RepStride};
  std::vector<Range> reads, writes;
  pushRanges(reads, call, src0, "src0", Access::Read, a, mask, lanes, repeats);
  pushRanges(reads, call, src1, "src1", Access::Read, b, mask, lanes, repeats);
  pushRanges(writes, call, dst, "dst", Access::Write, d, mask, lanes, repeats);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *left = call.data(src0.handle), *right = call.data(src1.handle);
    eachLane(mask, lanes, repeats, [&](uint32_t r, uint32_t l) {
      storeAs<T>(out + d.offset(r, l),
                 narrow<T>(f(widen(loadAs<T>(left + a.offset(r, l))), widen(loadAs<T>(right + b.offset(r, l))))));
    });
  });
}

/// dst[i] = f(src[i]); the types may differ (Cast). `f` maps elements, not widened values.
template <class D, class S, class F>
inline void unaryCount(const Call &call, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src,
                       int64_t count, F &&f) {
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  call.limit("count", count, 0, arch2201::UB_TOTAL, "the count is the number of elements");
  const auto n = static_cast<uint64_t>(count);
  const Range to = call.range(dst, "dst", Access::Write, n * sizeof(D)),
              from = call.range(src, "src", Access::Read, n * sizeof(S));
  call.notShifted(to, from);
  if (sizeof(D) > sizeof(S) && to.begin == from.begin && n > 0)
    call.fail("overlap", "dst and src", "operands apart, when the result is wider than the source",
              "the same start", "write to another buffer");
  call.issue({from}, {to}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *in = call.data(src.handle);
    for (uint64_t i = 0; i < n; i++) storeAs<D>(out + i * sizeof(D), f(loadAs<S>(in + i * sizeof(S))));
  });
}

/// The masked form of the same. With two sizes, a repeat has as many lanes as the wider type allows.
template <class D, class S, class M, class F>
inline void unaryRepeat(const Call &call, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src,
                        M maskArg, uint32_t repeats, const AscendC::UnaryRepeatParams &p, F &&f) {
  constexpr uint32_t lanes = arch2201::REPEAT / (sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S));
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  const Mask mask = maskOf(call, maskArg, lanes);
  const Strided d{sizeof(D), p.dstBlkStride, p.dstRepStride}, s{sizeof(S), p.srcBlkStride, p.srcRepStride};
  std::vector<Range> reads, writes;
  pushRanges(reads, call, src, "src", Access::Read, s, mask, lanes, repeats);
  pushRanges(writes, call, dst, "dst", Access::Write, d, mask, lanes, repeats);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *in = call.data(src.handle);
    eachLane(mask, lanes, repeats, [&](uint32_t r, uint32_t l) {
      storeAs<D>(out + d.offset(r, l), f(loadAs<S>(in + s.offset(r, l))));
    });
  });
}

/// Applies a function on widened values to elements of one type.
template <class T, class F> inline auto onElements(F f) {
  return [f](T value) { return narrow<T>(f(widen(value))); };
}

}  // namespace unmoor::ascend::detail
