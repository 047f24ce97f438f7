// Device memory and launches of the one emulated device of a process: what acl is made of on the emulator. Device memory is host
// memory that kernels may touch, and a launch has ended when it returns. Faults that the emulator finds are thrown.
// UNMOOR_ASCEND_SOC (Ascend910B3) and UNMOOR_ASCEND_SEED (0) in the environment choose the chip and the order of blocks and pipes.
#pragma once
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "unmoor/ascend_host.h"

namespace unmoor::ascend::acl {

inline std::string environment(const char *name, const char *otherwise) {
  const char *const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

inline const std::string &socName() {
  static const std::string name = environment("UNMOOR_ASCEND_SOC", "Ascend910B3");
  return name;
}

inline const Soc &soc() {
  for (const Soc &soc : ALL_SOCS)
    if (socName() == "Ascend" + std::string(soc.name)) return soc;
  throw std::invalid_argument("UNMOOR_ASCEND_SOC is " + socName() + ": expected Ascend910B1, 910B2, 910B3, 910B4 or Ascend910_9391");
}

/// The one device of the process, and its allocations.
struct State {
  Device device{soc()};
  std::map<void *, size_t> allocations;
  uint64_t seed = std::strtoull(environment("UNMOOR_ASCEND_SEED", "0").c_str(), nullptr, 10);
};

inline State &state() {
  static State state;
  return state;
}

/// Whether `bytes` from `pointer` on lie in one allocation.
inline bool holds(const void *pointer, size_t bytes) {
  const auto *const at = static_cast<const char *>(pointer);
  for (const auto &[begin, size] : state().allocations)
    if (at >= begin && at + bytes <= static_cast<char *>(begin) + size) return true;
  return false;
}

/// Memory of the device, not initialised: kernels may not read a byte before it was written. False where there is none.
inline bool allocate(void **memory, size_t bytes) {
  if (memory == nullptr || bytes == 0) return false;
  *memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (*memory == nullptr) return false;
  state().allocations[*memory] = bytes;
  state().device.registerBuffer(*memory, bytes, "allocation " + std::to_string(state().allocations.size()), false);
  return true;
}

inline bool release(void *memory) {
  if (state().allocations.erase(memory) == 0) return false;
  state().device.unregisterBuffer(memory);
  std::free(memory);
  return true;
}

inline bool set(void *memory, size_t most, int32_t value, size_t bytes) {
  if (bytes > most || !holds(memory, bytes)) return false;
  std::memset(memory, value, bytes);
  state().device.markWritten(memory, bytes);
  return true;
}

inline bool copy(void *to, size_t most, const void *from, size_t bytes, bool toDevice, bool fromDevice) {
  if (bytes > most || (toDevice && !holds(to, bytes)) || (fromDevice && !holds(from, bytes))) return false;
  std::memcpy(to, from, bytes);
  if (toDevice) state().device.markWritten(to, bytes);
  return true;
}

/// What LAUNCH calls: takes the blocks, the stream and the arguments of a kernel.
template <class... Params> struct Launcher {
  const char *name;
  KernelMetaType type;
  void (*kernel)(Params...);

  template <class... Args> void operator()(uint32_t blocks, void *, Args... args) const {
    state().device.setSeed(state().seed++);
    state().device.launch(name, type, blocks, kernel, args...);
  }
};
template <class... Params> Launcher(const char *, KernelMetaType, void (*)(Params...)) -> Launcher<Params...>;

}  // namespace unmoor::ascend::acl
