// Queues of tensors. The protocol: alloc, enqueue, dequeue, free, in that order for each tensor.
#pragma once
#include "call.h"

namespace unmoor::ascend::detail {

inline const char *nameOf(Slot::State state) {
  static constexpr const char *names[] = {"free", "allocated", "enqueued", "dequeued"};
  return names[state];
}

/// What InitBuffer made of a queue; `id` is -1 before that.
inline QueueState &queueOf(const Call &call, int32_t id, TPosition position) {
  if (id < 0)
    call.fail("queue-not-initialised", nameOf(position), "a queue with buffers", "a queue that TPipe::InitBuffer has not seen",
              "call pipe.InitBuffer(queue, num, bytes) first");
  return call.c.queues[static_cast<size_t>(id)];
}

inline Slot &slotOf(const Call &call, QueueState &queue, const LocalHandle &tensor) {
  for (auto &slot : queue.slots)
    if (slot.region == tensor.region) return slot;
  call.fail("queue-foreign", queue.text(), "a tensor that AllocTensor of this queue gave out",
            "a tensor of another queue or TBuf", "give each tensor back to the queue it came from");
}

UNMOOR_COMMON LocalHandle allocTensor(int32_t id, TPosition position, SourceLoc where) {
  const Call call("TQue::AllocTensor", PIPE_S, where);
  QueueState &queue = queueOf(call, id, position);
  uint32_t held = 0;
  for (const auto &other : call.c.queues)
    if (other.position == position)
      for (const auto &slot : other.slots) held += slot.state != Slot::Free;
  if (held >= arch2201::MAX_ALLOCATED)
    call.fail("queue-held", queue.text(), "at most 8 tensors held at once at one TPosition", "a ninth",
              "free tensors earlier, or use a TBuf for scratch");
  for (size_t turn = 0; turn < queue.slots.size(); turn++) {
    const uint32_t index = queue.cursor;
    queue.cursor = static_cast<uint32_t>((index + 1) % queue.slots.size());
    Slot &slot = queue.slots[index];
    if (slot.state != Slot::Free) continue;
    slot.state = Slot::Allocated;
    queue.lastAllocated = index;
    call.c.waitSlotFlag(call.at, queue.freed, slot);
    const Region &region = call.c.regions[static_cast<size_t>(slot.region)];
    call.c.local(region.space).forget(region.begin, region.end);
    return LocalHandle{position, region.begin, region.end - region.begin, slot.region, region.generation};
  }
  call.fail("queue-no-free-buffer", queue.text(), "a free buffer for AllocTensor",
            "all " + std::to_string(queue.slots.size()) + " are in use; hardware would hang here",
            "call FreeTensor after the last use, or raise num in InitBuffer");
}

UNMOOR_COMMON void enqueueTensor(int32_t id, TPosition position, const LocalHandle &tensor, SourceLoc where) {
  const Call call("TQue::EnQue", PIPE_S, where);
  if (call.c.leavesOut(call.at)) return;
  QueueState &queue = queueOf(call, id, position);
  Slot &slot = slotOf(call, queue, tensor);
  if (slot.state != Slot::Allocated)
    call.fail("queue-enqueue", queue.text(), "a tensor fresh from AllocTensor",
              std::string("a tensor that is ") + nameOf(slot.state), "enqueue each tensor once, after AllocTensor");
  if (queue.fifo.size() >= std::max(queue.depth, 1u))
    call.fail("queue-depth", queue.text(), "at most " + std::to_string(std::max(queue.depth, 1u)) + " tensors waiting in the queue",
              "one more", "call DeQue before the next EnQue, or raise the depth in TQue<position, depth>");
  slot.state = Slot::Queued;
  call.c.setSlotFlag(call.at, queue.enqueued, slot);
  queue.fifo.push_back(static_cast<uint32_t>(&slot - queue.slots.data()));
}

UNMOOR_COMMON LocalHandle dequeueTensor(int32_t id, TPosition position, SourceLoc where) {
  const Call call("TQue::DeQue", PIPE_S, where);
  QueueState &queue = queueOf(call, id, position);
  const auto tensorOf = [&](const Slot &slot) {
    const Region &region = call.c.regions[static_cast<size_t>(slot.region)];
    return LocalHandle{position, region.begin, region.end - region.begin, slot.region, region.generation};
  };
  // Left out, the name keeps the tensor that it had.
  if (call.c.leavesOut(call.at)) return tensorOf(queue.slots[queue.lastAllocated]);
  if (queue.fifo.empty())
    call.fail("queue-empty", queue.text(), "an enqueued tensor", "an empty queue; hardware would hang here",
              "call EnQue on the tensor before DeQue");
  Slot &slot = queue.slots[queue.fifo.front()];
  queue.fifo.pop_front();
  slot.state = Slot::Taken;
  call.c.waitSlotFlag(call.at, queue.enqueued, slot);
  return tensorOf(slot);
}

UNMOOR_COMMON void freeTensor(int32_t id, TPosition position, const LocalHandle &tensor, SourceLoc where) {
  const Call call("TQue::FreeTensor", PIPE_S, where);
  QueueState &queue = queueOf(call, id, position);
  Slot &slot = slotOf(call, queue, tensor);
  Region &region = call.c.regions[static_cast<size_t>(slot.region)];
  if (slot.state == Slot::Free || tensor.generation != region.generation)
    call.fail("queue-double-free", queue.text(), "a tensor that is allocated", "a tensor that was freed before",
              "free each tensor once");
  if (slot.state == Slot::Queued)
    call.fail("queue-free-enqueued", queue.text(), "a tensor that is not waiting in the queue",
              "a tensor that is enqueued", "DeQue it before FreeTensor");
  slot.state = Slot::Free;
  call.c.setSlotFlag(call.at, queue.freed, slot);
  region.generation++;
  call.c.local(region.space).forget(region.begin, region.end);
}

/// Refuses queues that still hold tensors, and takes down the flags of their freed buffers.
UNMOOR_COMMON void checkLeftovers(Core &c, SourceLoc where) {
  for (auto &queue : c.queues)
    for (auto &slot : queue.slots) {
      if (slot.state != Slot::Free)
        c.fail({"end of kernel", PIPE_S, where.line == 0 ? queue.madeAt : where},
               {"queue-leftover", "", queue.text(), "every tensor freed",
                std::string("a tensor that is still ") + nameOf(slot.state),
                slot.state == Slot::Queued ? "DeQue it and call FreeTensor" : "call FreeTensor after the last use"});
      c.waitSlotFlag({"end of kernel", PIPE_S, where}, queue.freed, slot);
    }
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// A queue of tensors on their way from one position to another. `depth` bounds how many may wait in it; with depth 0 tensors are
/// handed over in place: AllocTensor(t), EnQue(t), DeQue(t), one after the other.
template <TPosition src, TPosition dst, int32_t depth, auto mask = 0> class TQueBind {
  static_assert(depth >= 0, "a queue has a depth of 0 (in place) or more");
  static constexpr TPosition position = unmoor::ascend::detail::bufferPosition(src, dst);

 public:
  template <typename T> LocalTensor<T> AllocTensor(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return LocalTensor<T>(unmoor::ascend::detail::allocTensor(id, position, where));
  }
  template <typename T>
  bool EnQue(const LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    unmoor::ascend::detail::enqueueTensor(id, position, tensor.handle, where);
    return true;
  }
  template <typename T> LocalTensor<T> DeQue(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    return LocalTensor<T>(unmoor::ascend::detail::dequeueTensor(id, position, where));
  }
  template <typename T>
  void AllocTensor(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    tensor = AllocTensor<T>(where);
  }
  template <typename T>
  void DeQue(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    tensor = DeQue<T>(where);
  }
  template <typename T>
  void FreeTensor(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    unmoor::ascend::detail::freeTensor(id, position, tensor.handle, where);
  }
  bool VacantInQue() const { return GetTensorCountInQue() < std::max(depth, 1); }
  bool HasTensorInQue() const { return GetTensorCountInQue() > 0; }
  bool HasIdleBuffer() const {
    const unmoor::ascend::detail::Call call("TQue::HasIdleBuffer", PIPE_S, {});
    for (const auto &slot : queueOf(call, id, position).slots)
      if (slot.state == unmoor::ascend::detail::Slot::Free) return true;
    return false;
  }
  int32_t GetTensorCountInQue() const {
    const unmoor::ascend::detail::Call call("TQue::GetTensorCountInQue", PIPE_S, {});
    return static_cast<int32_t>(queueOf(call, id, position).fifo.size());
  }

  int32_t id = -1;  // emulator only
};

/// A queue that one position names: VECIN comes from global memory, VECOUT goes there, A2 comes from A1.
template <TPosition position, int32_t depth, auto mask = 0>
class TQue : public TQueBind<unmoor::ascend::detail::queueSource(position), unmoor::ascend::detail::queueTarget(position),
                             depth, mask> {
  static_assert(position != TPosition::GM && position != TPosition::VECCALC && position < TPosition::MAX,
                "a queue is at VECIN, VECOUT, A1, A2, B1, B2, C1, C2 or CO1; scratch memory is a TBuf");
};

}  // namespace AscendC
