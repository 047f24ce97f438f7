// The part of acl that a project's launches and main use, on the emulator: see unmoor/acl_device.h.
#pragma once
#include "unmoor/acl_device.h"

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

inline aclError aclrtMalloc(void **memory, size_t bytes, aclrtMemMallocPolicy) {
  return unmoor::ascend::acl::allocate(memory, bytes) ? ACL_SUCCESS : ACL_ERROR_INVALID_PARAM;
}
inline aclError aclrtFree(void *memory) {
  return unmoor::ascend::acl::release(memory) ? ACL_SUCCESS : ACL_ERROR_INVALID_PARAM;
}
inline aclError aclrtMemset(void *memory, size_t most, int32_t value, size_t bytes) {
  return unmoor::ascend::acl::set(memory, most, value, bytes) ? ACL_SUCCESS : ACL_ERROR_INVALID_PARAM;
}
inline aclError aclrtMemcpy(void *to, size_t most, const void *from, size_t bytes, aclrtMemcpyKind kind) {
  const bool toDevice = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  const bool fromDevice = kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  return unmoor::ascend::acl::copy(to, most, from, bytes, toDevice, fromDevice) ? ACL_SUCCESS : ACL_ERROR_INVALID_PARAM;
}
