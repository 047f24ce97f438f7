// Activations of the high-level interface. Each is several instructions of the vector unit with their own barriers; here it is one,
// computed in float and rounded once.
#pragma once
#include <cmath>

#include "lanes.h"

namespace unmoor::ascend::detail {

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

struct SigmoidFn { float operator()(float x) const { return sigmoid(x); } };
struct SiluFn { float operator()(float x) const { return x * sigmoid(x); } };
/// The first operand, gated by the second.
struct SwiGluFn {
  float beta;
  float operator()(float a, float b) const { return a * b * sigmoid(beta * b); }
};

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T, bool isReuseSource = false>
void Sigmoid(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &sharedTmpBuffer,
                    const uint32_t calCount, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Sigmoid", PIPE_V, where);
  call.dtype<T>("dst", d::FLOATS, d::CAST_FIRST);
  call.operand(sharedTmpBuffer, "sharedTmpBuffer", d::Space::UB);
  d::unaryCount(call, dst, src, calCount, d::onElements<T>(d::SigmoidFn{}));
}
template <typename T, bool isReuseSource = false>
void Sigmoid(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint32_t calCount,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Sigmoid", PIPE_V, where);
  call.dtype<T>("dst", d::FLOATS, d::CAST_FIRST);
  d::unaryCount(call, dst, src, calCount, d::onElements<T>(d::SigmoidFn{}));
}

/// x / (1 + exp(-x)).
template <typename T, bool isReuseSource = false>
void Silu(const LocalTensor<T> &dstLocal, const LocalTensor<T> &srcLocal, uint32_t dataSize,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Silu", PIPE_V, where);
  call.dtype<T>("dstLocal", d::FLOATS, d::CAST_FIRST);
  d::unaryCount(call, dstLocal, srcLocal, dataSize, d::onElements<T>(d::SiluFn{}));
}

/// src0 * src1 / (1 + exp(-beta * src1)).
template <typename T, bool isReuseSource = false>
void SwiGLU(LocalTensor<T> &dstTensor, LocalTensor<T> &srcTensor0, LocalTensor<T> &srcTensor1,
                   const float &scalarValue, const uint32_t calCount,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("SwiGLU", PIPE_V, where);
  call.dtype<T>("dstTensor", d::FLOATS, d::CAST_FIRST);
  d::binaryCount(call, dstTensor, srcTensor0, srcTensor1, calCount, d::SwiGluFn{scalarValue});
}
template <typename T, bool isReuseSource = false>
void SwiGLU(LocalTensor<T> &dstTensor, LocalTensor<T> &srcTensor0, LocalTensor<T> &srcTensor1,
                   const float &scalarValue, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  SwiGLU<T, isReuseSource>(dstTensor, srcTensor0, srcTensor1, scalarValue, srcTensor0.GetSize(), where);
}

}  // namespace AscendC
