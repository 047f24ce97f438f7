// Squares of a matrix that turn on their way from L1 to L0A and L0B.
#pragma once
#include <algorithm>

#include "cube.h"

namespace AscendC {

/// Squares: one fractal of 16 x 16 for 2-byte types; two fractals side by side as 16 x 16 for 4-byte types, one above the other as
/// 32 x 32 for bytes. `startIndex` and `srcStride` count squares; gaps of the destination count fractals.
struct LoadData2dTransposeParams {
  LoadData2dTransposeParams() = default;
  LoadData2dTransposeParams(uint16_t startIndexIn, uint8_t repeatTimesIn, uint16_t srcStrideIn, uint16_t dstGapIn, uint16_t dstfracGapIn,
                            uint8_t addrModeIn = 0)
      : startIndex(startIndexIn), repeatTimes(repeatTimesIn), srcStride(srcStrideIn), dstGap(dstGapIn), dstFracGap(dstfracGapIn),
        addrMode(addrModeIn) {}
  uint16_t startIndex = 0;
  uint8_t repeatTimes = 0;
  uint16_t srcStride = 0, dstGap = 0, dstFracGap = 0;
  uint8_t addrMode = 0;
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

UNMOOR_COMMON void loadTransposed(const LocalHandle &dst, const LocalHandle &src, Element element, const AscendC::LoadData2dTransposeParams &p,
                                  SourceLoc where) {
  const Call call("LoadDataWithTranspose", PIPE_MTE1, where);
  liveRegion(call.c, call.at, dst, "dst");
  const Space space = dst.space();
  call.require(space == Space::L0A || space == Space::L0B, "position", "dst", "a tensor in A2 or B2", nameOf(dst.position),
               "load into a tensor of TQue<TPosition::A2> or TQue<TPosition::B2>");
  call.dtype(element.type, "src", Dtypes{{Dtype::I8, Dtype::U8, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::U32, Dtype::F32}}, "use another type");
  call.operand(dst, "dst", space);
  call.operand(src, "src", Space::L1);
  call.require(p.addrMode == 0, "limit", "addrMode", "0 (growing addresses)", std::to_string(p.addrMode), "use 0");
  const uint32_t size = element.size, fractals = size == 2 ? 1 : 2, side = size == 1 ? 32 : 16, c0 = 32 / size, square = fractals * FRACTAL;
  const uint64_t first = uint64_t{p.startIndex} * square, step = uint64_t{p.srcStride} * square;
  const uint64_t outStep = (uint64_t{p.dstGap} + 1) * FRACTAL, fractalStep = (uint64_t{p.dstFracGap} + 1) * FRACTAL;
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < p.repeatTimes; i++)
    for (uint32_t j = 0; j < fractals; j++) places.push_back(i * outStep + j * fractalStep);
  std::sort(places.begin(), places.end());
  call.require(std::adjacent_find(places.begin(), places.end()) == places.end(), "overlap", "dst", "fractals that lie apart",
               "two fractals at one place", "set dstGap to 1, or dstFracGap to repeatTimes - 1");
  Range from = call.range(src, "src", Access::Look, square, first);
  from.inner = p.repeatTimes;
  from.innerStride = static_cast<int64_t>(step);
  Range to = call.range(dst, "dst", Access::Touch, FRACTAL);
  to.inner = p.repeatTimes;
  to.innerStride = static_cast<int64_t>(outStep);
  to.outer = fractals;
  to.outerStride = static_cast<int64_t>(fractalStep);
  // Where an element of a square stands: fractals side by side hold columns, one above the other rows.
  const auto at = [=](uint32_t row, uint32_t column, uint64_t next) {
    return size == 1 ? row / 16 * next + (row % 16 * 32 + column) : column / c0 * next + (row * c0 + column % c0) * size;
  };
  const auto move = [=](uint8_t *into, const uint8_t *out) {
    for (uint32_t i = 0; i < p.repeatTimes; i++)
      for (uint32_t row = 0; row < side; row++)
        for (uint32_t column = 0; column < side; column++)
          std::memcpy(into + i * outStep + at(row, column, fractalStep), out + first + i * step + at(column, row, FRACTAL), size);
  };
  call.issue({from}, {to}, [=] { move(call.data(dst), call.data(src)); });
  move(call.state(dst), call.state(src));
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Turns squares of elements: what L1 holds as [k][m] comes to L0 as [m][k].
template <typename T>
void LoadDataWithTranspose(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2dTransposeParams &loadDataParams,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::loadTransposed(dst.handle, src.handle, unmoor::ascend::detail::elementOf<T>(), loadDataParams, where);
}

}  // namespace AscendC
