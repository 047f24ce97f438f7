// One emulated core while it runs a block, and the choke point that every instruction passes through.
#pragma once
#include <array>
#include <deque>
#include <utility>

#include "dtype.h"
#include "fiber.h"
#include "memory.h"
#include "soc.h"

/// The instruction queues of a core; the names are the vendor's.
enum pipe_t { PIPE_S = 0, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL, PIPE_FIX };

/// Which cores a kernel runs on, and in which ratio.
enum KernelMetaType {
  KERNEL_TYPE_AIV_ONLY,
  KERNEL_TYPE_AIC_ONLY,
  KERNEL_TYPE_MIX_AIV_1_0,
  KERNEL_TYPE_MIX_AIC_1_0,
  KERNEL_TYPE_MIX_AIC_1_1,
  KERNEL_TYPE_MIX_AIC_1_2,
};

namespace unmoor::ascend::detail {

enum class CoreKind : uint8_t { Cube, Vector };

inline const char *nameOf(pipe_t pipe) {
  static constexpr const char *names[] = {"S", "V", "M", "MTE1", "MTE2", "MTE3", "ALL", "FIX"};
  return names[pipe];
}
inline const char *nameOf(CoreKind kind) { return kind == CoreKind::Cube ? "cube core AIC" : "vector core AIV"; }
inline const char *nameOf(KernelMetaType type) {
  static constexpr const char *names[] = {"KERNEL_TYPE_AIV_ONLY",    "KERNEL_TYPE_AIC_ONLY",
                                          "KERNEL_TYPE_MIX_AIV_1_0", "KERNEL_TYPE_MIX_AIC_1_0",
                                          "KERNEL_TYPE_MIX_AIC_1_1", "KERNEL_TYPE_MIX_AIC_1_2"};
  return names[type];
}

/// What an instruction does with a range of bytes.
enum class Access : uint8_t {
  Read,   // uses the values: every byte must have been written
  Look,   // moves bytes with their state, written or not
  Write,  // gives every byte a value
  Touch,  // may change the bytes; the instruction sets their state itself
};

/// Bytes that an instruction reads or writes: `outer` x `inner` runs of `bytes`. In GM, `begin` is the host address.
struct Range {
  Space space;
  Access access;
  int32_t region;  // local: index of the buffer; GM: unused
  uint64_t begin;
  uint32_t bytes;
  uint32_t inner = 1;
  int64_t innerStride = 0;
  uint32_t outer = 1;
  int64_t outerStride = 0;
  const char *operand = "";
};

/// A borrowed list of ranges.
struct Ranges {
  const Range *first = nullptr;
  size_t count = 0;
  Ranges() = default;
  Ranges(std::initializer_list<Range> list) : count(list.size()) { first = list.begin(); }  // lives for one call
  Ranges(const Range *first, size_t count) : first(first), count(count) {}
};

/// Name, pipe and place of one instruction.
struct Instruction {
  const char *name;
  pipe_t pipe;
  SourceLoc where;
};

/// A slot of a TQue: one buffer and what is being done with it.
struct Slot {
  enum State : uint8_t { Free, Allocated, Queued, Taken } state = Free;
  int32_t region = -1;
};
struct QueueState {
  TPosition position;
  uint32_t depth;
  SourceLoc madeAt;
  std::vector<Slot> slots;
  std::deque<uint32_t> fifo;
  std::string text() const {
    return std::string("queue ") + nameOf(position) + " (" + std::to_string(slots.size()) + " buffers, depth " +
           std::to_string(depth) + ") made at " + madeAt.text();
  }
};

inline constexpr int HARD_EVENTS = 40;

class Launch;

/// A core that runs one block of one launch.
struct Core {
  Launch *launch = nullptr;
  GlobalMemory *global = nullptr;
  std::string kernel;
  KernelMetaType type = KERNEL_TYPE_AIV_ONLY;
  CoreKind kind = CoreKind::Vector;
  uint32_t task = 0;        // index among the tasks of the launch
  uint32_t group = 0;       // the block index given at launch
  uint32_t sub = 0;         // which vector core of the group
  uint32_t taskRatio = 1;   // vector cores per group
  uint32_t groups = 1;
  void *pipe = nullptr;     // the current TPipe
  std::array<LocalMemory, LOCAL_SPACES> memory;
  std::vector<Region> regions;
  std::vector<QueueState> queues;
  std::array<std::array<SourceLoc, arch2201::EVENT_IDS>, HARD_EVENTS> flags{};      // line == 0: not set
  std::array<std::array<bool, arch2201::EVENT_IDS>, HARD_EVENTS> reservedEvents{};
  std::array<uint64_t, 8> issued{};  // instructions per pipe

