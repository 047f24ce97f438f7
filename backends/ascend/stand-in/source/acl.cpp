// libascendcl.so of the stand-in: acl on unmoor's emulator.
#include "acl/acl.h"

#include "unmoor/acl_device.h"

namespace device = unmoor::ascend::acl;

namespace {

constexpr aclError INVALID = 100000;
aclError status(bool done) { return done ? ACL_SUCCESS : INVALID; }
int one;

}  // namespace

aclError aclInit(const char *) { return ACL_SUCCESS; }
aclError aclFinalize() { return ACL_SUCCESS; }
aclError aclrtSetDevice(int32_t deviceId) { return status(deviceId == 0); }
aclError aclrtResetDevice(int32_t deviceId) { return status(deviceId == 0); }
const char *aclrtGetSocName() { return device::socName().c_str(); }
aclError aclrtCreateStream(aclrtStream *stream) {
  *stream = &one;
  return ACL_SUCCESS;
}
aclError aclrtDestroyStream(aclrtStream stream) { return status(stream == &one); }
aclError aclrtSynchronizeStream(aclrtStream stream) { return status(stream == &one); }
aclError aclrtMalloc(void **devPtr, size_t size, aclrtMemMallocPolicy) { return status(device::allocate(devPtr, size)); }
aclError aclrtFree(void *devPtr) { return status(device::release(devPtr)); }
aclError aclrtMemset(void *devPtr, size_t maxCount, int32_t value, size_t count) {
  return status(device::set(devPtr, maxCount, value, count));
}
aclError aclrtMemcpy(void *dst, size_t destMax, const void *src, size_t count, aclrtMemcpyKind kind) {
  const bool toDevice = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  const bool fromDevice = kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
  return status(device::copy(dst, destMax, src, count, toDevice, fromDevice));
}
