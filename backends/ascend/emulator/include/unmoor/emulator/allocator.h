// Local memory without a TPipe: tensors one after the other.
#pragma once
#include "call.h"

namespace AscendC {

/// Physical memories, for LocalMemAllocator.
enum class Hardware : uint8_t { GM, UB, L1, L0A, L0B, L0C, BIAS, FIXBUF, MAX };

}  // namespace AscendC

namespace unmoor::ascend::detail {

constexpr TPosition positionIn(AscendC::Hardware memory) {
  switch (memory) {
    case AscendC::Hardware::UB: return TPosition::VECCALC;
    case AscendC::Hardware::L1: return TPosition::A1;
    case AscendC::Hardware::L0A: return TPosition::A2;
    case AscendC::Hardware::L0B: return TPosition::B2;
    case AscendC::Hardware::L0C: return TPosition::CO1;
    case AscendC::Hardware::BIAS: return TPosition::C2;
    default: return TPosition::MAX;
  }
}

/// One allocator for each memory of a core, and none beside a TPipe: both begin at address 0.
UNMOOR_COMMON void takeAllocator(TPosition position, SourceLoc where) {
  const Call call("LocalMemAllocator", PIPE_S, where);
  call.require(call.c.pipe == nullptr, "mixed-allocation", nameOf(spaceOf(position)), "a kernel without a TPipe", "a TPipe, whose buffers begin at address 0 too",
               "take all tensors from the allocator, or all from the TPipe");
  bool &taken = call.c.allocators[static_cast<size_t>(spaceOf(position))];
  call.require(!taken, "mixed-allocation", nameOf(spaceOf(position)), "one LocalMemAllocator for each memory", "a second, which begins at address 0 again",
               "hand the first one on by reference");
  taken = true;
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Hands out tensors of one memory, each after the one before, at multiples of what the memory asks for.
template <Hardware hard = Hardware::UB> class LocalMemAllocator {
  using Where = unmoor::ascend::SourceLoc;
  static constexpr TPosition OWN = unmoor::ascend::detail::positionIn(hard);
  static_assert(OWN != TPosition::MAX, "UB, L1, L0A, L0B, L0C or BIAS");

 public:
  LocalMemAllocator(Where where = Where::here()) { unmoor::ascend::detail::takeAllocator(OWN, where); }
  LocalMemAllocator(const LocalMemAllocator &) = delete;
  LocalMemAllocator &operator=(const LocalMemAllocator &) = delete;

  uint32_t GetCurAddr() const { return head; }

  template <TPosition pos, class DataType> LocalTensor<DataType> Alloc(uint32_t tileSize, Where where = Where::here()) {
    namespace d = unmoor::ascend::detail;
    static_assert(d::spaceOf(pos) == d::spaceOf(OWN), "a position in the memory of the allocator");
    const uint64_t bytes = uint64_t{tileSize} * sizeof(DataType), unit = d::alignmentOf(d::spaceOf(OWN));
    const LocalTensor<DataType> out(d::placed(pos, head, bytes, where));
    head += static_cast<uint32_t>((bytes + unit - 1) / unit * unit);
    return out;
  }
  template <class DataType> LocalTensor<DataType> Alloc(uint32_t tileSize, Where where = Where::here()) {
    return Alloc<OWN, DataType>(tileSize, where);
  }
  template <TPosition pos, class DataType, uint32_t tileSize> LocalTensor<DataType> Alloc(Where where = Where::here()) {
    return Alloc<pos, DataType>(tileSize, where);
  }
  template <class DataType, uint32_t tileSize> LocalTensor<DataType> Alloc(Where where = Where::here()) {
    return Alloc<OWN, DataType>(tileSize, where);
  }

 private:
  uint32_t head = 0;
};

}  // namespace AscendC
