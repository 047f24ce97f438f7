// Keeping the elements that a pattern names, and transposing 16 x 16 elements.
#pragma once
#include "lanes.h"

namespace AscendC {

/// How GatherMask walks its source: block stride and repeat strides in DataBlocks; src1RepeatStride for a pattern in a tensor.
struct GatherMaskParams {
  GatherMaskParams() = default;
  GatherMaskParams(uint8_t src0BlockStrideIn, uint16_t repeatTimesIn, uint16_t src0RepeatStrideIn,
                   uint8_t src1RepeatStrideIn)
      : src0BlockStride(src0BlockStrideIn), repeatTimes(repeatTimesIn), src0RepeatStride(src0RepeatStrideIn),
        src1RepeatStride(src1RepeatStrideIn) {}
  uint8_t src0BlockStride = 1;
  uint16_t repeatTimes = 0;
  uint16_t src0RepeatStride = 8;
  uint8_t src1RepeatStride = 8;
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// Whether a fixed pattern keeps lane `l`: 1 and 2 the even and odd ones, 3 to 6 one of each four, 7 all.
inline bool keeps(uint8_t pattern, uint32_t lane) {
  if (pattern <= 2) return lane % 2 == pattern - 1u;
  return pattern == 7 || lane % 4 == pattern - 3u;
}

/// The kept elements, one behind the other. `keep(repeat, lane)` may only be asked once the pattern is in place.
template <class T, class Keep>
void gatherMask(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0,
                       bool reduceMode, uint32_t mask, const AscendC::GatherMaskParams &p, uint64_t &rsvdCnt,
                       const Range *pattern, Keep &&keep) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("src0", Dtypes{{Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::U32, Dtype::F32}},
                "gather 16-bit or 32-bit elements");
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  if (!reduceMode) mask = lanes;
  call.limit("mask", mask, 1, arch2201::UB_TOTAL / sizeof(T), "the number of elements of a repeat");
  call.limit("repeatTimes", p.repeatTimes, 0, 255, "split the call");
  if (pattern != nullptr) {
    call.issue({*pattern}, {}, [] {});
    call.c.settle(PIPE_V);
  }
  const Strided walk{sizeof(T), p.src0BlockStride, p.src0RepeatStride};
  std::vector<uint64_t> kept;
  std::vector<Range> reads;
  for (uint32_t repeat = 0; repeat < p.repeatTimes; repeat++) {
    for (uint32_t lane = 0; lane < mask; lane += 32 / sizeof(T)) {
      const uint32_t run = std::min<uint32_t>(32 / sizeof(T), mask - lane) * static_cast<uint32_t>(sizeof(T));
      reads.push_back(call.range(src0, "src0", Access::Read, run, walk.offset(repeat, lane)));
    }
    for (uint32_t lane = 0; lane < mask; lane++)
      if (keep(repeat, lane)) kept.push_back(walk.offset(repeat, lane));
  }
  rsvdCnt = kept.size();
  const Range to = call.range(dst, "dst", Access::Write, kept.size() * sizeof(T));
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    std::vector<uint8_t> values(kept.size() * sizeof(T));  // dst may be src0
    for (size_t i = 0; i < kept.size(); i++)
      std::memcpy(&values[i * sizeof(T)], call.data(src0.handle) + kept[i], sizeof(T));
    if (!values.empty()) std::memcpy(call.data(dst.handle), values.data(), values.size());
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Keeps the lanes of a fixed pattern; rsvdCnt is how many there are. In reduceMode a repeat has `mask` elements.
template <typename T>
void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const uint8_t src1Pattern,
                       const bool reduceMode, const uint32_t mask, const GatherMaskParams &gatherMaskParams,
                       uint64_t &rsvdCnt, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("GatherMask", PIPE_V, where);
  call.limit("src1Pattern", src1Pattern, 1, 7, "1 even, 2 odd, 3 to 6 one of four, 7 all; other patterns are tensors");
  d::gatherMask(call, dst, src0, reduceMode, mask, gatherMaskParams, rsvdCnt, nullptr,
                [=](uint32_t, uint32_t lane) { return d::keeps(src1Pattern, lane); });
}

/// Keeps the lanes whose bit is set in a tensor (lowest bit first). The scalar unit waits for the count.
template <typename T, typename U>
void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<U> &src1Pattern,
                       const bool reduceMode, const uint32_t mask, const GatherMaskParams &gatherMaskParams,
                       uint64_t &rsvdCnt, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(sizeof(U) == sizeof(T) && std::is_unsigned_v<U>, "the pattern is uint16_t or uint32_t, as wide as src0");
  constexpr uint32_t lanes = unmoor::ascend::arch2201::REPEAT / sizeof(T);
  const d::Call call("GatherMask", PIPE_V, where);
  call.operand(src1Pattern, "src1Pattern", d::Space::UB);
  d::Range bits = call.range(src1Pattern, "src1Pattern", d::Access::Read, ((reduceMode ? mask : lanes) + 7) / 8);
  bits.inner = gatherMaskParams.repeatTimes;
  bits.innerStride = int64_t{gatherMaskParams.src1RepeatStride} * 32;
  d::gatherMask(call, dst, src0, reduceMode, mask, gatherMaskParams, rsvdCnt, &bits, [=](uint32_t repeat, uint32_t lane) {
    const uint8_t *from = call.data(src1Pattern.handle) + uint64_t{repeat} * gatherMaskParams.src1RepeatStride * 32;
    return (from[lane / 8] >> (lane % 8) & 1) != 0;
  });
}

/// Turns 16 x 16 elements of two bytes.
template <typename T>
void Transpose(const LocalTensor<T> &dst, const LocalTensor<T> &src,
                      unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Transpose", PIPE_V, where);
  call.dtype<T>("src", d::Dtypes{{d::Dtype::I16, d::Dtype::U16, d::Dtype::F16}}, "ReinterpretCast bfloat16_t to int16_t");
  call.operand(dst, "dst", d::Space::UB);
  call.operand(src, "src", d::Space::UB);
  const d::Range from = call.range(src, "src", d::Access::Read, 512), to = call.range(dst, "dst", d::Access::Write, 512);
  call.notShifted(to, from);
  call.issue({from}, {to}, [=] {
    uint8_t turned[512];  // dst may be src
    d::transposeFractal(turned, call.data(src.handle));
    std::memcpy(call.data(dst.handle), turned, 512);
  });
}

}  // namespace AscendC
