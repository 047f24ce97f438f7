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

inline uint64_t constMask(uint64_t count) { return count; }
inline const uint64_t *constMask(const uint64_t bits[]) { return bits; }

/// The lanes of a masked instruction: whole repeats, and in counter mode a last one with fewer lanes.
struct Lanes {
  struct Part {
    Mask mask;
    uint32_t first, repeats;
  };
  Part parts[2];
  uint32_t count = 0;
  uint32_t perRepeat = 0;

  void add(const Mask &mask, uint32_t first, uint32_t repeats) {
    if (repeats > 0) parts[count++] = {mask, first, repeats};
  }
  template <class Body> void each(Body &&body) const {
    for (uint32_t p = 0; p < count; p++)
      for (uint32_t repeat = parts[p].first; repeat < parts[p].first + parts[p].repeats; repeat++)
        for (uint32_t lane = 0; lane < perRepeat; lane++)
          if (parts[p].mask.has(lane)) body(repeat, lane);
  }
};

inline Mask firstLanes(uint64_t count) {
  const auto low = [](uint64_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; };
  return {{low(count), count > 64 ? low(count - 64) : 0}};
}

/// Counter mode: `count` elements in as many repeats as they take.
inline Lanes countedLanes(uint64_t count, uint32_t perRepeat) {
  Lanes out;
  out.perRepeat = perRepeat;
  const auto whole = static_cast<uint32_t>(count / perRepeat);
  out.add(firstLanes(perRepeat), 0, whole);
  out.add(firstLanes(count % perRepeat), whole, count % perRepeat != 0);
  return out;
}

/// The mask of one repeat as an argument gives it: the first `count` lanes, or bits.
inline Mask maskOf(const Call &call, uint64_t count, uint32_t lanes) {
  call.limit("mask", static_cast<int64_t>(count), 1, lanes, "a repeat covers 256 bytes of the wider type: 64 lanes of 4 bytes, 128 of 2");
  return firstLanes(count);
}
inline Mask maskOf(const Call &call, const uint64_t mask[], uint32_t lanes) {
  const Mask out{{mask[0], lanes > 64 ? mask[1] : 0}};
  call.require((out.bits[0] | out.bits[1]) != 0, "limit", "mask", "at least one bit set", "no bit set",
               "set the bits of the lanes to compute");
  return out;
}

inline Lanes repeatedLanes(const Mask &mask, uint32_t perRepeat, uint32_t repeats) {
  Lanes out;
  out.perRepeat = perRepeat;
  out.add(mask, 0, repeats);
  return out;
}

/// The mask of an instruction that works repeat by repeat, for which counter mode is not modelled.
template <class M> Mask repeatMask(const Call &call, M argument, uint32_t perRepeat) {
  call.require(!call.c.registers.counter, "not-modelled", "mask", "normal mode", "counter mode", "call SetMaskNorm() before it");
  return maskOf(call, argument, perRepeat);
}

/// The lanes that a call asks for; in counter mode a number of elements. Without `isSetMask` the registers say.
template <class M>
Lanes lanesOf(const Call &call, M argument, bool isSetMask, uint32_t perRepeat, uint32_t repeats) {
  const Registers &set = call.c.registers;
  if (set.counter) {
    uint64_t count = set.mask[0];
    if constexpr (std::is_integral_v<M>) count = isSetMask ? static_cast<uint64_t>(argument) : count;
    else
      call.require(!isSetMask, "mask-mode", "mask", "a number of elements, as SetMaskCount asks for", "an array of bits",
                   "call SetMaskNorm() before it, or give a number");
    call.limit("mask in counter mode", static_cast<int64_t>(count), 0, arch2201::UB_TOTAL, "the mask counts elements");
    return countedLanes(count, perRepeat);
  }
  const Mask registers{{set.mask[0], perRepeat > 64 ? set.mask[1] : 0}};
  return repeatedLanes(isSetMask ? maskOf(call, argument, perRepeat) : registers, perRepeat, repeats);
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
void pushRanges(std::vector<Range> &out, const Call &call, const AscendC::LocalTensor<T> &tensor,
                       const char *name, Access access, const Strided &walk, const Lanes &lanes) {
  const uint32_t perBlock = 32 / walk.size;
  for (uint32_t p = 0; p < lanes.count; p++) {
    const Lanes::Part &part = lanes.parts[p];
    for (uint32_t lane = 0; lane < lanes.perRepeat;) {
      if (!part.mask.has(lane)) {
        lane++;
        continue;
      }
      uint32_t end = lane + 1;
      while (end < lanes.perRepeat && end % perBlock != 0 && part.mask.has(end)) end++;
      Range run = call.range(tensor, name, access, (end - lane) * walk.size, walk.offset(part.first, lane));
      run.inner = part.repeats;
      run.innerStride = int64_t{walk.repStride} * 32;
      out.push_back(run);
      lane = end;
    }
  }
}

/// dst[i] = f(src0[i], src1[i]) over `count` elements in a row.
template <class T, class F>
void binaryCount(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0,
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

/// Two sources and a destination by masked repeats: dst[i] = f(dst[i], src0[i], src1[i]) on elements. `reads` tells whether
/// dst counts as a source.
template <class D, class A, class M, class F>
void ternaryRepeat(const Call &call, bool readsDst, const AscendC::LocalTensor<D> &dst,
                          const AscendC::LocalTensor<A> &src0, const AscendC::LocalTensor<A> &src1, M maskArg,
                          bool isSetMask, uint32_t repeats, const AscendC::BinaryRepeatParams &p, F &&f,
                          const char *first = "src0") {
  constexpr uint32_t lanes = arch2201::REPEAT / (sizeof(D) > sizeof(A) ? sizeof(D) : sizeof(A));
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, first, Space::UB);
  call.operand(src1, "src1", Space::UB);
  const Lanes active = lanesOf(call, maskArg, isSetMask, lanes, repeats);
  const Strided d{sizeof(D), p.dstBlkStride, p.dstRepStride}, a{sizeof(A), p.src0BlkStride, p.src0RepStride},
      b{sizeof(A), p.src1BlkStride, p.src1RepStride};
  std::vector<Range> reads, writes;
  pushRanges(reads, call, src0, first, Access::Read, a, active);
  pushRanges(reads, call, src1, "src1", Access::Read, b, active);
  if (readsDst) pushRanges(reads, call, dst, "dst", Access::Read, d, active);
  pushRanges(writes, call, dst, "dst", Access::Write, d, active);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *left = call.data(src0.handle), *right = call.data(src1.handle);
    active.each([&](uint32_t r, uint32_t l) {
      uint8_t *to = out + d.offset(r, l);
      storeAs<D>(to, f(loadAs<D>(to), loadAs<A>(left + a.offset(r, l)), loadAs<A>(right + b.offset(r, l))));
    });
  });
}

