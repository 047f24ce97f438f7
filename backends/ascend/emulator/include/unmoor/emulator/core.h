// One emulated core while it runs a block, and the choke point that every instruction passes through.
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "core_kind.h"
#include "dtype.h"
#include "fiber.h"
#include "instruction.h"
#include "scheduler.h"
#include "soc.h"
#include "trace.h"

namespace unmoor::ascend::detail {

/// What the masks of the vector unit and the stores to global memory are set to, outside of the instructions.
struct Registers {
  bool counter = false;                 // SetMaskCount
  uint64_t mask[2] = {~0ull, ~0ull};    // SetVectorMask; counter mode: elements in mask[0]
  enum class Atomic : uint8_t { None, Add, Max, Min } atomic = Atomic::None;
  Dtype atomicType = Dtype::Other;
  float deqScale = 1;                   // SetDeqScale
  uint64_t padValue = 0;                // SetLoadDataPaddingValue, as bits
  /// CmpMask, of 128 bits: its values change as the vector unit works, the rest as instructions are handed to it.
  struct Comparison {
    enum class From : uint8_t { Nothing, Compare, SetCmpMask } from = From::Nothing;
    uint8_t state[16] = {};  // which bytes have a value, as local memory's
    uint8_t bits[16] = {};
  } comparison;
};

/// A slot of a TQue: one buffer and what is being done with it.
struct Slot {
  enum State : uint8_t { Free, Allocated, Queued, Taken } state = Free;
  int32_t region = -1;
  AscendC::TEventID event = -1;  // the flag that EnQue or FreeTensor has set, and nobody has waited for yet
};
struct QueueState {
  TPosition position;
  AscendC::HardEvent enqueued, freed;
  uint32_t depth;  // 0: one tensor at a time, handed from alloc to free without a queue
  SourceLoc madeAt;
  std::vector<Slot> slots;
  std::deque<uint32_t> fifo;
  uint32_t cursor = 0;  // the slot that AllocTensor tries first
  uint32_t lastAllocated = 0;
  UNMOOR_COMMON std::string text() const {
    return std::string("queue ") + nameOf(position) + " (" + std::to_string(slots.size()) + " buffers, depth " +
           std::to_string(depth) + ") made at " + madeAt.text();
  }
};

/// A flag between two pipes.
struct Flag {
  SourceLoc setAt;  // line == 0: not set
  Clock told{};     // what the waiting pipe learns
  Scheduler::Token token = 0;
  double time = 0;
};

/// What a Matmul object was asked for: a block, all blocks with an answer that has to be waited for, or without one.
struct MatmulDebt {
  const void *object;
  enum Kind { Block, Flag, Open } kind;
  Instruction at;
};

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
  uint64_t tilingKey = 0;    // what TILING_KEY_IS asks for
  void *pipe = nullptr;     // the current TPipe
  std::array<LocalMemory, LOCAL_SPACES> memory;
  std::vector<Region> regions;
  std::vector<QueueState> queues;
  uint32_t buffers = 0;  // of the TPipe
  std::vector<struct Area *> pools;
  std::array<std::array<Flag, arch2201::EVENT_IDS>, HARD_EVENTS> flags{};
  std::array<std::array<bool, arch2201::EVENT_IDS>, HARD_EVENTS> reservedEvents{};
  Synchronisation synchronisation = Synchronisation::Explicit;
  Scheduler scheduler;
  Sites *sites = nullptr;
  OrderingCalls *ordering = nullptr;  // only while tests ask for it
  Clock now{};                        // instructions per pipe
  std::array<Clock, PIPES> known{};   // what each pipe knows to be complete
  Knowledge foreign;                  // what this core knows of the others
  Registers registers;
  std::array<uint32_t, 4> merged{};   // what the last MrgSort took of each list
  std::array<bool, LOCAL_SPACES> allocators{};  // memories with a LocalMemAllocator
  const void *matmulInUse = nullptr;  // the Matmul object that has the cube core's memory
  uint32_t matmulObjects = 0, matmulInits = 0;
  std::vector<MatmulDebt> matmulDebts;
  bool matmulCubeOnly = false;        // the code was compiled with ASCENDC_CUBE_ONLY
  Trace *trace = nullptr;
  uint32_t traced = 0;                // index among the trace's cores
  std::array<double, PIPES> busyUntil{};

