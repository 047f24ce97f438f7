// Stores to global memory that add to what is there.
#pragma once
#include "call.h"

namespace unmoor::ascend::detail {

/// How a store to global memory works while SetAtomicAdd, -Max or -Min is on: the type is the one that was set.
UNMOOR_COMMON Access storeAccess(const Call &call, Dtype type) {
  const Registers &set = call.c.registers;
  if (set.atomic == Registers::Atomic::None) return Access::Write;
  if (set.atomicType != type)
    call.fail("atomic-type", "dst", std::string("elements of ") + nameOf(set.atomicType) + ", as SetAtomicAdd says",
              nameOf(type), "set the type of the tensor, or call SetAtomicNone() after the last atomic store");
  return Access::Atomic;
}

template <class T> void storeAtomic(uint8_t *to, const uint8_t *from, uint64_t bytes, Registers::Atomic atomic) {
  for (uint64_t at = 0; at + sizeof(T) <= bytes; at += sizeof(T)) {
    const auto old = widen(loadAs<T>(to + at)), value = widen(loadAs<T>(from + at));
    const auto result = atomic == Registers::Atomic::Add   ? old + value
                        : atomic == Registers::Atomic::Max ? (old < value ? value : old)
                                                           : (value < old ? value : old);
    if constexpr (std::is_same_v<T, Bfloat16>) storeAs<T>(to + at, Bfloat16(result));
    else storeAs<T>(to + at, narrow<T>(result));
  }
}

/// Puts a run of elements into global memory. Atomic stores have one of the types that setAtomic takes.
UNMOOR_COMMON void store(Dtype type, uint8_t *to, const uint8_t *from, uint64_t bytes, Registers::Atomic atomic) {
  if (atomic == Registers::Atomic::None) std::memcpy(to, from, bytes);
  else if (type == Dtype::F32) storeAtomic<float>(to, from, bytes, atomic);
  else if (type == Dtype::F16) storeAtomic<Half>(to, from, bytes, atomic);
  else if (type == Dtype::Bf16) storeAtomic<Bfloat16>(to, from, bytes, atomic);
  else if (type == Dtype::I32) storeAtomic<int32_t>(to, from, bytes, atomic);
  else if (type == Dtype::I16) storeAtomic<int16_t>(to, from, bytes, atomic);
  else storeAtomic<int8_t>(to, from, bytes, atomic);
}

template <class T> void setAtomic(Registers::Atomic how, const char *name, SourceLoc where) {
  const Call call(name, PIPE_S, where);
  call.dtype<T>("T", Dtypes{{Dtype::I8, Dtype::I16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::F32}}, "use another type");
  call.c.registers.atomic = how;
  call.c.registers.atomicType = dtypeOf<T>();
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

// From here on, stores to global memory (DataCopy, DataCopyPad, Fixpipe) add to, or compare with, what is there.
template <typename T> void SetAtomicAdd(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::setAtomic<T>(unmoor::ascend::detail::Registers::Atomic::Add, "SetAtomicAdd", where);
}
template <typename T> void SetAtomicMax(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::setAtomic<T>(unmoor::ascend::detail::Registers::Atomic::Max, "SetAtomicMax", where);
}
template <typename T> void SetAtomicMin(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::setAtomic<T>(unmoor::ascend::detail::Registers::Atomic::Min, "SetAtomicMin", where);
}
inline void SetAtomicNone() { unmoor::ascend::detail::core().registers.atomic = unmoor::ascend::detail::Registers::Atomic::None; }
inline void DisableDmaAtomic() { SetAtomicNone(); }

}  // namespace AscendC