  uint32_t blockIdx() const { return kind == CoreKind::Vector ? group * taskRatio + sub : group; }
  std::string blockText() const {
    const uint32_t all = kind == CoreKind::Vector ? groups * taskRatio : groups;
    return "block " + std::to_string(blockIdx()) + " of " + std::to_string(all) + " (" + nameOf(kind) + ")";
  }

  uint32_t capacity(Space space) const {
    const bool cube = kind == CoreKind::Cube;
    switch (space) {
      case Space::UB: return cube ? 0 : arch2201::UB;
      case Space::L1: return cube ? arch2201::L1 : 0;
      case Space::L0A: return cube ? arch2201::L0A : 0;
      case Space::L0B: return cube ? arch2201::L0B : 0;
      case Space::L0C: return cube ? arch2201::L0C : 0;
      default: return 0;
    }
  }

  LocalMemory &local(Space space) { return memory[static_cast<size_t>(space)]; }
  uint8_t *bytesAt(Space space, uint64_t begin) {
    return space == Space::GM ? reinterpret_cast<uint8_t *>(begin) : local(space).data.data() + begin;
  }

  /// Readies the core for a block: nothing is allocated, every memory is poison once it is.
  void reset() {
    pipe = nullptr;
    for (int i = 0; i < LOCAL_SPACES; i++) memory[i].reset(capacity(static_cast<Space>(i)));
    regions.clear();
    queues.clear();
    flags = {};
    reservedEvents = {};
  }

  [[noreturn]] void fail(const Instruction &at, Fault fault) const {
    fault.operation = at.name;
    throw EmulatorError(std::move(fault), kernel, blockText(), at.where);
  }

  /// Every instruction goes through here, with all it reads and writes. Today it runs at once; `pipe` and the ranges
  /// are what a scheduler with happens-before tracking needs to queue it instead.
  template <class Body> void issue(const Instruction &at, Ranges reads, Ranges writes, Body &&body) {
    checkPipe(at);
    for (size_t i = 0; i < reads.count; i++) checkRange(at, reads.first[i]);
    for (size_t i = 0; i < writes.count; i++) checkRange(at, writes.first[i]);
    issued[at.pipe]++;
    body();
    for (size_t i = 0; i < writes.count; i++)
      if (writes.first[i].access == Access::Write) markReady(writes.first[i]);
  }

 private:
  void checkPipe(const Instruction &at) const {
    const bool vectorOnly = at.pipe == PIPE_V || at.pipe == PIPE_MTE3;
    const bool cubeOnly = at.pipe == PIPE_M || at.pipe == PIPE_MTE1 || at.pipe == PIPE_FIX;
    if ((vectorOnly && kind == CoreKind::Cube) || (cubeOnly && kind == CoreKind::Vector))
      fail(at, {"core-kind", "", "", std::string("a ") + nameOf(vectorOnly ? CoreKind::Vector : CoreKind::Cube) +
                                         ", which has pipe " + nameOf(at.pipe),
                std::string("a ") + nameOf(kind),
                std::string("declare the kernel ") + (vectorOnly ? "KERNEL_TYPE_AIV_ONLY" : "KERNEL_TYPE_AIC_ONLY") +
                    ", or guard the call with " + (vectorOnly ? "ASCEND_IS_AIV" : "ASCEND_IS_AIC") + " in a MIX kernel"});
  }

  template <class Visit> static void eachRun(const Range &range, Visit &&visit) {
    for (uint32_t o = 0; o < range.outer; o++)
      for (uint32_t i = 0; i < range.inner; i++)
        visit(static_cast<int64_t>(range.begin) + o * range.outerStride + i * range.innerStride);
  }

