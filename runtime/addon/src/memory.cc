// Memory outside the V8 heap. Each region is one external ArrayBuffer whose backing store unmaps it: the garbage collector,
// an early free and a run that is still in flight then share one count of users, V8's own.
#include <fcntl.h>
#include <nan.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "addon.h"

namespace unmoor {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr double kMostBytes = 1099511627776.0 * 128;  // the user half of a 47-bit address space

std::atomic<int64_t> bytes_in_use{0};

struct Region {
  void* base;
  size_t length;
};

// V8 calls this from any thread.
void Unmap(void*, size_t, void* data) {
  auto* region = static_cast<Region*>(data);
  munmap(region->base, region->length);
  bytes_in_use -= static_cast<int64_t>(region->length);
  delete region;
}

v8::Local<v8::ArrayBuffer> Wrap(char* data, size_t bytes, void* base, size_t length) {
  bytes_in_use += static_cast<int64_t>(length);
  auto store = v8::ArrayBuffer::NewBackingStore(data, bytes, Unmap, new Region{base, length});
  return v8::ArrayBuffer::New(v8::Isolate::GetCurrent(), std::move(store));
}

bool ToSize(v8::Local<v8::Value> value, size_t* size) {
  const double number = Nan::To<double>(value).FromMaybe(-1);
  if (!(number >= 0 && number <= kMostBytes && number == std::floor(number))) return false;
  *size = static_cast<size_t>(number);
  return true;
}

}  // namespace

// allocateMemory(bytes: number > 0): ArrayBuffer of zeros
NAN_METHOD(AllocateMemory) {
  size_t bytes = 0;
  if (!ToSize(info[0], &bytes) || bytes == 0) return Nan::ThrowRangeError("the size is out of range");
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const bool huge = bytes >= kHugePage;
  const size_t length = (bytes + page - 1) / page * page;
  const size_t reserved = huge ? length + kHugePage : length;
  void* mapped = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return Nan::ThrowError(strerror(errno));
  char* base = static_cast<char*>(mapped);
  if (huge) {
    const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(base) % kHugePage) % kHugePage;
    if (head > 0) munmap(base, head);
    munmap(base + head + length, kHugePage - head);
    base += head;
    madvise(base, length, MADV_HUGEPAGE);  // only a hint: kernels without huge pages refuse it
  }
  info.GetReturnValue().Set(Wrap(base, bytes, base, length));
}

// mapFile(path: string, offset: number, bytes: number > 0): ArrayBuffer
NAN_METHOD(MapFile) {
  Nan::Utf8String path(info[0]);
  size_t offset = 0;
  size_t bytes = 0;
  if (*path == nullptr || !ToSize(info[1], &offset) || !ToSize(info[2], &bytes) || bytes == 0) {
    return Nan::ThrowRangeError("the byte range is out of range");
  }
  const int file = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return Nan::ThrowError(strerror(errno));
  struct stat status;
  const bool fits = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                    offset + bytes <= static_cast<uint64_t>(status.st_size);
  if (!fits) {
    close(file);
    return Nan::ThrowError("the file is not a regular file of at least that size");
  }
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t lead = offset % page;
  // Writable but private: a stray write through a view changes this process's copy, never the file, and does not fault.
  // Not reserved: pages that nobody writes need no swap.
  void* base = mmap(nullptr, lead + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file,
                    static_cast<off_t>(offset - lead));
  const int error = errno;
  close(file);
  if (base == MAP_FAILED) return Nan::ThrowError(strerror(error));
  info.GetReturnValue().Set(Wrap(static_cast<char*>(base) + lead, bytes, base, lead + bytes));
}

// freeMemory(buffer: ArrayBuffer): detaches it and so every view; the memory goes when the last run that uses it ends
NAN_METHOD(FreeMemory) {
  if (!info[0]->IsArrayBuffer()) return Nan::ThrowTypeError("freeMemory expects an ArrayBuffer");
  if (info[0].As<v8::ArrayBuffer>()->Detach(v8::Local<v8::Value>()).IsNothing()) return;
}

// memoryInUse(): number of bytes mapped by the two functions above
NAN_METHOD(MemoryInUse) { info.GetReturnValue().Set(static_cast<double>(bytes_in_use.load())); }

}  // namespace unmoor
