// The part of acl that a project's launches and main use, on the emulator: device memory is host memory that kernels may touch,
// and a launch has ended when it returns. Faults that the emulator finds are thrown.
// UNMOOR_ASCEND_SOC (Ascend910B3) and UNMOOR_ASCEND_SEED (0) in the environment choose the chip and the order of blocks and pipes.
#pragma once
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "unmoor/ascend_host.h"

using aclError = int;
using aclrtStream = void *;
constexpr aclError ACL_SUCCESS = 0;
constexpr aclError ACL_ERROR_INVALID_PARAM = 100000;

enum aclrtMemMallocPolicy { ACL_MEM_MALLOC_HUGE_FIRST, ACL_MEM_MALLOC_HUGE_ONLY, ACL_MEM_MALLOC_NORMAL_ONLY };
enum aclrtMemcpyKind {
  ACL_MEMCPY_HOST_TO_HOST,
  ACL_MEMCPY_HOST_TO_DEVICE,
  ACL_MEMCPY_DEVICE_TO_HOST,
  ACL_MEMCPY_DEVICE_TO_DEVICE
};

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

/// What LAUNCH calls: takes the blocks, the stream and the arguments of a kernel.
template <class... Params> struct Launcher {
  const char *name;
  KernelMetaType type;
  void (*kernel)(Params...);

  template <class... Args> void operator()(uint32_t blocks, aclrtStream, Args... args) const {
    state().device.setSeed(state().seed++);
    state().device.launch(name, type, blocks, kernel, args...);
  }
};
template <class... Params> Launcher(const char *, KernelMetaType, void (*)(Params...)) -> Launcher<Params...>;

}  // namespace unmoor::ascend::acl

#define UNMOOR_EMULATE(kernel, type) (unmoor::ascend::acl::Launcher{#kernel, KERNEL_TYPE_##type, kernel})

inline aclError aclInit(const char *) { return ACL_SUCCESS; }
inline aclError aclFinalize() { return ACL_SUCCESS; }
inline aclError aclrtSetDevice(int32_t device) { return device == 0 ? ACL_SUCCESS : ACL_ERROR_INVALID_PARAM; }
inline aclError aclrtResetDevice(int32_t) { return ACL_SUCCESS; }
inline const char *aclrtGetSocName() { return unmoor::ascend::acl::socName().c_str(); }
inline aclError aclrtCreateStream(aclrtStream *stream) {
  static int one;
  *stream = &one;
  return ACL_SUCCESS;
}
inline aclError aclrtDestroyStream(aclrtStream) { return ACL_SUCCESS; }
inline aclError aclrtSynchronizeStream(aclrtStream) { return ACL_SUCCESS; }

/// Not initialised: kernels may not read a byte before it was written.
inline aclError aclrtMalloc(void **memory, size_t bytes, aclrtMemMallocPolicy) {
  namespace acl = unmoor::ascend::acl;
  if (memory == nullptr || bytes == 0) return ACL_ERROR_INVALID_PARAM;
  *memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (*memory == nullptr) return ACL_ERROR_INVALID_PARAM;
  acl::state().allocations[*memory] = bytes;
  acl::state().device.registerBuffer(*memory, bytes, "allocation " + std::to_string(acl::state().allocations.size()), false);
  return ACL_SUCCESS;
}

inline aclError aclrtFree(void *memory) {
  namespace acl = unmoor::ascend::acl;
  if (acl::state().allocations.erase(memory) == 0) return ACL_ERROR_INVALID_PARAM;
  acl::state().device.unregisterBuffer(memory);
  std::free(memory);
  return ACL_SUCCESS;
}

inline aclError aclrtMemset(void *memory, size_t most, int32_t value, size_t bytes) {
  namespace acl = unmoor::ascend::acl;
  if (bytes > most || !acl::holds(memory, bytes)) return ACL_ERROR_INVALID_PARAM;
  std::memset(memory, value, bytes);
  acl::state().device.markWritten(memory, bytes);
  return ACL_SUCCESS;
}

inline aclError aclrtMemcpy(void *to, size_t most, const void *from, size_t bytes, aclrtMemcpyKind kind) {
  namespace acl = unmoor::ascend::acl;
  const bool toDevice = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  const bool fromDevice = kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  if (bytes > most || (toDevice && !acl::holds(to, bytes)) || (fromDevice && !acl::holds(from, bytes)))
    return ACL_ERROR_INVALID_PARAM;
  std::memcpy(to, from, bytes);
  if (toDevice) acl::state().device.markWritten(to, bytes);
  return ACL_SUCCESS;
}
