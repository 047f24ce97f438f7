// Local memories and registered global memory, each byte with a state.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "error.h"
#include "order.h"

namespace AscendC {
/// Logical places of a tensor. Unscoped names are the vendor's.
enum class TPosition : uint8_t {
  GM, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM = VECCALC, SPM, SHM = SPM, TSCM, C2PIPE2GM, MAX,
};
using QuePosition = TPosition;
}  // namespace AscendC

namespace unmoor::ascend::detail {

using AscendC::TPosition;

/// Physical memories; BT is the BiasTable. The Fixpipe buffer is filled by Fixpipe itself.
enum class Space : uint8_t { UB, L1, L0A, L0B, L0C, BT, GM, None };
inline constexpr int LOCAL_SPACES = 6;

inline const char *nameOf(Space space) {
  static constexpr const char *names[] = {"UB", "L1", "L0A", "L0B", "L0C", "BT", "GM", "no memory"};
  return names[static_cast<int>(space)];
}

inline const char *nameOf(TPosition position) {
  static constexpr const char *names[] = {"GM",  "A1",    "A2",     "B1",      "B2",  "C1",   "C2",        "CO1",
                                          "CO2", "VECIN", "VECOUT", "VECCALC", "SPM", "TSCM", "C2PIPE2GM", "?"};
  return names[static_cast<int>(position)];
}

/// Where a position lives on architecture 2201.
constexpr Space spaceOf(TPosition position) {
  switch (position) {
    case TPosition::VECIN:
    case TPosition::VECOUT:
    case TPosition::VECCALC: return Space::UB;
    case TPosition::A1:
    case TPosition::B1:
    case TPosition::C1:
    case TPosition::TSCM: return Space::L1;
    case TPosition::A2: return Space::L0A;
    case TPosition::B2: return Space::L0B;
    case TPosition::CO1: return Space::L0C;
    case TPosition::C2: return Space::BT;
    case TPosition::GM:
    case TPosition::CO2:
    case TPosition::SPM: return Space::GM;
    default: return Space::None;
  }
}

/// Address alignment that every instruction asks of a memory (NPU architecture 2201, rules page).
inline uint32_t alignmentOf(Space space) {
  switch (space) {
    case Space::UB:
    case Space::L1: return 32;
    case Space::L0A:
    case Space::L0B: return 512;
    case Space::L0C:
    case Space::BT: return 64;
    default: return 1;
  }
}

/// State of one byte of local memory. Freed tensors are known by their generation instead.
enum ByteState : uint8_t { Fresh = 0, Ready = 1 };
inline constexpr uint8_t POISON = 0xff;  // a NaN in every float type, -1 as an integer

/// Index of the first byte of `state[0..bytes)` that is not Ready, or `bytes`.
inline uint32_t firstFresh(const uint8_t *state, uint32_t bytes) {
  const void *found = std::memchr(state, Fresh, bytes);
  return found == nullptr ? bytes : static_cast<uint32_t>(static_cast<const uint8_t *>(found) - state);
}

/// One local memory of one core.
struct LocalMemory {
  std::vector<uint8_t> data;
  std::vector<uint8_t> state;
  Shadow shadow;
  uint32_t used = 0;

  void reset(uint32_t capacity) {
    data.resize(capacity);
    state.assign(capacity, Fresh);
    shadow.clear();
    used = 0;
  }
  /// Gives a range new, undefined contents. No instruction on it may be waiting in a queue.
  void refresh(uint32_t begin, uint32_t end) {
    std::memset(data.data() + begin, POISON, end - begin);
    forget(begin, end);
  }
  /// The contents of a range count as unwritten from here on in the kernel's code.
  void forget(uint32_t begin, uint32_t end) { std::memset(state.data() + begin, Fresh, end - begin); }
};

/// One buffer made by TPipe::InitBuffer. `generation` grows with each free, so that stale tensors are known.
struct Region {
  Space space;
  TPosition position;
  uint32_t begin;
  uint32_t end;
  uint32_t generation;
  uint32_t number;
  SourceLoc madeAt;
  UNMOOR_COMMON std::string text() const {
    return std::string(nameOf(position)) + " buffer " + std::to_string(number) + " of " +
           std::to_string(end - begin) + " bytes at " + nameOf(space) + "+" + std::to_string(begin) + ", made at " +
           madeAt.text();
  }
};

/// One buffer of global memory that the host registered.
struct GlobalBuffer {
  uint8_t *begin;
  uint64_t bytes;
  std::string name;
  std::vector<uint8_t> written;  // empty when the host initialised all of it
  Shadow shadow;                 // accesses of the running launch
  bool contains(const void *p) const {
    const auto *at = static_cast<const uint8_t *>(p);
    return at >= begin && at < begin + bytes;
  }
  UNMOOR_COMMON std::string text() const { return "global buffer \"" + name + "\" of " + std::to_string(bytes) + " bytes"; }
};

/// All registered buffers of a device.
struct GlobalMemory {
  std::vector<GlobalBuffer> buffers;
  GlobalBuffer *find(const void *p) {
    if (last < buffers.size() && buffers[last].contains(p)) return &buffers[last];
    for (last = 0; last < buffers.size(); last++)
      if (buffers[last].contains(p)) return &buffers[last];
    return nullptr;
  }

 private:
  size_t last = 0;
};

}  // namespace unmoor::ascend::detail
