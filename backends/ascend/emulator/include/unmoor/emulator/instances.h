// What compiled kernels call most, held ready in the emulator's library, in loops that were compiled with optimisation: kernels that are
// linked with it do not make these again. Other element types and forms are compiled with the kernel, as without the library.
#pragma once
#include "kernel_operator.h"
#if defined(UNMOOR_EMULATOR_BUILD)
#include "matmul_state.h"  // kernels include it by lib/matmul_intf.h
#endif

#if defined(UNMOOR_EMULATOR_BUILD)
#define UNMOOR_INSTANCE template
#else
#define UNMOOR_INSTANCE extern template
#endif
#define UNMOOR_TENSOR(T) const LocalTensor<T> &
#define UNMOOR_WHERE unmoor::ascend::SourceLoc
#define UNMOOR_BINARY(NAME, T)                                                                                         \
  UNMOOR_INSTANCE void NAME<T>(UNMOOR_TENSOR(T), UNMOOR_TENSOR(T), UNMOOR_TENSOR(T), const int32_t &, UNMOOR_WHERE);
#define UNMOOR_UNARY(NAME, T) UNMOOR_INSTANCE void NAME<T>(UNMOOR_TENSOR(T), UNMOOR_TENSOR(T), const int32_t &, UNMOOR_WHERE);
#define UNMOOR_SCALAR(NAME, T)                                                                                         \
  UNMOOR_INSTANCE void NAME<T>(UNMOOR_TENSOR(T), UNMOOR_TENSOR(T), const T &, const int32_t &, UNMOOR_WHERE);
#define UNMOOR_FILL(T) UNMOOR_INSTANCE void Duplicate<T>(UNMOOR_TENSOR(T), const T &, const int32_t &, UNMOOR_WHERE);
#define UNMOOR_CAST(T, U)                                                                                              \
  UNMOOR_INSTANCE void Cast<T, U>(UNMOOR_TENSOR(T), UNMOOR_TENSOR(U), const RoundMode &, const uint32_t, UNMOOR_WHERE);
#define UNMOOR_REDUCE(NAME)                                                                                            \
  UNMOOR_INSTANCE void NAME<float>(UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), const int32_t, bool, UNMOOR_WHERE);
#define UNMOOR_NUMBERS(FAMILY, NAME) FAMILY(NAME, float) FAMILY(NAME, half) FAMILY(NAME, int32_t)

namespace AscendC {

UNMOOR_NUMBERS(UNMOOR_BINARY, Add)
UNMOOR_NUMBERS(UNMOOR_BINARY, Sub)
UNMOOR_NUMBERS(UNMOOR_BINARY, Mul)
UNMOOR_NUMBERS(UNMOOR_BINARY, Max)
UNMOOR_NUMBERS(UNMOOR_BINARY, Min)
UNMOOR_BINARY(Div, float)
UNMOOR_NUMBERS(UNMOOR_SCALAR, Adds)
UNMOOR_NUMBERS(UNMOOR_SCALAR, Muls)
UNMOOR_NUMBERS(UNMOOR_SCALAR, Maxs)
UNMOOR_NUMBERS(UNMOOR_SCALAR, Mins)
UNMOOR_SCALAR(Adds, int16_t)
UNMOOR_UNARY(Exp, float)
UNMOOR_UNARY(Ln, float)
UNMOOR_UNARY(Sqrt, float)
UNMOOR_UNARY(Abs, float)
UNMOOR_FILL(float)
UNMOOR_FILL(int32_t)
UNMOOR_FILL(int16_t)
UNMOOR_CAST(float, bfloat16_t)
UNMOOR_CAST(float, half)
UNMOOR_CAST(bfloat16_t, float)
UNMOOR_CAST(half, float)
UNMOOR_CAST(float, int32_t)
UNMOOR_CAST(float, float)
UNMOOR_CAST(int32_t, float)
UNMOOR_INSTANCE void Axpy<float, float>(UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), const float &, const int32_t &, UNMOOR_WHERE);
UNMOOR_INSTANCE void MulAddDst<float, float>(UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), const int32_t &,
                                             UNMOOR_WHERE);
UNMOOR_REDUCE(ReduceMax)
UNMOOR_INSTANCE void ReduceSum<float>(UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), UNMOOR_TENSOR(float), const int32_t, UNMOOR_WHERE);

}  // namespace AscendC

#undef UNMOOR_INSTANCE
#undef UNMOOR_TENSOR
#undef UNMOOR_WHERE
#undef UNMOOR_BINARY
#undef UNMOOR_UNARY
#undef UNMOOR_SCALAR
#undef UNMOOR_FILL
#undef UNMOOR_CAST
#undef UNMOOR_REDUCE
#undef UNMOOR_NUMBERS
