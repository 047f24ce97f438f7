// Turning 16 blocks of 32 bytes within UB, each at an address of its own.
#pragma once
#include "call.h"

namespace AscendC {

inline constexpr int32_t NCHW_CONV_ADDR_LIST_SIZE = 16;

/// Strides in blocks of 32 bytes. Halves: which 16 bytes of a block bytes are read from and written to.
struct TransDataTo5HDParams {
  TransDataTo5HDParams() = default;
  TransDataTo5HDParams(bool dstHighHalfIn, bool srcHighHalfIn, uint8_t repeatTimesIn, uint16_t dstRepStrideIn, uint16_t srcRepStrideIn)
      : dstHighHalf(dstHighHalfIn), srcHighHalf(srcHighHalfIn), repeatTimes(repeatTimesIn), dstRepStride(dstRepStrideIn),
        srcRepStride(srcRepStrideIn) {}
  bool dstHighHalf = false, srcHighHalf = false;
  uint8_t repeatTimes = 1;
  uint16_t dstRepStride = 0, srcRepStride = 0;
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// The tensor at an address in UB: of the buffers there, the one that was made last.
UNMOOR_COMMON LocalHandle tensorAt(const Call &call, uint64_t address, const char *name) {
  for (size_t i = call.c.regions.size(); i-- > 0;) {
    const Region &r = call.c.regions[i];
    if (r.space == Space::UB && address >= r.begin && address < r.end)
      return {r.position, static_cast<uint32_t>(address), r.end - static_cast<uint32_t>(address), static_cast<int32_t>(i), r.generation};
  }
  call.fail("no-tensor", name, "addresses of tensors in UB, from GetPhyAddr", std::to_string(address), "fill in all 16 addresses");
}

using BlockList = std::array<LocalHandle, 16>;

UNMOOR_COMMON void turnBlocks(const Call &call, const BlockList &dst, const BlockList &src, Element element, const AscendC::TransDataTo5HDParams &p) {
  call.dtype(element.type, "src", Dtypes{{Dtype::I8, Dtype::U8, Dtype::I16, Dtype::U16, Dtype::F16, Dtype::I32, Dtype::U32, Dtype::F32}},
             "reinterpret bfloat16_t as half: only bytes move");
  const uint32_t size = element.size;
  call.require(size == 1 || (!p.dstHighHalf && !p.srcHighHalf), "limit", "dstHighHalf, srcHighHalf", "false but for bytes", "true", "leave them false");
  if (p.repeatTimes == 0) return;
  // With one repetition the hardware begins one stride further on.
  const uint64_t dstStart = p.repeatTimes == 1 ? p.dstRepStride * 32u : 0, srcStart = p.repeatTimes == 1 ? p.srcRepStride * 32u : 0;
  const uint32_t bytes = size == 1 ? 16 : 32, dstHalf = p.dstHighHalf ? 16 : 0, srcHalf = p.srcHighHalf ? 16 : 0;
  std::vector<Range> reads, writes;
  for (int i = 0; i < 16; i++) {
    call.operand(dst[i], "dst", Space::UB);
    call.operand(src[i], "src", Space::UB);
    Range from = call.range(src[i], "src", Access::Read, bytes, srcStart + srcHalf), to = call.range(dst[i], "dst", Access::Write, bytes, dstStart + dstHalf);
    from.inner = to.inner = p.repeatTimes;
    from.innerStride = p.srcRepStride * 32, to.innerStride = p.dstRepStride * 32;
    reads.push_back(from);
    writes.push_back(to);
  }
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    const uint32_t columns = size == 4 ? 8 : 16;
    for (uint32_t repeat = 0; repeat < p.repeatTimes; repeat++) {
      uint8_t square[16 * 32];
      for (uint32_t row = 0; row < 16; row++)
        std::memcpy(square + row * bytes, call.data(src[row]) + srcStart + srcHalf + repeat * uint64_t{p.srcRepStride} * 32, bytes);
      for (uint32_t column = 0; column < columns; column++)
        for (uint32_t row = 0; row < 16; row++) {
          // A column of 4-byte elements fills two blocks.
          const uint32_t block = size == 4 ? 2 * column + row / 8 : column, place = size == 4 ? row % 8 : row;
          std::memcpy(call.data(dst[block]) + dstStart + dstHalf + repeat * uint64_t{p.dstRepStride} * 32 + place * size, square + row * bytes + column * size, size);
        }
    }
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Element c of source block r becomes element r of destination block c; of 4-byte elements, which are 8 in a block, 16 make two blocks.
template <typename T>
void TransDataTo5HD(const LocalTensor<T> (&dstList)[NCHW_CONV_ADDR_LIST_SIZE], const LocalTensor<T> (&srcList)[NCHW_CONV_ADDR_LIST_SIZE],
                    const TransDataTo5HDParams &nchwconvParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::BlockList dst, src;
  for (int i = 0; i < 16; i++) dst[i] = dstList[i].handle, src[i] = srcList[i].handle;
  d::turnBlocks(d::Call("TransDataTo5HD", PIPE_V, where), dst, src, d::elementOf<T>(), nchwconvParams);
}
/// The same by addresses, as GetPhyAddr gives them.
template <typename T>
void TransDataTo5HD(uint64_t dstList[NCHW_CONV_ADDR_LIST_SIZE], uint64_t srcList[NCHW_CONV_ADDR_LIST_SIZE],
                    const TransDataTo5HDParams &nchwconvParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("TransDataTo5HD", PIPE_V, where);
  d::BlockList dst, src;
  for (int i = 0; i < 16; i++) dst[i] = d::tensorAt(call, dstList[i], "dst"), src[i] = d::tensorAt(call, srcList[i], "src");
  d::turnBlocks(call, dst, src, d::elementOf<T>(), nchwconvParams);
}

}  // namespace AscendC