  uint32_t blockIdx() const { return kind == CoreKind::Vector ? group * taskRatio + sub : group; }
  UNMOOR_COMMON std::string blockText() const {
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
      case Space::BT: return cube ? arch2201::BT : 0;
      default: return 0;
    }
  }

  LocalMemory &local(Space space) { return memory[static_cast<size_t>(space)]; }
  uint8_t *bytesAt(Space space, uint64_t begin) {
    return space == Space::GM ? reinterpret_cast<uint8_t *>(begin) : local(space).data.data() + begin;
  }

  /// Readies the core for a block: nothing is allocated, every memory is poison once it is.
  UNMOOR_COMMON void reset(uint64_t seed) {
    pipe = nullptr;
    scheduler.reset(seed);
    for (int i = 0; i < LOCAL_SPACES; i++) memory[i].reset(capacity(static_cast<Space>(i)));
    regions.clear();
    queues.clear();
    buffers = 0;
    pools.clear();
    flags = {};
    reservedEvents = {};
    now = {};
    known = {};
    foreign.clear();
    registers = {};
    busyUntil = {};
    allocators = {};
    matmulInUse = nullptr;
    matmulObjects = matmulInits = 0;
    matmulDebts.clear();
  }

  [[noreturn]] UNMOOR_COMMON void fail(const Instruction &at, Fault fault) const {
    fault.operation = at.name;
    throw EmulatorError(std::move(fault), kernel, blockText(), at.where);
  }

  /// Every instruction of a queue goes through here, with all it reads and writes, in the order of the kernel's code:
  /// checked, and put into the queue of its pipe. `body` may run long after the call, and owns what it needs.
  template <class Body> void issue(const Instruction &at, Ranges reads, Ranges writes, const Body &body) {
    check(at, reads, writes);
    if (synchronisation == Synchronisation::Automatic) body();
    else scheduler.enqueue(at.pipe, new WorkOf<Body>(body));
    markReady(writes);
  }

  /// The same for the scalar unit, which works at once.
  template <class Body> void issueScalar(const Instruction &at, Ranges reads, Ranges writes, Body &&body) {
    check(at, reads, writes);
    body();
    markReady(writes);
  }

  /// For instructions whose operands are data: what they read is in place after this.
  void settle(pipe_t pipe) { scheduler.settle(pipe); }

  /// The first id of a kind of event that nobody has reserved.
  UNMOOR_COMMON AscendC::TEventID pickEvent(const Instruction &at, HardEvent event, bool reserve);

  /// The flags of a queue: an id of its own from when it is set until it is waited for.
  UNMOOR_COMMON void setSlotFlag(const Instruction &at, HardEvent event, Slot &slot);
  UNMOOR_COMMON void waitSlotFlag(const Instruction &at, HardEvent event, Slot &slot);

  /// A pipe tells another what is complete.
  UNMOOR_COMMON void setFlag(const Instruction &at, HardEvent event, AscendC::TEventID id);

  UNMOOR_COMMON void waitFlag(const Instruction &at, HardEvent event, AscendC::TEventID id);

  static std::string flagText(HardEvent event, AscendC::TEventID id) {
    return std::string(pairOf(event).name) + ", event id " + std::to_string(id);
  }

  /// What is after this in the code waits until the pipe, or all pipes, have done what is before it.
  UNMOOR_COMMON void barrier(const Instruction &at);

  /// All that is complete once a pipe has done what it was given so far.
  UNMOOR_COMMON Clock toldBy(pipe_t pipe) const;

  /// Whether a test leaves this call out.
  bool leavesOut(const Instruction &at) { return ordering != nullptr && ordering->leavesOut(at.name, at.where); }

 private:
  UNMOOR_COMMON void check(const Instruction &at, Ranges reads, Ranges writes);
  UNMOOR_COMMON void markReady(Ranges writes);
  UNMOOR_COMMON void checkPipe(const Instruction &at) const;

  template <class Visit> static void eachRun(const Range &range, Visit &&visit) {
    for (uint32_t o = 0; o < range.outer; o++)
      for (uint32_t i = 0; i < range.inner; i++)
        visit(static_cast<int64_t>(range.begin) + o * range.outerStride + i * range.innerStride);
  }

  UNMOOR_COMMON void checkRange(const Instruction &at, const Range &range);
  UNMOOR_COMMON void checkLocal(const Instruction &at, const Range &range);
  UNMOOR_COMMON void checkGlobal(const Instruction &at, const Range &range);
  UNMOOR_COMMON static std::string operandText(const Range &range, const Region &region);

  /// Enters an instruction's accesses; throws where an earlier one conflicts and may not be complete.
  UNMOOR_COMMON void order(const Instruction &at, Ranges reads, Ranges writes);
  UNMOOR_COMMON void touch(const Instruction &at, Range range, Mark mark);
  UNMOOR_COMMON bool isAfter(const Mark &mark, const Mark &before) const;
  [[noreturn]] UNMOOR_COMMON void unordered(const Instruction &at, const Range &range, const Mark &mark, const Mark &before);

  /// Moves the modelled time of the pipe, and writes it down.
  UNMOOR_COMMON void spend(const Instruction &at, Ranges reads, Ranges writes);

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
UNMOOR_COMMON Core *&currentCore() {
  static thread_local Core *core = nullptr;
  return core;
}
UNMOOR_COMMON Core &core() {
  Core *running = currentCore();
  if (running == nullptr)
    throw EmulatorError({"no-launch", "Ascend C call", "", "a kernel started by unmoor::ascend::Device::launch",
                         "a call outside any launch", "launch the kernel through a Device"},
                        "", "", {});
  return *running;
}

}  // namespace unmoor::ascend::detail

#include "core_check.h"  // the members declared above
#include "core_flags.h"
