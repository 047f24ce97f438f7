// What generated kernels use beyond Ascend C itself.
#pragma once
#include "kernel_operator.h"

namespace unmoor {

// Where a function is called from, for the emulator's reports.
#ifdef UNMOOR_ASCEND_EMULATOR
#define UNMOOR_CALLER unmoor::ascend::SourceLoc caller = unmoor::ascend::SourceLoc::here()
#define UNMOOR_AT_CALLER , caller
#else
#define UNMOOR_CALLER
#define UNMOOR_AT_CALLER
#endif

/// The second pipe of the event waits for all that the first was told so far.
template <AscendC::HardEvent event> __aicore__ inline void WaitFor(UNMOOR_CALLER) {
  using namespace AscendC;
  const auto id = static_cast<int32_t>(GetTPipePtr()->FetchEventID(event));
  SetFlag<event>(id UNMOOR_AT_CALLER);
  WaitFlag<event>(id UNMOOR_AT_CALLER);
}

/// The scalar unit's cache does not follow global memory: writes back what it holds, and forgets it.
template <typename T> __aicore__ inline void CleanCache(const AscendC::GlobalTensor<T> &tensor) {
  using namespace AscendC;
  DataCacheCleanAndInvalid<T, CacheLine::ENTIRE_DATA_CACHE, DcciDst::CACHELINE_OUT>(tensor);
}

/// A transfer that appends `count` zeros, so that it ends at a multiple of 32 bytes.
template <typename T> __aicore__ inline AscendC::DataCopyPadExtParams<T> ZeroPad(int64_t count) {
  AscendC::DataCopyPadExtParams<T> pad;
  pad.isPad = count > 0;
  pad.leftPadding = 0;
  pad.rightPadding = static_cast<uint8_t>(count);
  return pad;
}

__aicore__ inline float FloatFromBits(uint32_t bits) {
  union {
    uint32_t bits;
    float value;
  } both = {bits};
  return both.value;
}

/// Rounded towards minus infinity.
__aicore__ inline int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0); }
__aicore__ inline int64_t FloorMod(int64_t a, int64_t b) { return a - b * FloorDiv(a, b); }

/// The next multiple of `unit`; a is not negative.
__aicore__ inline int64_t RoundUp(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }

__aicore__ inline int64_t Smaller(int64_t a, int64_t b) { return b < a ? b : a; }
__aicore__ inline float Smaller(float a, float b) { return b < a ? b : a; }
__aicore__ inline int64_t Larger(int64_t a, int64_t b) { return a < b ? b : a; }
__aicore__ inline float Larger(float a, float b) { return a < b ? b : a; }
__aicore__ inline int64_t Magnitude(int64_t a) { return a < 0 ? -a : a; }
__aicore__ inline float Magnitude(float a) { return a < 0 ? -a : a; }

/// Numbers from 2^23 on are whole.
__aicore__ inline float Floor(float a) {
  if (!(Magnitude(a) < 8388608.0f)) return a;
  const float towardZero = static_cast<float>(static_cast<int64_t>(a));
  return towardZero > a ? towardZero - 1.0f : towardZero;
}

}  // namespace unmoor
