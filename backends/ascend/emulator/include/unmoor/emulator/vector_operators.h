// Operators on local tensors: dst = src0 + src1, bits = src0 < src1. They are the count forms of Add, Compare and the others.
#pragma once
#include "vector_math.h"
#include "vector_select.h"

namespace unmoor::ascend::detail {

/// Sources that end before the last element of what is computed.
template <class T>
void longEnough(const Call &call, const char *operand, const AscendC::LocalTensor<T> &tensor, uint32_t count, const char *of) {
  call.require(tensor.GetSize() >= count, "operator-size", operand, "at least the " + std::to_string(count) + " elements of " + of,
               std::to_string(tensor.GetSize()) + " elements", "use tensors of one length, or the function with a count");
}

inline const char *nameOf(TensorOp op) {
  static constexpr const char *names[] = {"operator+", "operator-", "operator*", "operator/", "operator&", "operator|"};
  return names[static_cast<int>(op)];
}

template <TensorOp OP, class T> void computePair(const AscendC::LocalTensor<T> &dst, const TensorPair<T, OP> &pair) {
  const Call call(nameOf(OP), PIPE_V, pair.right.where);
  const AscendC::LocalTensor<T> &src0 = pair.left, &src1 = pair.right.tensor;
  const uint32_t count = dst.GetSize();
  longEnough(call, "src0", src0, count, "dst");
  longEnough(call, "src1", src1, count, "dst");
  const auto compute = [&](const Dtypes &legal, auto f) {
    call.dtype<T>("dst", legal, CAST_FIRST);
    binaryCount(call, dst, src0, src1, count, f);
  };
  if constexpr (OP == TensorOp::Add) compute(ARITHMETIC, AddFn{});
  if constexpr (OP == TensorOp::Sub) compute(ARITHMETIC, SubFn{});
  if constexpr (OP == TensorOp::Mul) compute(ARITHMETIC, MulFn{});
  if constexpr (OP == TensorOp::Div) compute(FLOATS, DivFn{});
  if constexpr (OP == TensorOp::And) compute(INTEGERS16, AndFn{});
  if constexpr (OP == TensorOp::Or) compute(INTEGERS16, OrFn{});
}

inline const char *nameOf(AscendC::CMPMODE mode) {
  static constexpr const char *names[] = {"operator<", "operator>", "operator==", "operator<=", "operator>=", "operator!="};
  return names[static_cast<int>(mode)];
}

template <class U, class T> void computeComparison(const AscendC::LocalTensor<U> &dst, const TensorComparison<T> &comparison) {
  static_assert(sizeof(U) == 1, "comparison results are bits in bytes");
  const Call call(nameOf(comparison.mode), PIPE_V, comparison.right.where);
  const AscendC::LocalTensor<T> &src0 = comparison.left, &src1 = comparison.right.tensor;
  longEnough(call, "src1", src1, src0.GetSize(), "src0");
  compareTensors(call, dst, src0, src1, comparison.mode, src0.GetSize());
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T> template <unmoor::ascend::detail::TensorOp OP> void LocalTensor<T>::operator=(const Pair<OP> &pair) {
  unmoor::ascend::detail::computePair(*this, pair);
}
template <typename T> void LocalTensor<T>::operator=(const unmoor::ascend::detail::TensorComparison<float> &comparison) {
  unmoor::ascend::detail::computeComparison(*this, comparison);
}
template <typename T> void LocalTensor<T>::operator=(const unmoor::ascend::detail::TensorComparison<half> &comparison) {
  unmoor::ascend::detail::computeComparison(*this, comparison);
}

}  // namespace AscendC
