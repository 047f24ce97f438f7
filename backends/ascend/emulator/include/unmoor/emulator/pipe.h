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

/// A part of local memory that buffers are cut from: a pool. Its owner's memory where it has none.
struct Area {
  Space space = Space::None;
  uint32_t begin = 0, end = 0, used = 0;
  bool inUse = false;            // buffers were made in it since the last Reset
  const Area *first = nullptr;   // the first pool that has this memory
  std::vector<int32_t> regions;  // what was cut from it
};

/// Cuts a buffer from an area, or from what the TPipe has left.
UNMOOR_COMMON int32_t allocate(const Call &call, TPosition position, uint32_t len, uint32_t num, Area *area) {
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
  if (++c.buffers > arch2201::MAX_BUFFERS)
    call.fail("buffer-count", "", "at most 64 buffers per TPipe", std::to_string(c.buffers),
              "take several tensors out of one TBuf with GetWithOffset");
  if (area != nullptr && area->space != space)
    call.fail("position", nameOf(position), std::string("a position in ") + nameOf(area->space) + ", as the pool's",
              std::string("one in ") + nameOf(space), "make a pool for each memory");
  LocalMemory &memory = c.local(space);
  uint32_t &used = area == nullptr ? memory.used : area->used;
  const uint32_t end = area == nullptr ? capacity : area->end, begin = area == nullptr ? 0 : area->begin;
  const uint64_t rounded = (uint64_t{len} + 31) / 32 * 32;
  if (begin + used + rounded > end)
    call.fail(space == Space::UB && area == nullptr ? "ub-capacity" : "capacity", nameOf(position),
              std::string("at most ") + std::to_string(end - begin) + " bytes of " + nameOf(space) + (area == nullptr ? " per core" : " in the pool"),
              std::to_string(used) + " bytes in use and " + std::to_string(rounded) + " more asked for (" +
                  std::to_string(num) + " x " + std::to_string(len) + ")",
              area == nullptr ? "use smaller tiles or fewer buffers per queue" : "make the pool larger, or the buffers smaller");
  const uint32_t at = begin + used;
  used += static_cast<uint32_t>(rounded);
  if (area != nullptr) c.scheduler.settle();  // another pool may have used this memory
  memory.refresh(at, begin + used);
  c.regions.push_back({space, position, at, begin + used, 0, static_cast<uint32_t>(c.regions.size()), call.at.where});
  const auto region = static_cast<int32_t>(c.regions.size()) - 1;
  if (area != nullptr) area->regions.push_back(region);
  return region;
}

UNMOOR_COMMON int32_t makeQueue(const char *name, QueueState state, uint8_t num, uint32_t len, Area *area) {
  const Call call(name, PIPE_S, state.madeAt);
  call.limit("num", num, 1, 255, "give the queue at least one buffer");
  for (uint32_t i = 0; i < num; i++) state.slots.push_back({Slot::Free, allocate(call, state.position, len, num, area)});
  call.c.queues.push_back(std::move(state));
  return static_cast<int32_t>(call.c.queues.size()) - 1;
}

/// A pool: from the TPipe's memory, from another pool's (`outer`), or at the place of `shared`.
UNMOOR_COMMON void makePool(Area &pool, TPosition position, uint32_t len, Area *outer, const Area *shared, SourceLoc where) {
  const Call call(outer == nullptr ? "TPipe::InitBufPool" : "TBufPool::InitBufPool", PIPE_S, where);
  if (shared != nullptr) {
    call.require(len <= shared->end - shared->begin, "capacity", "len", "at most the " + std::to_string(shared->end - shared->begin) + " bytes of the shared pool",
                 std::to_string(len) + " bytes", "make the first pool as large as the largest that shares its memory");
    pool = Area{shared->space, shared->begin, shared->begin + len, 0, false, shared->first, {}};
    call.c.pools.push_back(&pool);
    return;
  }
  const int32_t region = allocate(call, position, len, 1, outer);
  call.c.buffers--;
  const Region &r = call.c.regions[static_cast<size_t>(region)];
  pool = Area{r.space, r.begin, r.end, 0, false, &pool, {}};
  call.c.pools.push_back(&pool);
}

/// Before a buffer is made in a pool: the pools that share its memory have to be at rest.
UNMOOR_COMMON void enterPool(Area &pool, SourceLoc where) {
  const Call call("TBufPool::InitBuffer", PIPE_S, where);
  call.require(pool.space != Space::None, "queue-not-initialised", "TBufPool", "a pool with memory", "a pool that InitBufPool has not seen",
               "call pipe.InitBufPool(pool, bytes) first");
  for (const Area *other : call.c.pools)
    call.require(other == &pool || other->first != pool.first || !other->inUse, "pool-in-use", "TBufPool",
                 "Reset of the other pool that has this memory", "buffers in use there", "call Reset of the other pool first");
  pool.inUse = true;
}

