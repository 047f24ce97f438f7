// Element-wise arithmetic: two tensors, tensor and scalar, one tensor.
#pragma once
#include <cmath>

#include "lanes.h"

namespace unmoor::ascend::detail {

inline constexpr Dtypes ARITHMETIC{{Dtype::F16, Dtype::F32, Dtype::I16, Dtype::I32}};
inline constexpr Dtypes RELU{{Dtype::F16, Dtype::F32, Dtype::I32}};
inline constexpr Dtypes RELU_SUMS{{Dtype::F16, Dtype::F32, Dtype::I16}};
inline constexpr Dtypes INTEGERS16{{Dtype::I16, Dtype::U16}};
inline constexpr Dtypes SHIFTED{{Dtype::I16, Dtype::U16, Dtype::I32, Dtype::U32}};

// A NaN in either operand decides as the comparison does, which is what std::max does.
struct AddFn { template <class V> V operator()(V a, V b) const { return a + b; } };
struct SubFn { template <class V> V operator()(V a, V b) const { return a - b; } };
struct MulFn { template <class V> V operator()(V a, V b) const { return a * b; } };
struct DivFn { template <class V> V operator()(V a, V b) const { return a / b; } };
struct MaxFn { template <class V> V operator()(V a, V b) const { return a < b ? b : a; } };
struct MinFn { template <class V> V operator()(V a, V b) const { return b < a ? b : a; } };
struct AndFn { template <class V> V operator()(V a, V b) const { return static_cast<V>(static_cast<int64_t>(a) & static_cast<int64_t>(b)); } };
struct OrFn { template <class V> V operator()(V a, V b) const { return static_cast<V>(static_cast<int64_t>(a) | static_cast<int64_t>(b)); } };

struct AddReluFn { template <class V> V operator()(V a, V b) const { return a + b < V(0) ? V(0) : a + b; } };
struct SubReluFn { template <class V> V operator()(V a, V b) const { return a - b < V(0) ? V(0) : a - b; } };

struct NotFn { template <class V> V operator()(V a) const { return static_cast<V>(~static_cast<int64_t>(a)); } };
struct ShiftLeftFn { template <class V> V operator()(V a, V s) const { return static_cast<V>(static_cast<uint64_t>(a) << static_cast<int>(s)); } };
struct ShiftRightFn { template <class V> V operator()(V a, V s) const { return static_cast<V>(static_cast<int64_t>(a) >> static_cast<int>(s)); } };
struct LeakyReluFn { template <class V> V operator()(V a, V s) const { return a < V(0) ? a * s : a; } };

struct ExpFn { template <class V> V operator()(V a) const { return static_cast<V>(std::exp(static_cast<float>(a))); } };
struct LnFn { template <class V> V operator()(V a) const { return static_cast<V>(std::log(static_cast<float>(a))); } };
struct SqrtFn { template <class V> V operator()(V a) const { return static_cast<V>(std::sqrt(static_cast<float>(a))); } };
struct RsqrtFn { template <class V> V operator()(V a) const { return static_cast<V>(1.0f / std::sqrt(static_cast<float>(a))); } };
struct ReciprocalFn { template <class V> V operator()(V a) const { return static_cast<V>(1.0f / static_cast<float>(a)); } };
struct AbsFn { template <class V> V operator()(V a) const { return a < V(0) || (a == V(0) && std::signbit(static_cast<float>(a))) ? -a : a; } };
struct ReluFn { template <class V> V operator()(V a) const { return a < V(0) ? V(0) : a; } };

}  // namespace unmoor::ascend::detail

