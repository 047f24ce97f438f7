// TPipe and TBuf: who owns which part of local memory.
#pragma once
#include "queue.h"

namespace unmoor::ascend::detail {

/// The memory that InitBuffer gave a TBuf; `region` is -1 before that.
UNMOOR_COMMON LocalHandle bufferHandle(int32_t region, TPosition position, SourceLoc where) {
  const Call call("TBuf::Get", PIPE_S, where);
  if (region < 0)
    call.fail("queue-not-initialised", nameOf(position), "a TBuf with memory", "a TBuf that TPipe::InitBuffer has not seen",
              "call pipe.InitBuffer(buffer, bytes) first");
  const Region &r = call.c.regions[static_cast<size_t>(region)];
  return {r.position, r.begin, r.end - r.begin, region, r.generation};
}

/// A part of it.
UNMOOR_COMMON LocalHandle bufferPart(int32_t region, TPosition position, uint64_t bytes, uint32_t offset, SourceLoc where) {
  LocalHandle handle = bufferHandle(region, position, where);
  const Call call("TBuf::Get", PIPE_S, where);
  call.require(offset + bytes <= handle.bytes, "local-range", call.c.regions[static_cast<size_t>(region)].text().c_str(),
               "at most " + std::to_string(handle.bytes) + " bytes", std::to_string(offset + bytes) + " bytes",
               "make the buffer larger in InitBuffer, or ask for fewer elements");
  handle.address += offset;
  handle.bytes = static_cast<uint32_t>(bytes);
  return handle;
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// A buffer that stays with the kernel: scratch for calculations.
template <TPosition position = TPosition::LCM> class TBuf {
 public:
  template <typename T> LocalTensor<T> Get(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return LocalTensor<T>(unmoor::ascend::detail::bufferHandle(region, position, where));
  }
  template <typename T>
  LocalTensor<T> Get(uint32_t len, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return GetWithOffset<T>(len, 0, where);
  }
  /// `len` elements, `offset` bytes into the buffer.
  template <typename T>
  LocalTensor<T> GetWithOffset(uint32_t len, uint32_t offset,
                               unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return LocalTensor<T>(unmoor::ascend::detail::bufferPart(region, position, uint64_t{len} * sizeof(T), offset, where));
  }

  int32_t region = -1;  // emulator only
};

/// Hands out local memory and event ids.
class TPipe {
 public:
  TPipe() { Init(); }
  TPipe(const TPipe &) = delete;
  TPipe &operator=(const TPipe &) = delete;
  void Init() { unmoor::ascend::detail::core().pipe = this; }
  void Destroy(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) { Reset(where); }
  /// Takes back every buffer, so that a second phase can lay out local memory anew.
  UNMOOR_COMMON void Reset(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    Core &c = core();
    unmoor::ascend::detail::checkLeftovers(c, where);
    c.scheduler.settle();
    for (auto &region : c.regions) {
      region.generation++;
      c.local(region.space).refresh(region.begin, region.end);
    }
    for (auto &memory : c.memory) memory.used = 0;
    c.queues.clear();
    buffers = 0;
  }

  template <TPosition src, TPosition dst, int32_t depth, auto mask>
  bool InitBuffer(TQueBind<src, dst, depth, mask> &queue, uint8_t num, uint32_t len,
                  unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    queue.id = makeQueue({bufferPosition(src, dst), enqueueEvent(src, dst), freeEvent(src, dst), depth, where, {}, {}}, num, len);
    return true;
  }

  template <TPosition position>
  bool InitBuffer(TBuf<position> &buffer, uint32_t len,
                  unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    buffer.region = allocate(Call("TPipe::InitBuffer", PIPE_S, where), position, len, 1);
    return true;
  }

  /// An id nobody has reserved. It is not reserved by this, so wait for it before fetching the next.
  TEventID FetchEventID(HardEvent event, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return pickEvent(event, false, where);
  }
  template <HardEvent event> TEventID FetchEventID(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return pickEvent(event, false, where);
  }
  template <HardEvent event> TEventID AllocEventID(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return pickEvent(event, true, where);
  }
  template <HardEvent event> void ReleaseEventID(TEventID id) {
    unmoor::ascend::detail::core().reservedEvents[static_cast<size_t>(event)][static_cast<size_t>(id)] = false;
  }

 private:
  UNMOOR_COMMON TEventID pickEvent(HardEvent event, bool reserve, unmoor::ascend::SourceLoc where) {
    const unmoor::ascend::detail::Call call("TPipe::FetchEventID", PIPE_S, where);
    return call.c.pickEvent(call.at, event, reserve);
  }

  UNMOOR_COMMON int32_t makeQueue(unmoor::ascend::detail::QueueState state, uint8_t num, uint32_t len) {
    using namespace unmoor::ascend::detail;
    const Call call("TPipe::InitBuffer", PIPE_S, state.madeAt);
    call.limit("num", num, 1, 255, "give the queue at least one buffer");
    for (uint32_t i = 0; i < num; i++) state.slots.push_back({Slot::Free, allocate(call, state.position, len, num)});
    call.c.queues.push_back(std::move(state));
    return static_cast<int32_t>(call.c.queues.size()) - 1;
  }

  UNMOOR_COMMON int32_t allocate(const unmoor::ascend::detail::Call &call, TPosition position, uint32_t len, uint32_t num) {
    using namespace unmoor::ascend::detail;
    const Space space = spaceOf(position);
    if (space == Space::GM || space == Space::None)
      call.fail("position", nameOf(position), "a position in local memory of architecture 2201",
                std::string(nameOf(position)) + ", which has no local memory there",
                "CO1 goes to GM with Fixpipe, and from there to UB; CO2 exists on older chips only");
    Core &c = call.c;
    const uint32_t capacity = c.capacity(space);
    if (capacity == 0)
      call.fail("core-kind", nameOf(position), std::string("a core that has ") + nameOf(space),
                std::string("a ") + nameOf(c.kind), space == Space::UB
                    ? "declare the kernel KERNEL_TYPE_AIV_ONLY, or guard the code with ASCEND_IS_AIV"
                    : "declare the kernel KERNEL_TYPE_AIC_ONLY, or guard the code with ASCEND_IS_AIC");
    call.limit("bytes of a buffer", len, 1, UINT32_MAX, "ask for at least one byte");
    if (++buffers > unmoor::ascend::arch2201::MAX_BUFFERS)
      call.fail("buffer-count", "", "at most 64 buffers per TPipe", std::to_string(buffers),
                "take several tensors out of one TBuf with GetWithOffset");
    LocalMemory &memory = c.local(space);
    const uint64_t rounded = (uint64_t{len} + 31) / 32 * 32;
    if (memory.used + rounded > capacity)
      call.fail(space == Space::UB ? "ub-capacity" : "capacity", nameOf(position),
                std::string("at most ") + std::to_string(capacity) + " bytes of " + nameOf(space) + " per core",
                std::to_string(memory.used) + " bytes in use and " + std::to_string(rounded) + " more asked for (" +
                    std::to_string(num) + " x " + std::to_string(len) + ")",
                "use smaller tiles or fewer buffers per queue");
    const uint32_t begin = memory.used;
    const uint32_t end = begin + static_cast<uint32_t>(rounded);
    memory.used = end;
    memory.refresh(begin, end);
    c.regions.push_back(
        {space, position, begin, end, 0, static_cast<uint32_t>(c.regions.size()), call.at.where});
    return static_cast<int32_t>(c.regions.size()) - 1;
  }

  uint32_t buffers = 0;
};

/// The TPipe of the running kernel.
UNMOOR_COMMON TPipe *GetTPipePtr() {
  const unmoor::ascend::detail::Call call("GetTPipePtr", PIPE_S, {});
  if (call.c.pipe == nullptr)
    call.fail("no-pipe", "", "a TPipe in the kernel", "none", "declare a TPipe before fetching event ids");
  return static_cast<TPipe *>(call.c.pipe);
}

}  // namespace AscendC