/// Waits for what was freed in a pool. Its buffers stay, their contents do not.
UNMOOR_COMMON void resetPool(Area &pool, SourceLoc where) {
  const Call call("TBufPool::Reset", PIPE_S, where);
  Core &c = call.c;
  const auto own = [&](const Slot &slot) { return std::find(pool.regions.begin(), pool.regions.end(), slot.region) != pool.regions.end(); };
  for (QueueState &queue : c.queues)
    for (Slot &slot : queue.slots) {
      if (!own(slot)) continue;
      if (slot.state != Slot::Free)
        call.fail("queue-leftover", queue.text(), "every tensor freed before Reset", std::string("a tensor that is still ") + nameOf(slot.state),
                  "pair AllocTensor with FreeTensor, and EnQue with DeQue");
      c.waitSlotFlag(call.at, queue.freed, slot);
    }
  c.scheduler.settle();
  for (const int32_t region : pool.regions) {
    Region &r = c.regions[static_cast<size_t>(region)];
    r.generation++;
    c.local(r.space).refresh(r.begin, r.end);
  }
  pool.inUse = false;
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// A part of local memory, from which queues, buffers and further pools are cut.
template <TPosition pos, uint32_t bufIDSize = 4> class TBufPool;

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
    c.buffers = 0;
    c.pools.clear();
  }

  template <TPosition src, TPosition dst, int32_t depth, auto mask>
  bool InitBuffer(TQueBind<src, dst, depth, mask> &queue, uint8_t num, uint32_t len,
                  unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    queue.id = makeQueue("TPipe::InitBuffer", {bufferPosition(src, dst), enqueueEvent(src, dst), freeEvent(src, dst), depth, where, {}, {}}, num, len, nullptr);
    return true;
  }

  template <TPosition position>
  bool InitBuffer(TBuf<position> &buffer, uint32_t len,
                  unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    using namespace unmoor::ascend::detail;
    buffer.region = allocate(Call("TPipe::InitBuffer", PIPE_S, where), position, len, 1, nullptr);
    return true;
  }

  /// Sets memory apart for a pool.
  template <TPosition pos, uint32_t bufIDSize>
  bool InitBufPool(TBufPool<pos, bufIDSize> &bufPool, uint32_t len,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    unmoor::ascend::detail::makePool(bufPool.area, pos, len, nullptr, nullptr, where);
    return true;
  }
  /// The same memory as another pool's: one of the two is used at a time, and Reset comes between.
  template <TPosition pos, uint32_t bufIDSize, TPosition other, uint32_t otherSize>
  bool InitBufPool(TBufPool<pos, bufIDSize> &bufPool, uint32_t len, TBufPool<other, otherSize> &shareBuf,
                   unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    unmoor::ascend::detail::makePool(bufPool.area, pos, len, nullptr, &shareBuf.area, where);
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

};

template <TPosition pos, uint32_t bufIDSize> class TBufPool {
  using Where = unmoor::ascend::SourceLoc;

 public:
  TBufPool() = default;
  TBufPool(const TBufPool &) = delete;
  TBufPool &operator=(const TBufPool &) = delete;

  template <TPosition src, TPosition dst, int32_t depth, auto mask>
  bool InitBuffer(TQueBind<src, dst, depth, mask> &queue, uint8_t num, uint32_t len, Where where = Where::here()) {
    using namespace unmoor::ascend::detail;
    enterPool(area, where);
    queue.id = makeQueue("TBufPool::InitBuffer", {bufferPosition(src, dst), enqueueEvent(src, dst), freeEvent(src, dst), depth, where, {}, {}}, num, len, &area);
    return true;
  }
  template <TPosition position> bool InitBuffer(TBuf<position> &buffer, uint32_t len, Where where = Where::here()) {
    using namespace unmoor::ascend::detail;
    enterPool(area, where);
    buffer.region = allocate(Call("TBufPool::InitBuffer", PIPE_S, where), position, len, 1, &area);
    return true;
  }
  template <TPosition other, uint32_t size> bool InitBufPool(TBufPool<other, size> &bufPool, uint32_t len, Where where = Where::here()) {
    unmoor::ascend::detail::enterPool(area, where);
    unmoor::ascend::detail::makePool(bufPool.area, other, len, &area, nullptr, where);
    return true;
  }
  template <TPosition other, uint32_t size, TPosition third, uint32_t thirdSize>
  bool InitBufPool(TBufPool<other, size> &bufPool, uint32_t len, TBufPool<third, thirdSize> &shareBuf, Where where = Where::here()) {
    unmoor::ascend::detail::makePool(bufPool.area, other, len, &area, &shareBuf.area, where);
    return true;
  }
  void Reset(Where where = Where::here()) { unmoor::ascend::detail::resetPool(area, where); }

  unmoor::ascend::detail::Area area;  // emulator only
};

/// The TPipe of the running kernel.
UNMOOR_COMMON TPipe *GetTPipePtr() {
  const unmoor::ascend::detail::Call call("GetTPipePtr", PIPE_S, {});
  if (call.c.pipe == nullptr)
    call.fail("no-pipe", "", "a TPipe in the kernel", "none", "declare a TPipe before fetching event ids");
  return static_cast<TPipe *>(call.c.pipe);
}

}  // namespace AscendC