// Families of functions that differ in name, types and meaning only; the macros are undefined below.
#define UNMOOR_BINARY(NAME, TYPES)                                                                                     \
  template <typename T>                                                                                                \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1,                  \
                   const int32_t &count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {        \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call(#NAME, PIPE_V, where);                                                                          \
    call.dtype<T>("dst", d::TYPES, d::CAST_FIRST);                                                                     \
    d::binaryCount(call, dst, src0, src1, count, d::NAME##Fn{});                                                       \
  }                                                                                                                    \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, uint64_t mask,   \
                   const uint8_t repeatTime, const BinaryRepeatParams &repeatParams,                                   \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call(#NAME, PIPE_V, where);                                                                          \
    call.dtype<T>("dst", d::TYPES, d::CAST_FIRST);                                                                     \
    d::binaryRepeat(call, dst, src0, src1, mask, isSetMask, repeatTime, repeatParams, d::NAME##Fn{});                             \
  }                                                                                                                    \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1,                  \
                   uint64_t mask[], const uint8_t repeatTime, const BinaryRepeatParams &repeatParams,                  \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {                              \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call(#NAME, PIPE_V, where);                                                                          \
    call.dtype<T>("dst", d::TYPES, d::CAST_FIRST);                                                                     \
    d::binaryRepeat(call, dst, src0, src1, static_cast<const uint64_t *>(mask), isSetMask, repeatTime, repeatParams,   \
                    d::NAME##Fn{});                                                                                    \
  }

#define UNMOOR_UNARY_BODY(NAME, TYPES, F, ...)                                                                         \
  {                                                                                                                    \
    namespace d = unmoor::ascend::detail;                                                                              \
    const d::Call call(#NAME, PIPE_V, where);                                                                          \
    call.dtype<T>("dst", d::TYPES, d::CAST_FIRST);                                                                     \
    __VA_ARGS__(d::onElements<T>(F));                                                                                  \
  }

#define UNMOOR_UNARY(NAME, TYPES)                                                                                      \
  template <typename T>                                                                                                \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t &count,                         \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES, d::NAME##Fn{}, [&](auto f) { d::unaryCount(call, dst, src, count, f); })          \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint64_t mask, const uint8_t repeatTime,      \
                   const UnaryRepeatParams &repeatParams,                                                              \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES, d::NAME##Fn{},                                                                    \
                        [&](auto f) { d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, repeatParams, f); })            \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint64_t mask[], const uint8_t repeatTime,    \
                   const UnaryRepeatParams &repeatParams,                                                              \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES, d::NAME##Fn{}, [&](auto f) {                                                      \
        d::unaryRepeat(call, dst, src, static_cast<const uint64_t *>(mask), isSetMask, repeatTime, repeatParams, f);   \
      })

#define UNMOOR_SCALAR(NAME, OP, TYPES)                                                                                 \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalarValue, const int32_t &count,   \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES,                                                                                   \
                        [s = d::widen(scalarValue)](d::Compute<T> a) { return d::OP##Fn{}(a, s); },                    \
                        [&](auto f) { d::unaryCount(call, dst, src, count, f); })                                      \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalarValue, uint64_t mask,          \
                   const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,                                    \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES,                                                                                   \
                        [s = d::widen(scalarValue)](d::Compute<T> a) { return d::OP##Fn{}(a, s); },                    \
                        [&](auto f) { d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, repeatParams, f); })            \
  template <typename T, bool isSetMask = true>                                                                         \
  void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalarValue, uint64_t mask[],        \
                   const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,                                    \
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())                                \
      UNMOOR_UNARY_BODY(NAME, TYPES,                                                                                   \
                        [s = d::widen(scalarValue)](d::Compute<T> a) { return d::OP##Fn{}(a, s); }, [&](auto f) {      \
                          d::unaryRepeat(call, dst, src, static_cast<const uint64_t *>(mask), isSetMask, repeatTime,   \
                                         repeatParams, f);                                                             \
                        })

namespace AscendC {

// Element types per function: the vendor's tables for A2 and A3.
UNMOOR_BINARY(Add, ARITHMETIC)
UNMOOR_BINARY(Sub, ARITHMETIC)
UNMOOR_BINARY(Mul, ARITHMETIC)
UNMOOR_BINARY(Div, FLOATS)
UNMOOR_BINARY(Max, ARITHMETIC)
UNMOOR_BINARY(Min, ARITHMETIC)
UNMOOR_BINARY(And, INTEGERS16)
UNMOOR_BINARY(Or, INTEGERS16)

UNMOOR_UNARY(Exp, FLOATS)
UNMOOR_UNARY(Ln, FLOATS)
UNMOOR_UNARY(Sqrt, FLOATS)
UNMOOR_UNARY(Rsqrt, FLOATS)
UNMOOR_UNARY(Reciprocal, FLOATS)
UNMOOR_UNARY(Abs, FLOATS)
UNMOOR_UNARY(Relu, RELU)

UNMOOR_UNARY(Not, INTEGERS16)

UNMOOR_SCALAR(Adds, Add, ARITHMETIC)
UNMOOR_SCALAR(Muls, Mul, ARITHMETIC)
UNMOOR_SCALAR(Maxs, Max, ARITHMETIC)
UNMOOR_SCALAR(Mins, Min, ARITHMETIC)
UNMOOR_SCALAR(ShiftLeft, ShiftLeft, SHIFTED)
UNMOOR_SCALAR(ShiftRight, ShiftRight, SHIFTED)
UNMOOR_SCALAR(LeakyRelu, LeakyRelu, FLOATS)

UNMOOR_BINARY(AddRelu, RELU_SUMS)
UNMOOR_BINARY(SubRelu, RELU_SUMS)

}  // namespace AscendC

#undef UNMOOR_BINARY
#undef UNMOOR_UNARY
#undef UNMOOR_UNARY_BODY
#undef UNMOOR_SCALAR
