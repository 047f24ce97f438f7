// The hardware's flags between two pipes, and the names of pipes.
#pragma once
#include <cstdint>

#include "memory.h"

/// The instruction queues of a core; the names are the vendor's.
enum pipe_t { PIPE_S = 0, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL, PIPE_FIX };

/// Ids of the flags between two pipes.
enum event_t { EVENT_ID0 = 0, EVENT_ID1, EVENT_ID2, EVENT_ID3, EVENT_ID4, EVENT_ID5, EVENT_ID6, EVENT_ID7 };

// Every pair, in the vendor's order: the pipe that sets the flag, the pipe that waits for it.
#define UNMOOR_HARD_EVENTS(X)                                                                                          \
  X(MTE2, MTE1) X(MTE1, MTE2) X(MTE1, M) X(M, MTE1) X(MTE2, V) X(V, MTE2) X(MTE3, V) X(V, MTE3) X(M, V) X(V, M)        \
  X(V, V) X(MTE3, MTE1) X(MTE1, MTE3) X(MTE1, V) X(MTE2, M) X(M, MTE2) X(V, MTE1) X(M, FIX) X(FIX, M) X(MTE3, MTE2)    \
  X(MTE2, MTE3) X(S, V) X(V, S) X(S, MTE2) X(MTE2, S) X(S, MTE3) X(MTE3, S) X(MTE2, FIX) X(FIX, MTE2) X(FIX, S)        \
  X(M, S) X(FIX, MTE3) X(MTE1, FIX) X(FIX, MTE1) X(FIX, FIX) X(FIX, V)

namespace AscendC {

using TEventID = int8_t;

/// A flag that one pipe sets and another waits for.
enum class HardEvent : uint8_t {
#define UNMOOR_EVENT(FROM, TO) FROM##_##TO,
  UNMOOR_HARD_EVENTS(UNMOOR_EVENT)
#undef UNMOOR_EVENT
  MAX,
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

using AscendC::HardEvent;

inline constexpr int HARD_EVENTS = static_cast<int>(HardEvent::MAX);

inline const char *nameOf(pipe_t pipe) {
  static constexpr const char *names[] = {"S", "V", "M", "MTE1", "MTE2", "MTE3", "ALL", "FIX"};
  return names[pipe];
}

struct EventPair {
  pipe_t from, to;
  const char *name;
};
inline constexpr EventPair EVENT_PAIRS[] = {
#define UNMOOR_EVENT(FROM, TO) {PIPE_##FROM, PIPE_##TO, "HardEvent::" #FROM "_" #TO},
    UNMOOR_HARD_EVENTS(UNMOOR_EVENT)
#undef UNMOOR_EVENT
};
constexpr const EventPair &pairOf(HardEvent event) { return EVENT_PAIRS[static_cast<int>(event)]; }

/// The event of a pair of pipes, MAX if it has none.
constexpr HardEvent eventOf(pipe_t from, pipe_t to) {
  for (int event = 0; event < HARD_EVENTS; event++) {
    const EventPair &pair = pairOf(static_cast<HardEvent>(event));
    if (pair.from == from && pair.to == to) return static_cast<HardEvent>(event);
  }
  return HardEvent::MAX;
}

/// Where a queue between two positions keeps its tensors: in the one that is local memory, the later one where both are.
constexpr TPosition bufferPosition(TPosition src, TPosition dst) {
  return dst == TPosition::GM || dst == TPosition::CO2 ? src : dst;
}
/// The ends of a queue that is named by one position.
constexpr TPosition queueSource(TPosition position) {
  switch (position) {
    case TPosition::VECOUT:
    case TPosition::CO1:
    case TPosition::CO2: return position;
    case TPosition::A2: return TPosition::A1;
    case TPosition::B2: return TPosition::B1;
    case TPosition::C2: return TPosition::C1;
    default: return TPosition::GM;
  }
}
constexpr TPosition queueTarget(TPosition position) {
  if (position == TPosition::VECOUT || position == TPosition::CO2) return TPosition::GM;
  return position == TPosition::CO1 ? TPosition::CO2 : position;
}

/// The flag that a queue's EnQue sets and its DeQue waits for: from the pipe that fills a tensor to the one that uses it.
inline HardEvent enqueueEvent(TPosition src, TPosition dst) {
  const Space from = spaceOf(src), to = spaceOf(dst);
  if (from == Space::UB) return to == Space::UB ? HardEvent::MTE2_MTE3 : HardEvent::V_MTE3;
  if (from == Space::L1) return HardEvent::MTE1_M;
  if (from == Space::L0C) return HardEvent::M_FIX;
  return to == Space::UB ? HardEvent::MTE2_V : HardEvent::MTE2_MTE1;
}

/// The flag that a queue's FreeTensor sets and the next AllocTensor of that buffer waits for.
inline HardEvent freeEvent(TPosition src, TPosition dst) {
  const EventPair &pair = pairOf(enqueueEvent(src, dst));
  return eventOf(pair.to, pair.from);
}

}  // namespace unmoor::ascend::detail

#undef UNMOOR_HARD_EVENTS
