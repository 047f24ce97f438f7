// Softmax of the high-level interface: several instructions of the vector unit with their own barriers; here it is one, computed in
// float and rounded once.
#pragma once
#include <cmath>

#include "lanes.h"

/// The vendor's tiling of a softmax. Which parts it takes at a time changes no result, so that the emulator looks at none of it.
struct SoftMaxTiling {
  uint32_t srcM = 0, srcK = 0, srcSize = 0, outMaxM = 0, outMaxK = 0, outMaxSize = 0, splitM = 0, splitK = 0, splitSize = 0,
           reduceM = 0, reduceK = 0, reduceSize = 0, rangeM = 0, tailM = 0, tailSplitSize = 0, tailReduceSize = 0;
};

namespace AscendC {

/// Rows and columns in memory, and how many of them count.
struct SoftMaxShapeInfo {
  uint32_t srcM{0}, srcK{0}, oriSrcM{0}, oriSrcK{0};
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// Each row's softmax; its sum and largest value fill a DataBlock each. `S` is the type of those.
template <class T, class S>
void softmaxRows(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<S> *sum,
                        const AscendC::LocalTensor<S> *max, const AscendC::LocalTensor<T> &src,
                        const AscendC::SoftMaxShapeInfo &shape) {
  call.dtype<T>("src", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(src, "src", Space::UB);
  call.require(shape.srcM > 0 && shape.srcK > 0, "limit", "softmaxShapeInfo", "the rows and columns of src", "none",
               "pass {rows, columns, rows, columns}: tensors carry no shape here");
  call.limit("srcK in bytes, modulo 32", static_cast<int64_t>(shape.srcK * sizeof(T) % 32), 0, 0, "pad rows to 32 bytes");
  call.limit("oriSrcM", shape.oriSrcM, 1, shape.srcM, "as many rows as count");
  call.limit("oriSrcK", shape.oriSrcK, 1, shape.srcK, "as many columns as count");
  const uint64_t step = shape.srcK * sizeof(T);
  Range from = call.range(src, "src", Access::Read, shape.oriSrcK * sizeof(T));
  from.inner = shape.oriSrcM;
  from.innerStride = static_cast<int64_t>(step);
  std::vector<Range> writes{call.range(dst, "dst", Access::Write, step * shape.oriSrcM)};
  for (const auto &[tensor, name] : {std::pair{sum, "sum"}, std::pair{max, "max"}}) {
    if (tensor == nullptr) continue;
    call.operand(*tensor, name, Space::UB);
    writes.push_back(call.range(*tensor, name, Access::Write, uint64_t{shape.oriSrcM} * 32));
  }
  call.notShifted(writes[0], from);
  const LocalHandle sums = sum == nullptr ? LocalHandle{} : sum->handle, largest = max == nullptr ? LocalHandle{} : max->handle;
  const bool keeps = sum != nullptr;
  call.issue({from}, {writes.data(), writes.size()}, [=] {
    std::vector<float> row(shape.oriSrcK);
    for (uint32_t r = 0; r < shape.oriSrcM; r++) {
      const uint8_t *in = call.data(src.handle) + r * step;
      float top = -INFINITY, total = 0;
      for (uint32_t i = 0; i < shape.oriSrcK; i++) top = std::max(top, row[i] = static_cast<float>(widen(loadAs<T>(in + i * sizeof(T)))));
      for (float &one : row) total += one = std::exp(one - top);
      for (uint32_t i = 0; i < shape.srcK; i++)
        storeAs<T>(call.data(dst.handle) + r * step + i * sizeof(T), narrow<T>(i < shape.oriSrcK ? row[i] / total : 0.0f));
      for (uint32_t i = 0; keeps && i < 32; i += sizeof(S)) {
        storeAs<S>(call.data(sums) + r * 32u + i, narrow<S>(total));
        storeAs<S>(call.data(largest) + r * 32u + i, narrow<S>(top));
      }
    }
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T, bool isReuseSource = false, bool isBasicBlock = false, bool isDataFormatNZ = false>
void SoftMax(const LocalTensor<T> &dstTensor, const LocalTensor<T> &sumTensor, const LocalTensor<T> &maxTensor,
                    const LocalTensor<T> &srcTensor, const LocalTensor<uint8_t> &sharedTmpBuffer, const SoftMaxTiling &,
                    const SoftMaxShapeInfo &softmaxShapeInfo = {},
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(!isDataFormatNZ, "softmax of NZ is not modelled");
  const d::Call call("SoftMax", PIPE_V, where);
  call.operand(sharedTmpBuffer, "sharedTmpBuffer", d::Space::UB);
  d::softmaxRows(call, dstTensor, &sumTensor, &maxTensor, srcTensor, softmaxShapeInfo);
}
template <typename T, bool isReuseSource = false, bool isBasicBlock = false, bool isDataFormatNZ = false>
void SoftMax(const LocalTensor<T> &dstTensor, const LocalTensor<T> &sumTensor, const LocalTensor<T> &maxTensor,
                    const LocalTensor<T> &srcTensor, const SoftMaxTiling &, const SoftMaxShapeInfo &softmaxShapeInfo = {},
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(!isDataFormatNZ, "softmax of NZ is not modelled");
  d::softmaxRows(d::Call("SoftMax", PIPE_V, where), dstTensor, &sumTensor, &maxTensor, srcTensor, softmaxShapeInfo);
}
/// Halves, with sums and largest values as floats.
template <typename T, bool isReuseSource = false, bool isBasicBlock = false, bool isDataFormatNZ = false>
void SoftMax(const LocalTensor<half> &dstTensor, const LocalTensor<float> &sumTensor,
                    const LocalTensor<float> &maxTensor, const LocalTensor<half> &srcTensor,
                    const LocalTensor<uint8_t> &sharedTmpBuffer, const SoftMaxTiling &,
                    const SoftMaxShapeInfo &softmaxShapeInfo = {},
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(!isDataFormatNZ, "softmax of NZ is not modelled");
  const d::Call call("SoftMax", PIPE_V, where);
  call.operand(sharedTmpBuffer, "sharedTmpBuffer", d::Space::UB);
  d::softmaxRows(call, dstTensor, &sumTensor, &maxTensor, srcTensor, softmaxShapeInfo);
}
/// Without sums and largest values.
template <typename T, bool isReuseSource = false, bool isBasicBlock = false>
void SoftMax(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor,
                    const LocalTensor<uint8_t> &sharedTmpBuffer, const SoftMaxTiling &,
                    const SoftMaxShapeInfo &softmaxShapeInfo = {},
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("SoftMax", PIPE_V, where);
  call.operand(sharedTmpBuffer, "sharedTmpBuffer", d::Space::UB);
  d::softmaxRows(call, dstTensor, static_cast<const LocalTensor<T> *>(nullptr), static_cast<const LocalTensor<T> *>(nullptr), srcTensor,
                 softmaxShapeInfo);
}

}  // namespace AscendC
