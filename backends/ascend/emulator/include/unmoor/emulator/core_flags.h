// Flags and barriers of a core's pipes. Included by core.h.
#pragma once
#include "core.h"

namespace unmoor::ascend::detail {

AscendC::TEventID Core::pickEvent(const Instruction &at, HardEvent event, bool reserve) {
  auto &ids = reservedEvents[static_cast<size_t>(event)];
  const auto free = std::find(ids.begin(), ids.end(), false);
  if (free == ids.end())
    fail(at, {"event-ids", "", pairOf(event).name, "at most 8 event ids of one kind at once",
              "all 8 reserved (each enqueued or freed tensor of a queue holds one)",
              "call ReleaseEventID when a flag is no longer needed, or give queues fewer buffers"});
  *free = reserve;
  return static_cast<AscendC::TEventID>(free - ids.begin());
}

void Core::setSlotFlag(const Instruction &at, HardEvent event, Slot &slot) {
  slot.event = pickEvent(at, event, true);
  setFlag(at, event, slot.event);
}

void Core::waitSlotFlag(const Instruction &at, HardEvent event, Slot &slot) {
  if (slot.event < 0) return;
  waitFlag(at, event, slot.event);
  reservedEvents[static_cast<size_t>(event)][static_cast<size_t>(slot.event)] = false;
  slot.event = -1;
}

void Core::setFlag(const Instruction &at, HardEvent event, AscendC::TEventID id) {
  const EventPair &pair = pairOf(event);
  Flag &flag = flags[static_cast<size_t>(event)][static_cast<size_t>(id)];
  if (flag.setAt.line != 0)
    fail(at, {"flag-set-twice", "", flagText(event, id), "a flag that is not set",
              "a flag set at " + flag.setAt.text() + " and not yet waited for",
              "WaitFlag first, or take another event id with AllocEventID"});
  flag.setAt = at.where;
  flag.told = toldBy(pair.from);
  flag.time = busyUntil[pair.from];
  if (synchronisation == Synchronisation::Automatic) return;
  flag.token = scheduler.flag();
  scheduler.raise(pair.from, flag.token, pair.from == PIPE_S);
}

void Core::waitFlag(const Instruction &at, HardEvent event, AscendC::TEventID id) {
  const EventPair &pair = pairOf(event);
  Flag &flag = flags[static_cast<size_t>(event)][static_cast<size_t>(id)];
  if (flag.setAt.line == 0)
    fail(at, {"flag-not-set", "", flagText(event, id), "a SetFlag of the same event and id before",
              "none; hardware would hang here", "add the SetFlag, with the same HardEvent and id"});
  join(known[pair.to], flag.told);
  busyUntil[pair.to] = std::max(busyUntil[pair.to], flag.time);
  flag.setAt = {};
  if (synchronisation != Synchronisation::Automatic) scheduler.await(pair.to, flag.token, pair.to == PIPE_S);
}

void Core::barrier(const Instruction &at) {
  if (at.pipe != PIPE_ALL) {
    checkPipe(at);
    known[at.pipe][at.pipe] = now[at.pipe];
    return;
  }
  scheduler.settle();
  Clock done = now;
  // What the cube core does for a vector core is none of its pipes.
  if (kind == CoreKind::Vector) done[PIPE_FIX] = known[PIPE_S][PIPE_FIX];
  for (Clock &one : known) join(one, done);
  busyUntil.fill(*std::max_element(busyUntil.begin(), busyUntil.end()));
}

Clock Core::toldBy(pipe_t pipe) const {
  Clock told = known[pipe];
  join(told, known[PIPE_S]);  // the scalar unit issued it after what it waited for
  told[pipe] = now[pipe];
  return told;
}

}  // namespace unmoor::ascend::detail
