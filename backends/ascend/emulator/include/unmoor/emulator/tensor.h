// GlobalTensor and LocalTensor.
#pragma once
#include "core.h"
#include "params.h"

namespace unmoor::ascend::detail {

/// Handle on a part of a local buffer.
struct LocalHandle {
  TPosition position = TPosition::MAX;
  uint32_t address = 0;  // bytes from the start of the memory
  uint32_t bytes = 0;
  int32_t region = -1;
  uint32_t generation = 0;
  Space space() const { return spaceOf(position); }
};

/// Refuses a tensor that was never allocated, or that FreeTensor or Reset has taken back.
UNMOOR_COMMON const Region &liveRegion(Core &core, const Instruction &at, const LocalHandle &handle, const char *operand) {
  if (handle.region < 0 || static_cast<size_t>(handle.region) >= core.regions.size())
    core.fail(at, {"no-tensor", "", operand, "a tensor from AllocTensor, DeQue or TBuf::Get", "an empty LocalTensor",
                   "allocate the tensor before it is used"});
  const Region &region = core.regions[static_cast<size_t>(handle.region)];
  if (handle.generation != region.generation)
    core.fail(at, {"use-after-free", "", std::string(operand) + " in " + region.text(), "a tensor that is allocated",
                   "a tensor that FreeTensor or Reset has taken back", "use the tensor before that, or allocate it anew"});
  return region;
}

/// One run of bytes of a local tensor, `offset` bytes from its start.
UNMOOR_COMMON Range localRange(Core &core, const Instruction &at, const LocalHandle &handle, const char *operand,
                        Access access, uint64_t bytes, uint64_t offset = 0) {
  liveRegion(core, at, handle, operand);
  Range out{handle.space(), access, handle.region, handle.address + offset, static_cast<uint32_t>(bytes)};
  out.operand = operand;
  return out;
}

/// Memory at a fixed place. The same place is the same buffer.
UNMOOR_COMMON LocalHandle placed(TPosition position, uint32_t address, uint64_t bytes, SourceLoc where) {
  Core &c = core();
  const Space space = spaceOf(position);
  const Instruction at{"LocalTensor", PIPE_S, where};
  const uint32_t capacity = space == Space::GM || space == Space::None ? 0 : c.capacity(space);
  if (address + bytes > capacity)
    c.fail(at, {space == Space::UB ? "ub-capacity" : "capacity", "", nameOf(position),
                "at most " + std::to_string(capacity) + " bytes of " + nameOf(space) + " on a " + nameOf(c.kind),
                "bytes " + std::to_string(address) + ".." + std::to_string(address + bytes), "use a smaller tile or a lower address"});
  const auto end = static_cast<uint32_t>(address + bytes);
  for (size_t i = 0; i < c.regions.size(); i++) {
    const Region &one = c.regions[i];
    if (one.position == position && one.begin == address && one.end == end)
      return {position, address, end - address, static_cast<int32_t>(i), one.generation};
  }
  c.regions.push_back({space, position, address, end, 0, static_cast<uint32_t>(c.regions.size()), where});
  return {position, address, end - address, static_cast<int32_t>(c.regions.size()) - 1, 0};
}

/// One element of local memory, by the scalar unit.
UNMOOR_COMMON void readElement(const LocalHandle &handle, uint64_t offset, uint32_t size, void *out, SourceLoc where) {
  Core &c = core();
  const Instruction at{"LocalTensor::GetValue", PIPE_S, where};
  const Range range = localRange(c, at, handle, "tensor", Access::Read, size, offset);
  c.issueScalar(at, {range}, {}, [&] { std::memcpy(out, c.bytesAt(range.space, range.begin), size); });
}
UNMOOR_COMMON void writeElement(const LocalHandle &handle, uint64_t offset, uint32_t size, const void *value, SourceLoc where) {
  Core &c = core();
  const Instruction at{"LocalTensor::SetValue", PIPE_S, where};
  const Range range = localRange(c, at, handle, "tensor", Access::Write, size, offset);
  c.issueScalar(at, {}, {range}, [&] { std::memcpy(c.bytesAt(range.space, range.begin), value, size); });
}

/// A part of global memory: where SetGlobalBuffer says that it begins and ends (0: nowhere), and where a tensor stands in it.
struct GlobalHandle {
  uint64_t base = 0, at = 0, bytes = 0;
};

/// Rows of bytes of a global tensor, refused when outside of the size given to SetGlobalBuffer.
UNMOOR_COMMON Range globalRange(const GlobalHandle &handle, const Instruction &instruction, const char *operand,
                                Access access, uint64_t bytes, uint64_t offset, uint64_t rows, uint64_t rowStride) {
  const uint64_t from = handle.at + offset;
  if (handle.bytes != 0 && bytes != 0 && rows != 0) {
    const auto first = static_cast<int64_t>(from - handle.base);
    const int64_t end = first + static_cast<int64_t>((rows - 1) * rowStride + bytes);
    if (first < 0 || end > static_cast<int64_t>(handle.bytes))
      core().fail(instruction, {"gm-range", "", operand,
                                "bytes 0.." + std::to_string(handle.bytes) + " set by SetGlobalBuffer",
                                "bytes " + std::to_string(first) + ".." + std::to_string(end),
                                "lower the length of the last transfer, or correct the size in SetGlobalBuffer"});
  }
  Range out{Space::GM, access, -1, from, static_cast<uint32_t>(bytes)};
  out.inner = static_cast<uint32_t>(rows);
  out.innerStride = static_cast<int64_t>(rowStride);
  out.operand = operand;
  return out;
}

/// One element of global memory, by the scalar unit.
UNMOOR_COMMON void readElement(const GlobalHandle &handle, uint64_t offset, uint32_t size, void *out, SourceLoc where) {
  const Instruction at{"GlobalTensor::GetValue", PIPE_S, where};
  const Range one = globalRange(handle, at, "global tensor", Access::Read, size, offset, 1, 0);
  core().issueScalar(at, {one}, {}, [&] { std::memcpy(out, reinterpret_cast<const void *>(one.begin), size); });
}
UNMOOR_COMMON void writeElement(const GlobalHandle &handle, uint64_t offset, uint32_t size, const void *value, SourceLoc where) {
  const Instruction at{"GlobalTensor::SetValue", PIPE_S, where};
  const Range one = globalRange(handle, at, "global tensor", Access::Write, size, offset, 1, 0);
  core().issueScalar(at, {}, {one}, [&] { std::memcpy(reinterpret_cast<void *>(one.begin), value, size); });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T> class LocalTensor;

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// The right side of an operator on tensors, with the place of the call: operators have no default arguments.
template <typename T> struct RightTensor {
  RightTensor(const AscendC::LocalTensor<T> &tensor, SourceLoc where = SourceLoc::here()) : tensor(tensor), where(where) {}
  AscendC::LocalTensor<T> tensor;
  SourceLoc where;
};

/// `left + right` and the like: computed when a tensor is assigned it, for as many elements as that tensor has.
enum class TensorOp { Add, Sub, Mul, Div, And, Or };
template <typename T, TensorOp OP> struct TensorPair {
  AscendC::LocalTensor<T> left;
  RightTensor<T> right;
};
/// `left < right` and the like, for as many elements as `left` has.
template <typename T> struct TensorComparison {
  AscendC::LocalTensor<T> left;
  RightTensor<T> right;
  AscendC::CMPMODE mode;
};

/// One element, where the kernel reads or assigns it.
template <typename T> struct LocalElement {
  const AscendC::LocalTensor<T> &tensor;
  uint32_t index;
  SourceLoc where;
  operator T() const { return tensor.GetValue(index, where); }
  const LocalElement &operator=(T value) const {
    tensor.SetValue(index, value, where);
    return *this;
  }
  const LocalElement &operator=(const LocalElement &other) const { return *this = static_cast<T>(other); }
  const LocalElement &operator+=(T value) const { return *this = static_cast<T>(*this) + value; }
  const LocalElement &operator-=(T value) const { return *this = static_cast<T>(*this) - value; }
  const LocalElement &operator*=(T value) const { return *this = static_cast<T>(*this) * value; }
  const LocalElement &operator/=(T value) const { return *this = static_cast<T>(*this) / value; }
};

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// A part of a core's local memory.
template <typename T> class LocalTensor {
  using Right = unmoor::ascend::detail::RightTensor<T>;
  using Op = unmoor::ascend::detail::TensorOp;
  template <Op OP> using Pair = unmoor::ascend::detail::TensorPair<T, OP>;
  using Comparison = unmoor::ascend::detail::TensorComparison<T>;

 public:
  using PrimType = T;
  LocalTensor() = default;
  explicit LocalTensor(const unmoor::ascend::detail::LocalHandle &handle) : handle(handle) {}
  /// `tileSize` elements at an address of one's own choice, for kernels without a TPipe.
  LocalTensor(TPosition position, uint32_t address, uint32_t tileSize,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here())
      : handle(unmoor::ascend::detail::placed(position, address, uint64_t{tileSize} * sizeof(T), where)) {}

  uint32_t GetSize() const { return handle.bytes / sizeof(T); }
  /// The address within its memory, for calls that take addresses; here nothing can be read or written through it.
  __ubuf__ T *GetPhyAddr() const { return reinterpret_cast<T *>(static_cast<uintptr_t>(handle.address)); }
  __ubuf__ T *GetPhyAddr(uint32_t offset) const { return GetPhyAddr() + offset; }
  void SetSize(uint32_t size) { handle.bytes = size * sizeof(T); }
  TPosition GetPosition() const { return handle.position; }

  LocalTensor operator[](uint32_t offset) const {
    LocalTensor out = *this;
    const uint64_t bytes = static_cast<uint64_t>(offset) * sizeof(T);
    out.handle.address += static_cast<uint32_t>(bytes);
    out.handle.bytes = bytes < handle.bytes ? handle.bytes - static_cast<uint32_t>(bytes) : 0;
    return out;
  }

  template <typename U> LocalTensor<U> ReinterpretCast() const { return LocalTensor<U>(handle); }

  T GetValue(uint32_t index, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) const {
    T out{};
    unmoor::ascend::detail::readElement(handle, uint64_t{index} * sizeof(T), sizeof(T), &out, where);
    return out;
  }

  template <typename S>
  void SetValue(uint32_t index, const S element,
                unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) const {
    const T value = static_cast<T>(element);
    unmoor::ascend::detail::writeElement(handle, uint64_t{index} * sizeof(T), sizeof(T), &value, where);
  }

  /// An element by the scalar unit: read where it is used, written where it is assigned.
  unmoor::ascend::detail::LocalElement<T> operator()(uint32_t offset,
                                                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) const {
    return {*this, offset, where};
  }

  Pair<Op::Add> operator+(const Right &src1) const { return {*this, src1}; }
  Pair<Op::Sub> operator-(const Right &src1) const { return {*this, src1}; }
  Pair<Op::Mul> operator*(const Right &src1) const { return {*this, src1}; }
  Pair<Op::Div> operator/(const Right &src1) const { return {*this, src1}; }
  Pair<Op::And> operator&(const Right &src1) const { return {*this, src1}; }
  Pair<Op::Or> operator|(const Right &src1) const { return {*this, src1}; }
  Comparison operator<(const Right &src1) const { return {*this, src1, CMPMODE::LT}; }
  Comparison operator>(const Right &src1) const { return {*this, src1, CMPMODE::GT}; }
  Comparison operator==(const Right &src1) const { return {*this, src1, CMPMODE::EQ}; }
  Comparison operator!=(const Right &src1) const { return {*this, src1, CMPMODE::NE}; }
  Comparison operator<=(const Right &src1) const { return {*this, src1, CMPMODE::LE}; }
  Comparison operator>=(const Right &src1) const { return {*this, src1, CMPMODE::GE}; }
  template <Op OP> void operator=(const Pair<OP> &pair);
  void operator=(const unmoor::ascend::detail::TensorComparison<float> &comparison);
  void operator=(const unmoor::ascend::detail::TensorComparison<half> &comparison);

  unmoor::ascend::detail::LocalHandle handle;  // emulator only
};

enum class CacheMode { CACHE_MODE_DISABLE = 0, CACHE_MODE_NORMAL = 1 };

/// A part of global memory.
template <typename T> class GlobalTensor {
 public:
  using PrimType = T;
  GlobalTensor() = default;

  void SetGlobalBuffer(T *buffer) { SetGlobalBuffer(buffer, 0); }
  void SetGlobalBuffer(T *buffer, uint64_t size) {
    base = at = buffer;
    limit = size;
  }
  uint64_t GetSize() const { return limit; }
  const T *GetPhyAddr() const { return at; }
  const T *GetPhyAddr(uint64_t offset) const { return at + offset; }

  GlobalTensor operator[](uint64_t offset) const {
    GlobalTensor out = *this;
    out.at = at + offset;
    return out;
  }

  void SetL2CacheHint(CacheMode) {}

  T GetValue(uint64_t offset, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) const {
    T out{};
    unmoor::ascend::detail::readElement(handle(), offset * sizeof(T), sizeof(T), &out, where);
    return out;
  }

  void SetValue(uint64_t offset, T value,
                unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) const {
    unmoor::ascend::detail::writeElement(handle(), offset * sizeof(T), sizeof(T), &value, where);
  }

  /// Emulator only: rows of bytes from the start of this tensor.
  unmoor::ascend::detail::Range range(const unmoor::ascend::detail::Instruction &instruction, const char *operand,
                                      unmoor::ascend::detail::Access access, uint64_t bytes, uint64_t offset = 0,
                                      uint64_t rows = 1, uint64_t rowStride = 0) const {
    return unmoor::ascend::detail::globalRange(handle(), instruction, operand, access, bytes, offset, rows, rowStride);
  }
  unmoor::ascend::detail::GlobalHandle handle() const {
    return {reinterpret_cast<uint64_t>(base), reinterpret_cast<uint64_t>(at), limit * sizeof(T)};
  }

 private:
  T *base = nullptr;
  T *at = nullptr;
  uint64_t limit = 0;
};

}  // namespace AscendC
