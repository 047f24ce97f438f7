// Rows of a matrix by the high-level interface: spread to a larger shape, and sums of bytes scaled to floats.
#pragma once
#include "lanes.h"

namespace AscendC {

/// Whether {1, n, calCount} stands for rows of calCount columns.
enum class DeQuantMode { DEQUANT_WITH_SINGLE_ROW, DEQUANT_WITH_MULTI_ROW };

struct DequantParams {
  uint32_t m, n, calCount;
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// One column, or one row, again and again.
template <class T>
void broadcast(const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src, uint32_t dim, uint32_t axis, const uint32_t *to,
               const uint32_t *from, const AscendC::LocalTensor<uint8_t> *work, SourceLoc where) {
  const Call call("Broadcast", PIPE_V, where);
  call.dtype<T>("dstLocal", Dtypes{{Dtype::I8, Dtype::U8, Dtype::F16, Dtype::F32}}, "reinterpret 32 bits as float, 16 as half");
  call.operand(dst, "dstLocal", Space::UB);
  call.operand(src, "srcLocal", Space::UB);
  if (work != nullptr) call.operand(*work, "sharedTmpBuffer", Space::UB);
  const uint32_t other = 1 - axis;
  call.require(from[axis] == 1 && (dim == 1 || from[other] == to[other]), "limit", "srcShape", "1 along the axis, and dstShape along the other",
               "another shape", "correct the shapes, or the axis");
  const uint32_t rows = dim == 1 ? 1 : to[0], columns = to[dim - 1], given = dim == 1 ? 1 : from[other];
  call.limit("elements of dstLocal", static_cast<int64_t>(rows) * columns, 1, arch2201::UB_TOTAL, "spread a part at a time");
  if (dim == 2 && axis == 0) call.limit("srcShape[1] in bytes, modulo 32", static_cast<int64_t>(columns * sizeof(T) % 32), 0, 0, "pad rows to 32 bytes");
  const Range reads = call.range(src, "srcLocal", Access::Read, given * sizeof(T));
  const Range writes = call.range(dst, "dstLocal", Access::Write, uint64_t{rows} * columns * sizeof(T));
  call.apart(writes, reads);
  call.issue({reads}, {writes}, [=] {
    for (uint32_t i = 0; i < rows; i++)
      for (uint32_t j = 0; j < columns; j++)
        std::memcpy(call.data(dst.handle) + (uint64_t{i} * columns + j) * sizeof(T),
                    call.data(src.handle) + (dim == 1 ? 0 : axis == 1 ? i : j) * sizeof(T), sizeof(T));
  });
}

/// A factor as a number; of 64 bits the lower half is a float.
template <class S> float scaleAt(const uint8_t *from) {
  if constexpr (sizeof(S) == 8) return loadAs<float>(from);
  else return static_cast<float>(widen(loadAs<S>(from)));
}

/// The first columns of each row times the factors of the columns, or times one factor (`one`).
template <class D, class S>
void dequantise(const AscendC::LocalTensor<D> &dst, const AscendC::LocalTensor<int32_t> &src, const AscendC::LocalTensor<S> *factors, float one,
                const AscendC::LocalTensor<uint8_t> *work, AscendC::DeQuantMode mode, AscendC::DequantParams p, SourceLoc where) {
  const Call call("AscendDequant", PIPE_V, where);
  if constexpr (sizeof(S) == 8) call.dtype<D>("dstTensor with deqScale of uint64_t", Dtypes{{Dtype::F16}}, "take float factors for float and bfloat16_t");
  else call.dtype<D>("dstTensor", Dtypes{{Dtype::F32, Dtype::Bf16}}, "take uint64_t factors for half");
  call.operand(dst, "dstTensor", Space::UB);
  call.operand(src, "srcTensor", Space::UB);
  if (work != nullptr) call.operand(*work, "sharedTmpBuffer", Space::UB);
  call.limit("m", p.m, 1, arch2201::UB_TOTAL, "the rows of srcTensor");
  call.limit("n in bytes, modulo 32", static_cast<int64_t>(p.n * 4 % 32), 0, 0, "pad rows to 32 bytes");
  call.limit("calCount", p.calCount, 1, p.n, "as many columns as count");
  const bool single = mode == AscendC::DeQuantMode::DEQUANT_WITH_SINGLE_ROW && p.m == 1 && p.calCount % (32 / sizeof(D)) == 0 && p.n % p.calCount == 0;
  const uint32_t rows = single ? p.n / p.calCount : p.m, step = single ? p.calCount : p.n;
  const uint64_t stepTo = (step * sizeof(D) + 31) / 32 * 32;
  Range from = call.range(src, "srcTensor", Access::Read, p.calCount * 4);
  from.inner = rows, from.innerStride = step * 4;
  const Range whole = call.range(dst, "dstTensor", Access::Touch, rows * stepTo);
  Range writes = call.range(dst, "dstTensor", Access::Write, p.calCount * sizeof(D));
  writes.inner = rows, writes.innerStride = static_cast<int64_t>(stepTo);
  call.apart(whole, call.range(src, "srcTensor", Access::Read, uint64_t{rows} * step * 4));
  std::vector<Range> reads{from};
  if (factors != nullptr) {
    call.operand(*factors, "deqScale", Space::UB);
    reads.push_back(call.range(*factors, "deqScale", Access::Read, p.calCount * sizeof(S)));
  }
  const LocalHandle scales = factors == nullptr ? LocalHandle{} : factors->handle;
  const bool each = factors != nullptr;
  call.issue({reads.data(), reads.size()}, {whole, writes}, [=] {
    for (uint32_t i = 0; i < rows; i++)
      for (uint32_t j = 0; j < p.calCount; j++) {
        const float factor = each ? scaleAt<S>(call.data(scales) + j * sizeof(S)) : one;
        const auto sum = static_cast<float>(loadAs<int32_t>(call.data(src.handle) + (uint64_t{i} * step + j) * 4));
        storeAs<D>(call.data(dst.handle) + i * stepTo + j * sizeof(D), narrow<D>(sum * factor));
      }
  });
  // What is beyond the columns that count is undefined.
  for (uint32_t i = 0; i < rows; i++)
    std::memset(call.state(dst.handle) + i * stepTo + p.calCount * sizeof(D), Fresh, stepTo - p.calCount * sizeof(D));
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// dstShape has srcShape's sizes but along the axis, where srcShape has 1.
template <typename T, int32_t dim, int32_t axis, bool isReuseSource = false>
void Broadcast(const LocalTensor<T> &dstLocal, const LocalTensor<T> &srcLocal, const uint32_t dstShape[dim], const uint32_t srcShape[dim],
               LocalTensor<uint8_t> &sharedTmpBuffer, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert((dim == 1 && axis == 0) || (dim == 2 && (axis == 0 || axis == 1)), "one or two dimensions, of which one is spread");
  unmoor::ascend::detail::broadcast(dstLocal, srcLocal, dim, axis, dstShape, srcShape, &sharedTmpBuffer, where);
}
template <typename T, int32_t dim, int32_t axis, bool isReuseSource = false>
void Broadcast(const LocalTensor<T> &dstLocal, const LocalTensor<T> &srcLocal, const uint32_t dstShape[dim], const uint32_t srcShape[dim],
               unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert((dim == 1 && axis == 0) || (dim == 2 && (axis == 0 || axis == 1)), "one or two dimensions, of which one is spread");
  unmoor::ascend::detail::broadcast<T>(dstLocal, srcLocal, dim, axis, dstShape, srcShape, nullptr, where);
}

template <typename dstT, typename scaleT, DeQuantMode mode = DeQuantMode::DEQUANT_WITH_SINGLE_ROW>
void AscendDequant(const LocalTensor<dstT> &dstTensor, const LocalTensor<int32_t> &srcTensor, const LocalTensor<scaleT> &deqScale,
                   const LocalTensor<uint8_t> &sharedTmpBuffer, DequantParams params,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::dequantise(dstTensor, srcTensor, &deqScale, 1, &sharedTmpBuffer, mode, params, where);
}
template <typename dstT, typename scaleT, DeQuantMode mode = DeQuantMode::DEQUANT_WITH_SINGLE_ROW>
void AscendDequant(const LocalTensor<dstT> &dstTensor, const LocalTensor<int32_t> &srcTensor, const LocalTensor<scaleT> &deqScale,
                   DequantParams params, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::dequantise(dstTensor, srcTensor, &deqScale, 1, nullptr, mode, params, where);
}
template <typename dstT, typename scaleT, DeQuantMode mode = DeQuantMode::DEQUANT_WITH_SINGLE_ROW>
void AscendDequant(const LocalTensor<dstT> &dstTensor, const LocalTensor<int32_t> &srcTensor, const scaleT deqScale,
                   const LocalTensor<uint8_t> &sharedTmpBuffer, DequantParams params,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::dequantise<dstT, scaleT>(dstTensor, srcTensor, nullptr, unmoor::ascend::detail::widen(deqScale), &sharedTmpBuffer, mode,
                                                   params, where);
}
template <typename dstT, typename scaleT, DeQuantMode mode = DeQuantMode::DEQUANT_WITH_SINGLE_ROW>
void AscendDequant(const LocalTensor<dstT> &dstTensor, const LocalTensor<int32_t> &srcTensor, const scaleT deqScale, DequantParams params,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::dequantise<dstT, scaleT>(dstTensor, srcTensor, nullptr, unmoor::ascend::detail::widen(deqScale), nullptr, mode, params,
                                                   where);
}

}  // namespace AscendC
