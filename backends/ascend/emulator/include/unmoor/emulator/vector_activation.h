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
struct TanhFn { float operator()(float x) const { return std::tanh(x); } };
/// By the tanh that stands for erf.
struct GeluFn {
  float operator()(float x) const { return 0.5f * x * (1.0f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }
};
struct GeGluFn { float operator()(float a, float b) const { return a * GeluFn{}(b); } };
struct ReGluFn { float operator()(float a, float b) const { return a * std::max(b, 0.0f); } };

/// dst = f(src) with the work space of a call, or none; operands may be one where the page says so.
template <bool APART, class T, class F>
void activate(const char *name, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
              const AscendC::LocalTensor<uint8_t> *work, uint32_t count, SourceLoc where, F f) {
  const Call call(name, PIPE_V, where);
  call.dtype<T>("dst", FLOATS, CAST_FIRST);
  const Range to = call.range(dst, "dst", Access::Write, count * sizeof(T));
  if (APART) call.apart(to, call.range(src, "src", Access::Read, count * sizeof(T)));
  if (work != nullptr) {
    call.operand(*work, "sharedTmpBuffer", Space::UB);
    call.apart(to, call.range(*work, "sharedTmpBuffer", Access::Touch, 1));
  }
  unaryCount(call, dst, src, count, onElements<T>(f));
}
/// The same of two sources, apart from the result.
template <class T, class F>
void gate(const char *name, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src0, const AscendC::LocalTensor<T> &src1,
          const AscendC::LocalTensor<uint8_t> *work, uint32_t count, SourceLoc where, F f) {
  const Call call(name, PIPE_V, where);
  call.dtype<T>("dstTensor", FLOATS, CAST_FIRST);
  const Range to = call.range(dst, "dstTensor", Access::Write, count * sizeof(T));
  call.apart(to, call.range(src0, "srcTensor0", Access::Read, count * sizeof(T)));
  call.apart(to, call.range(src1, "srcTensor1", Access::Read, count * sizeof(T)));
  if (work != nullptr) call.operand(*work, "sharedTmpBuffer", Space::UB);
  binaryCount(call, dst, src0, src1, count, f);
}

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

template <typename T, bool isReuseSource = false>
void Tanh(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor, const LocalTensor<uint8_t> &sharedTmpBuffer,
          const uint32_t calCount, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::activate<true>("Tanh", dstTensor, srcTensor, &sharedTmpBuffer, calCount, where, unmoor::ascend::detail::TanhFn{});
}
template <typename T, bool isReuseSource = false>
void Tanh(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor, const uint32_t calCount,
          unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::activate<true>("Tanh", dstTensor, srcTensor, nullptr, calCount, where, unmoor::ascend::detail::TanhFn{});
}

template <typename T, bool highPrecision = false, bool highPerformance = false>
void Gelu(const LocalTensor<T> &dstLocal, const LocalTensor<T> &srcLocal, const LocalTensor<uint8_t> &sharedTmpBuffer,
          const uint32_t dataSize, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::activate<false>("Gelu", dstLocal, srcLocal, &sharedTmpBuffer, dataSize, where, unmoor::ascend::detail::GeluFn{});
}
template <typename T, bool highPrecision = false, bool highPerformance = false>
void Gelu(const LocalTensor<T> &dstLocal, const LocalTensor<T> &srcLocal, const uint32_t dataSize,
          unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::activate<false>("Gelu", dstLocal, srcLocal, nullptr, dataSize, where, unmoor::ascend::detail::GeluFn{});
}

/// src0 * Gelu(src1).
template <typename T, bool isReuseSource = false>
void GeGLU(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor0, const LocalTensor<T> &srcTensor1,
           const LocalTensor<uint8_t> &sharedTmpBuffer, uint32_t calCount, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::gate("GeGLU", dstTensor, srcTensor0, srcTensor1, &sharedTmpBuffer, calCount, where, unmoor::ascend::detail::GeGluFn{});
}
template <typename T, bool isReuseSource = false>
void GeGLU(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor0, const LocalTensor<T> &srcTensor1, uint32_t calCount,
           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::gate("GeGLU", dstTensor, srcTensor0, srcTensor1, nullptr, calCount, where, unmoor::ascend::detail::GeGluFn{});
}

/// src0 * Relu(src1).
template <typename T, bool isReuseSource = false>
void ReGlu(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor0, const LocalTensor<T> &srcTensor1,
           const LocalTensor<uint8_t> &sharedTmpBuffer, const uint32_t calCount,
           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::gate("ReGlu", dstTensor, srcTensor0, srcTensor1, &sharedTmpBuffer, calCount, where, unmoor::ascend::detail::ReGluFn{});
}
template <typename T, bool isReuseSource = false>
void ReGlu(const LocalTensor<T> &dstTensor, const LocalTensor<T> &srcTensor0, const LocalTensor<T> &srcTensor1, const uint32_t calCount,
           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::gate("ReGlu", dstTensor, srcTensor0, srcTensor1, nullptr, calCount, where, unmoor::ascend::detail::ReGluFn{});
}

}  // namespace AscendC
