// The protocol of TQue: alloc, enqueue, dequeue, free, in that order for each tensor. Included by pipe.h.
#pragma once
#include "pipe.h"

namespace unmoor::ascend::detail {

inline const char *nameOf(Slot::State state) {
  static constexpr const char *names[] = {"free", "allocated", "enqueued", "dequeued"};
  return names[state];
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <TPosition src, TPosition dst, int32_t depth, auto mask>
template <typename T>
LocalTensor<T> TQueBind<src, dst, depth, mask>::AllocTensor(unmoor::ascend::SourceLoc where) {
  using namespace unmoor::ascend::detail;
  const Call call("TQue::AllocTensor", PIPE_S, where);
  QueueState &queue = stateOf(call);
  uint32_t held = 0;
  for (const auto &other : call.c.queues)
    if (other.position == position)
      for (const auto &slot : other.slots) held += slot.state != Slot::Free;
  if (held >= unmoor::ascend::arch2201::MAX_ALLOCATED)
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
    return LocalTensor<T>({position, region.begin, region.end - region.begin, slot.region, region.generation});
  }
  call.fail("queue-no-free-buffer", queue.text(), "a free buffer for AllocTensor",
            "all " + std::to_string(queue.slots.size()) + " are in use; hardware would hang here",
            "call FreeTensor after the last use, or raise num in InitBuffer");
}

template <TPosition src, TPosition dst, int32_t depth, auto mask>
template <typename T>
bool TQueBind<src, dst, depth, mask>::EnQue(const LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where) {
  using namespace unmoor::ascend::detail;
  const Call call("TQue::EnQue", PIPE_S, where);
  if (call.c.leavesOut(call.at)) return true;
  QueueState &queue = stateOf(call);
  Slot &slot = slotOf(call, tensor);
  if (slot.state != Slot::Allocated)
    call.fail("queue-enqueue", queue.text(), "a tensor fresh from AllocTensor",
              std::string("a tensor that is ") + nameOf(slot.state), "enqueue each tensor once, after AllocTensor");
  if (queue.fifo.size() >= std::max(queue.depth, 1u))
    call.fail("queue-depth", queue.text(), "at most " + std::to_string(std::max(queue.depth, 1u)) + " tensors waiting in the queue",
              "one more", "call DeQue before the next EnQue, or raise the depth in TQue<position, depth>");
  slot.state = Slot::Queued;
  call.c.setSlotFlag(call.at, queue.enqueued, slot);
  queue.fifo.push_back(static_cast<uint32_t>(&slot - queue.slots.data()));
  return true;
}

template <TPosition src, TPosition dst, int32_t depth, auto mask>
template <typename T>
LocalTensor<T> TQueBind<src, dst, depth, mask>::DeQue(unmoor::ascend::SourceLoc where) {
  using namespace unmoor::ascend::detail;
  const Call call("TQue::DeQue", PIPE_S, where);
  QueueState &queue = stateOf(call);
  const auto tensorOf = [&](const Slot &slot) {
    const Region &region = call.c.regions[static_cast<size_t>(slot.region)];
    return LocalTensor<T>({position, region.begin, region.end - region.begin, slot.region, region.generation});
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

template <TPosition src, TPosition dst, int32_t depth, auto mask>
template <typename T>
void TQueBind<src, dst, depth, mask>::FreeTensor(LocalTensor<T> &tensor, unmoor::ascend::SourceLoc where) {
  using namespace unmoor::ascend::detail;
  const Call call("TQue::FreeTensor", PIPE_S, where);
  QueueState &queue = stateOf(call);
  Slot &slot = slotOf(call, tensor);
  Region &region = call.c.regions[static_cast<size_t>(slot.region)];
  if (slot.state == Slot::Free || tensor.handle.generation != region.generation)
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

template <TPosition src, TPosition dst, int32_t depth, auto mask> bool TQueBind<src, dst, depth, mask>::VacantInQue() const {
  return GetTensorCountInQue() < std::max(depth, 1);
}
template <TPosition src, TPosition dst, int32_t depth, auto mask>
bool TQueBind<src, dst, depth, mask>::HasIdleBuffer() const {
  const unmoor::ascend::detail::Call call("TQue::HasIdleBuffer", PIPE_S, {});
  for (const auto &slot : stateOf(call).slots)
    if (slot.state == unmoor::ascend::detail::Slot::Free) return true;
  return false;
}
template <TPosition src, TPosition dst, int32_t depth, auto mask> bool TQueBind<src, dst, depth, mask>::HasTensorInQue() const {
  return GetTensorCountInQue() > 0;
}
template <TPosition src, TPosition dst, int32_t depth, auto mask>
int32_t TQueBind<src, dst, depth, mask>::GetTensorCountInQue() const {
  const unmoor::ascend::detail::Call call("TQue::GetTensorCountInQue", PIPE_S, {});
  return static_cast<int32_t>(stateOf(call).fifo.size());
}

inline void TPipe::checkLeftovers(unmoor::ascend::detail::Core &c, unmoor::ascend::SourceLoc where) {
  using namespace unmoor::ascend::detail;
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

}  // namespace AscendC
