// TPipe, TQue and TBuf: who owns which part of local memory, and when.
#pragma once
#include "call.h"

namespace AscendC {

/// A queue of tensors on their way from one position to another. `depth` bounds how many may wait in it; with depth 0 tensors are
/// handed over in place: AllocTensor(t), EnQue(t), DeQue(t), one after the other.
template <TPosition src, TPosition dst, int32_t depth, auto mask = 0> class TQueBind {
  static_assert(depth >= 0, "a queue has a depth of 0 (in place) or more");
  static constexpr TPosition position = unmoor::ascend::detail::bufferPosition(src, dst);

 public:
  template <typename T> LocalTensor<T> AllocTensor(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here());
  template <typename T>
  bool EnQue(const LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here());
  template <typename T> LocalTensor<T> DeQue(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here());
  template <typename T>
  void AllocTensor(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    tensor = AllocTensor<T>(where);
  }
  template <typename T>
  void DeQue(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    tensor = DeQue<T>(where);
  }
  template <typename T>
  void FreeTensor(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here());
  bool VacantInQue() const;
  bool HasTensorInQue() const;
  bool HasIdleBuffer() const;
  int32_t GetTensorCountInQue() const;

  int32_t id = -1;  // emulator only

 private:
  unmoor::ascend::detail::QueueState &stateOf(const unmoor::ascend::detail::Call &call) const {
    if (id < 0)
      call.fail("queue-not-initialised", unmoor::ascend::detail::nameOf(position), "a queue with buffers",
                "a queue that TPipe::InitBuffer has not seen", "call pipe.InitBuffer(queue, num, bytes) first");
    return call.c.queues[static_cast<size_t>(id)];
  }
  template <typename T>
  unmoor::ascend::detail::Slot &slotOf(const unmoor::ascend::detail::Call &call, const LocalTensor<T> &tensor) const {
    auto &queue = stateOf(call);
    for (auto &slot : queue.slots)
      if (slot.region == tensor.handle.region) return slot;
    call.fail("queue-foreign", queue.text(), "a tensor that AllocTensor of this queue gave out",
              "a tensor of another queue or TBuf", "give each tensor back to the queue it came from");
  }
};

/// A queue that one position names: VECIN comes from global memory, VECOUT goes there, A2 comes from A1.
template <TPosition position, int32_t depth, auto mask = 0>
class TQue : public TQueBind<unmoor::ascend::detail::queueSource(position), unmoor::ascend::detail::queueTarget(position),
                             depth, mask> {
  static_assert(position != TPosition::GM && position != TPosition::VECCALC && position < TPosition::MAX,
                "a queue is at VECIN, VECOUT, A1, A2, B1, B2, C1, C2 or CO1; scratch memory is a TBuf");
};

/// A buffer that stays with the kernel: scratch for calculations.
template <TPosition position = TPosition::LCM> class TBuf {
 public:
  template <typename T> LocalTensor<T> Get(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return Get<T>(handleOf(where).bytes / sizeof(T), where);
  }
  template <typename T>
  LocalTensor<T> Get(uint32_t len, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return GetWithOffset<T>(len, 0, where);
  }
  /// `len` elements, `offset` bytes into the buffer.
  template <typename T>
  LocalTensor<T> GetWithOffset(uint32_t len, uint32_t offset,
                               unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    const unmoor::ascend::detail::Call call("TBuf::Get", PIPE_S, where);
    auto handle = handleOf(where);
    const uint64_t bytes = uint64_t{len} * sizeof(T);
    call.require(offset + bytes <= handle.bytes, "local-range",
                 call.c.regions[static_cast<size_t>(handle.region)].text().c_str(),
                 "at most " + std::to_string(handle.bytes) + " bytes", std::to_string(offset + bytes) + " bytes",
                 "make the buffer larger in InitBuffer, or ask for fewer elements");
    handle.address += offset;
    handle.bytes = static_cast<uint32_t>(bytes);
    return LocalTensor<T>(handle);
  }

  int32_t region = -1;  // emulator only

 private:
  unmoor::ascend::detail::LocalHandle handleOf(unmoor::ascend::SourceLoc where) const {
    const unmoor::ascend::detail::Call call("TBuf::Get", PIPE_S, where);
    if (region < 0)
      call.fail("queue-not-initialised", unmoor::ascend::detail::nameOf(position), "a TBuf with memory",
                "a TBuf that TPipe::InitBuffer has not seen", "call pipe.InitBuffer(buffer, bytes) first");
    const auto &r = call.c.regions[static_cast<size_t>(region)];
    return {r.position, r.begin, r.end - r.begin, region, r.generation};
  }
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
  void Reset(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    Core &c = core();
    checkLeftovers(c, where);
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
    const Call call("TPipe::InitBuffer", PIPE_S, where);
    call.limit("num", num, 1, 255, "give the queue at least one buffer");
    constexpr TPosition position = bufferPosition(src, dst);
    QueueState state{position, enqueueEvent(src, dst), freeEvent(src, dst), depth, where, {}, {}};
    for (uint32_t i = 0; i < num; i++) state.slots.push_back({Slot::Free, allocate(call, position, len, num)});
    queue.id = static_cast<int32_t>(call.c.queues.size());
    call.c.queues.push_back(std::move(state));
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

  /// Emulator only: refuses queues that still hold tensors, and takes down the flags of their freed buffers.
  static void checkLeftovers(unmoor::ascend::detail::Core &c, unmoor::ascend::SourceLoc where);

 private:
  TEventID pickEvent(HardEvent event, bool reserve, unmoor::ascend::SourceLoc where) {
    const unmoor::ascend::detail::Call call("TPipe::FetchEventID", PIPE_S, where);
    return call.c.pickEvent(call.at, event, reserve);
  }

  int32_t allocate(const unmoor::ascend::detail::Call &call, TPosition position, uint32_t len, uint32_t num) {
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
inline TPipe *GetTPipePtr() {
  const unmoor::ascend::detail::Call call("GetTPipePtr", PIPE_S, {});
  if (call.c.pipe == nullptr)
    call.fail("no-pipe", "", "a TPipe in the kernel", "none", "declare a TPipe before fetching event ids");
  return static_cast<TPipe *>(call.c.pipe);
}

}  // namespace AscendC

#include "queue.h"  // the members declared above