/// The same over `count` elements in a row.
template <class D, class A, class F>
void ternaryCount(const Call &call, bool readsDst, const AscendC::LocalTensor<D> &dst,
                         const AscendC::LocalTensor<A> &src0, const AscendC::LocalTensor<A> &src1, int64_t count, F &&f,
                         const char *first = "src0") {
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, first, Space::UB);
  call.operand(src1, "src1", Space::UB);
  call.limit("count", count, 0, arch2201::UB_TOTAL, "the count is the number of elements");
  const auto n = static_cast<uint64_t>(count);
  const Range to = call.range(dst, "dst", Access::Write, n * sizeof(D)),
              add = call.range(dst, "dst", Access::Read, readsDst ? n * sizeof(D) : 0),
              a = call.range(src0, first, Access::Read, n * sizeof(A)),
              b = call.range(src1, "src1", Access::Read, n * sizeof(A));
  call.notShifted(to, a);
  call.notShifted(to, b);
  call.issue({add, a, b}, {to}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *left = call.data(src0.handle), *right = call.data(src1.handle);
    for (uint64_t i = 0; i < n; i++)
      storeAs<D>(out + i * sizeof(D),
                 f(loadAs<D>(out + i * sizeof(D)), loadAs<A>(left + i * sizeof(A)), loadAs<A>(right + i * sizeof(A))));
  });
}

/// The masked form of binaryCount.
template <class T, class M, class F>
void binaryRepeat(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0,
                         const AscendC::LocalTensor<T> &src1, M maskArg, bool isSetMask, uint32_t repeats,
                         const AscendC::BinaryRepeatParams &p, F &&f) {
  ternaryRepeat(call, false, dst, src0, src1, maskArg, isSetMask, repeats, p,
                [f](T, T a, T b) { return narrow<T>(f(widen(a), widen(b))); });
}

/// dst[i] = f(src[i]); the types may differ (Cast). `f` maps elements, not widened values.
template <class D, class S, class F>
void unaryCount(const Call &call, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src,
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
void unaryRepeat(const Call &call, const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<S> &src,
                        M maskArg, bool isSetMask, uint32_t repeats, const AscendC::UnaryRepeatParams &p, F &&f) {
  constexpr uint32_t lanes = arch2201::REPEAT / (sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S));
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  const Lanes active = lanesOf(call, maskArg, isSetMask, lanes, repeats);
  const Strided d{sizeof(D), p.dstBlkStride, p.dstRepStride}, s{sizeof(S), p.srcBlkStride, p.srcRepStride};
  std::vector<Range> reads, writes;
  pushRanges(reads, call, src, "src", Access::Read, s, active);
  pushRanges(writes, call, dst, "dst", Access::Write, d, active);
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    uint8_t *out = call.data(dst.handle);
    const uint8_t *in = call.data(src.handle);
    active.each([&](uint32_t r, uint32_t l) { storeAs<D>(out + d.offset(r, l), f(loadAs<S>(in + s.offset(r, l)))); });
  });
}

/// Gives the lanes of a masked destination values: dst = f(repeat, lane).
template <class T, class M, class F>
void fillRepeat(const Call &call, const AscendC::LocalTensor<T> &dst, M maskArg, bool isSetMask, uint32_t repeats,
                       uint32_t blkStride, uint32_t repStride, F &&f) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.operand(dst, "dst", Space::UB);
  const Lanes active = lanesOf(call, maskArg, isSetMask, lanes, repeats);
  const Strided walk{sizeof(T), blkStride, repStride};
  std::vector<Range> writes;
  pushRanges(writes, call, dst, "dst", Access::Write, walk, active);
  call.issue({}, {writes.data(), writes.size()}, [=] {
    active.each([&](uint32_t r, uint32_t l) { storeAs<T>(call.data(dst.handle) + walk.offset(r, l), f(r, l)); });
  });
}

/// Applies a function on widened values to elements of one type.
template <class T, class F> auto onElements(F f) {
  return [f](T value) { return narrow<T>(f(widen(value))); };
}

}  // namespace unmoor::ascend::detail
