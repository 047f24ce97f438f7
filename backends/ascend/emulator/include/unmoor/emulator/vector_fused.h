// Arithmetic that also reads its destination, or that has another type than its sources.
#pragma once
#include "vector_cast.h"
#include "vector_math.h"

namespace unmoor::ascend::detail {

struct MulAddDstFn { float operator()(float d, float a, float b) const { return d + a * b; } };
struct FusedMulAddFn { float operator()(float d, float a, float b) const { return d * a + b; } };
struct FusedMulAddReluFn { float operator()(float d, float a, float b) const { return ReluFn{}(d * a + b); } };

/// half sources may add into float; float ones only into float.
template <class T, class U> void fusedTypes(const Call &call, const char *first) {
  call.dtype<U>(first, FLOATS, CAST_FIRST);
  call.dtype<T>("dst", std::is_same_v<U, float> ? Dtypes{{Dtype::F32}} : FLOATS, CAST_FIRST);
}
template <class T, class U, class F> auto onThree(F f) {
  return [f](T d, U a, U b) { return narrow<T>(f(widen(d), widen(a), widen(b))); };
}

template <class T, class U> auto axpy(U scalar) {
  return onThree<T, U>([x = static_cast<float>(widen(scalar))](float d, float a, float) { return d + a * x; });
}
/// One source's strides, for a walk that reads it as both.
inline AscendC::BinaryRepeatParams twice(const AscendC::UnaryRepeatParams &p) {
  const auto blk = [](uint16_t stride) { return static_cast<uint8_t>(stride); };
  return {blk(p.dstBlkStride), blk(p.srcBlkStride), blk(p.srcBlkStride), p.dstRepStride, p.srcRepStride, p.srcRepStride};
}

}  // namespace unmoor::ascend::detail

#define UNMOOR_FUSED_BODY(NAME, FORM, ...)                                                                             \
  {                                                                                                                    \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call(#NAME, PIPE_V, where);                                                                          \
    d::fusedTypes<T, U>(call, "src0");                                                                                 \
    d::FORM(call, true, dst, src0, src1, __VA_ARGS__, d::onThree<T, U>(d::NAME##Fn{}));                                \
  }
// The type parameters are TYPES; U names the sources' type.
#define UNMOOR_FUSED(NAME, TYPES, MASKED_TYPES, SOURCE)                                                                \
  template <TYPES>                                                                                                     \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<SOURCE> &src0, const LocalTensor<SOURCE> &src1,        \
                   const int32_t &count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {        \
    using U = SOURCE;                                                                                                  \
    UNMOOR_FUSED_BODY(NAME, ternaryCount, count)                                                                       \
  }                                                                                                                    \
  template <MASKED_TYPES, bool isSetMask = true>                                                                       \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<SOURCE> &src0, const LocalTensor<SOURCE> &src1,        \
                   uint64_t mask, const uint8_t repeatTime, const BinaryRepeatParams &repeatParams,                    \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    using U = SOURCE;                                                                                                  \
    UNMOOR_FUSED_BODY(NAME, ternaryRepeat, mask, isSetMask, repeatTime, repeatParams)                                  \
  }                                                                                                                    \
  template <MASKED_TYPES, bool isSetMask = true>                                                                       \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<SOURCE> &src0, const LocalTensor<SOURCE> &src1,        \
                   const uint64_t mask[], const uint8_t repeatTime, const BinaryRepeatParams &repeatParams,            \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    using U = SOURCE;                                                                                                  \
    UNMOOR_FUSED_BODY(NAME, ternaryRepeat, mask, isSetMask, repeatTime, repeatParams)                                  \
  }
#define UNMOOR_ONE typename T
#define UNMOOR_TWO typename T, typename S

namespace AscendC {

/// dst += src0 * src1; dst = dst * src0 + src1.
UNMOOR_FUSED(MulAddDst, UNMOOR_TWO, UNMOOR_TWO, S)
UNMOOR_FUSED(FusedMulAdd, UNMOOR_ONE, UNMOOR_ONE, T)
UNMOOR_FUSED(FusedMulAddRelu, UNMOOR_ONE, UNMOOR_ONE, T)

/// dst += src * scalar.
template <typename T, typename U>
void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalarValue, const int32_t &count,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Axpy", PIPE_V, where);
  d::fusedTypes<T, U>(call, "src");
  d::ternaryCount(call, true, dst, src, src, count, d::axpy<T, U>(scalarValue), "src");
}
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalarValue, uint64_t mask,
                 const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Axpy", PIPE_V, where);
  d::fusedTypes<T, U>(call, "src");
  d::ternaryRepeat(call, true, dst, src, src, mask, isSetMask, repeatTime, d::twice(repeatParams), d::axpy<T, U>(scalarValue), "src");
}
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalarValue, uint64_t mask[],
                 const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Axpy", PIPE_V, where);
  d::fusedTypes<T, U>(call, "src");
  d::ternaryRepeat(call, true, dst, src, src, static_cast<const uint64_t *>(mask), isSetMask, repeatTime,
                   d::twice(repeatParams), d::axpy<T, U>(scalarValue), "src");
}

/// The product of halves, as 8-bit numbers: rounded to nearest even, ends kept.
template <typename T, typename U>
void MulCast(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, uint32_t count,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("MulCast", PIPE_V, where);
  call.dtype<U>("src0", d::Dtypes{{d::Dtype::F16}}, d::CAST_FIRST);
  call.dtype<T>("dst", d::Dtypes{{d::Dtype::I8, d::Dtype::U8}}, "take int8_t or uint8_t for the result");
  d::ternaryCount(call, false, dst, src0, src1, count, [](T, U a, U b) {
    const float product = d::widen(d::narrow<U>(d::widen(a) * d::widen(b)));
    if constexpr (std::is_integral_v<T>) return d::castOne<T, float>(product, RoundMode::CAST_RINT);
    else return T{};
  });
}

}  // namespace AscendC

#undef UNMOOR_FUSED
#undef UNMOOR_FUSED_BODY
#undef UNMOOR_ONE
#undef UNMOOR_TWO
