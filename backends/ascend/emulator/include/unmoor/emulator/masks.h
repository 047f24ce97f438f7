// Masks of the vector unit that are set outside of its instructions.
#pragma once
#include "atomic.h"
#include "lanes.h"

namespace AscendC {

enum class MaskMode : uint8_t { NORMAL = 0, COUNTER };
/// What stands for a mask in calls with isSetMask = false.
inline constexpr uint64_t MASK_PLACEHOLDER = 0;
inline const uint64_t MASK_PLACEHOLDER_LIST[2] = {0, 0};

/// Masks count elements over all repeats, until SetMaskNorm.
inline void SetMaskCount() { unmoor::ascend::detail::core().registers.counter = true; }
/// Masks say which lanes of a repeat take part.
inline void SetMaskNorm() { unmoor::ascend::detail::core().registers.counter = false; }

/// Bits of the lanes (normal), or in the lower half a number of elements (counter).
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(const uint64_t maskHigh, const uint64_t maskLow,
                          unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("SetVectorMask", PIPE_S, where);
  auto &set = call.c.registers;
  call.require(set.counter == (mode == MaskMode::COUNTER), "mask-mode", "mode",
               set.counter ? "MaskMode::COUNTER after SetMaskCount()" : "MaskMode::NORMAL after SetMaskNorm()",
               "the other mode", "call SetMaskCount() or SetMaskNorm() first");
  if (mode == MaskMode::NORMAL)
    call.require(sizeof(T) <= 2 || maskHigh == 0, "limit", "maskHigh", "0 for types of 4 bytes: a repeat has 64 lanes", "other bits",
                 "set the lower half alone");
  set.mask[0] = maskLow;
  set.mask[1] = maskHigh;
}
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(int32_t len, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("SetVectorMask", PIPE_S, where);
  if constexpr (mode == MaskMode::COUNTER) {
    call.limit("len", len, 0, unmoor::ascend::arch2201::UB_TOTAL, "the mask counts elements");
    SetVectorMask<T, mode>(0, static_cast<uint64_t>(len), where);
  } else {
    call.limit("len", len, 0, unmoor::ascend::arch2201::REPEAT / sizeof(T), "a repeat covers 256 bytes");
    const d::Mask bits = d::firstLanes(static_cast<uint64_t>(len));
    SetVectorMask<T, mode>(bits.bits[1], bits.bits[0], where);
  }
}
/// All lanes take part again.
inline void ResetMask() {
  auto &set = unmoor::ascend::detail::core().registers;
  set.mask[0] = set.mask[1] = ~uint64_t{0};
}

/// Masks and atomic stores as they are when a kernel begins.
inline void InitSocState() {
  SetMaskNorm();
  ResetMask();
  SetAtomicNone();
}

}  // namespace AscendC