  void checkRange(const Instruction &at, const Range &range) {
    if (range.bytes == 0 || range.inner == 0 || range.outer == 0) return;
    range.space == Space::GM ? checkGlobal(at, range) : checkLocal(at, range);
  }

  void checkLocal(const Instruction &at, const Range &range) {
    const Region &region = regions[static_cast<size_t>(range.region)];
    const uint8_t *state = local(range.space).state.data();
    eachRun(range, [&](int64_t begin) {
      if (begin < region.begin || begin + range.bytes > region.end)
        fail(at, {"local-range", "", operandText(range, region),
                  "bytes 0.." + std::to_string(region.end - region.begin) + " of the buffer",
                  "bytes " + std::to_string(begin - region.begin) + ".." +
                      std::to_string(begin - region.begin + range.bytes),
                  "make the buffer larger in InitBuffer, or lower the count, repeat or stride"});
      if (range.access != Access::Read) return;
      const uint32_t bad = firstFresh(state + begin, range.bytes);
      if (bad == range.bytes) return;
      const uint64_t offset = static_cast<uint64_t>(begin) - region.begin + bad;
      fail(at, {"uninitialised-read", "", operandText(range, region), "bytes that were written before",
                "byte " + std::to_string(offset) + " was never written",
                "copy or compute that part first, or lower the count (padding counts as unwritten unless filled)"});
    });
  }

  void checkGlobal(const Instruction &at, const Range &range) {
    GlobalBuffer *buffer = global->find(reinterpret_cast<const void *>(range.begin));
    if (buffer == nullptr)
      fail(at, {"gm-unregistered", "", range.operand, "an address inside a registered global buffer",
                "an address that no registered buffer holds",
                "register the buffer with Device::registerBuffer, and check pointer and offset of SetGlobalBuffer"});
    const auto base = reinterpret_cast<int64_t>(buffer->begin);
    const auto size = static_cast<int64_t>(buffer->bytes);
    eachRun(range, [&](int64_t begin) {
      const int64_t offset = begin - base;
      if (offset < 0 || offset + range.bytes > size)
        fail(at, {"gm-range", "", std::string(range.operand) + " in " + buffer->text(),
                  "bytes 0.." + std::to_string(size),
                  "bytes " + std::to_string(offset) + ".." + std::to_string(offset + range.bytes),
                  "lower the length of the last transfer (DataCopyPad moves any number of bytes)"});
      if (range.access != Access::Read || buffer->written.empty()) return;
      const uint32_t bad = firstFresh(buffer->written.data() + offset, range.bytes);
      if (bad == range.bytes) return;
      fail(at, {"gm-uninitialised-read", "", std::string(range.operand) + " in " + buffer->text(),
                "bytes that the host or an earlier instruction wrote",
                "byte " + std::to_string(offset + bad) + " was never written",
                "write the buffer first; across blocks, use SyncAll or a launch of its own"});
    });
  }

  static std::string operandText(const Range &range, const Region &region) {
    return std::string(range.operand) + " in " + region.text();
  }

  void markReady(const Range &range) {
    if (range.bytes == 0 || range.inner == 0 || range.outer == 0) return;
    if (range.space != Space::GM) {
      uint8_t *state = local(range.space).state.data();
      eachRun(range, [&](int64_t begin) { std::memset(state + begin, Ready, range.bytes); });
      return;
    }
    GlobalBuffer *buffer = global->find(reinterpret_cast<const void *>(range.begin));
    if (buffer->written.empty()) return;
    const auto base = reinterpret_cast<int64_t>(buffer->begin);
    eachRun(range, [&](int64_t begin) { std::memset(buffer->written.data() + (begin - base), Ready, range.bytes); });
  }
};

/// The core whose block is running on this thread.
inline Core *&currentCore() {
  static thread_local Core *core = nullptr;
  return core;
}
inline Core &core() {
  Core *running = currentCore();
  if (running == nullptr)
    throw EmulatorError({"no-launch", "Ascend C call", "", "a kernel started by unmoor::ascend::Device::launch",
                         "a call outside any launch", "launch the kernel through a Device"},
                        "", "", {});
  return *running;
}

}  // namespace unmoor::ascend::detail
