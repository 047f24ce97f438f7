// One emulated core while it runs a block, and the choke point that every instruction passes through.
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "dtype.h"
#include "fiber.h"
#include "scheduler.h"
#include "soc.h"
#include "trace.h"

/// Which cores a kernel runs on, and in which ratio.
enum KernelMetaType {
  KERNEL_TYPE_AIV_ONLY,
  KERNEL_TYPE_AIC_ONLY,
  KERNEL_TYPE_MIX_AIV_1_0,
  KERNEL_TYPE_MIX_AIC_1_0,
  KERNEL_TYPE_MIX_AIC_1_1,
  KERNEL_TYPE_MIX_AIC_1_2,
};

namespace unmoor::ascend {

/// Who puts the pipes of a core in order.
enum class Synchronisation {
  /// The kernel does. What it leaves unordered is an error.
  Explicit,
  /// The same, but nothing is reported: results show what hardware might do.
  Unchecked,
  /// The vendor's compiler does (--cce-auto-sync): instructions run in the order of the code.
  Automatic,
};

}  // namespace unmoor::ascend

namespace unmoor::ascend::detail {

enum class CoreKind : uint8_t { Cube, Vector };

inline const char *nameOf(CoreKind kind) { return kind == CoreKind::Cube ? "cube core AIC" : "vector core AIV"; }
inline constexpr KernelMetaType ALL_KERNEL_TYPES[] = {KERNEL_TYPE_AIV_ONLY,    KERNEL_TYPE_AIC_ONLY,
                                                      KERNEL_TYPE_MIX_AIV_1_0, KERNEL_TYPE_MIX_AIC_1_0,
                                                      KERNEL_TYPE_MIX_AIC_1_1, KERNEL_TYPE_MIX_AIC_1_2};
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
  Atomic,  // adds to (or compares with) values that are there, at once
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
  uint64_t multiplies = 0;  // Mmad only
};

/// The distinct instructions of a launch, by number.
class Sites {
 public:
  uint32_t of(const Instruction &at) {
    const auto key = (reinterpret_cast<uintptr_t>(at.name) >> 2) ^ static_cast<uintptr_t>(at.where.line) * 31;
    uint32_t &last = recent[key % recent.size()];
    if (last < list.size() && same(list[last], at)) return last;
    for (last = 0; last < list.size(); last++)
      if (same(list[last], at)) return last;
    list.push_back(at);
    return last;
  }
  const Instruction &operator[](uint32_t site) const { return list[site]; }

 private:
  static bool same(const Instruction &a, const Instruction &b) {
    return a.name == b.name && a.where.line == b.where.line && a.where.file == b.where.file && a.pipe == b.pipe;
  }
  std::vector<Instruction> list;
  std::array<uint32_t, 256> recent{};
};

/// The calls that order something, as they are first met, so that tests can leave some of them out.
struct OrderingCalls {
  struct Call {
    std::string name;
    SourceLoc where;
  };
  std::vector<Call> list;
  std::vector<uint32_t> leftOut;  // indices into the list

  UNMOOR_COMMON bool leavesOut(const char *name, SourceLoc where) {
    uint32_t index = 0;
    while (index < list.size() && !(list[index].where.line == where.line && list[index].name == name &&
                                    list[index].where.text() == where.text()))
      index++;
    if (index == list.size()) list.push_back({name, where});
    for (const uint32_t one : leftOut)
      if (one == index) return true;
    return false;
  }
};

/// What the masks of the vector unit and the stores to global memory are set to, outside of the instructions.
struct Registers {
  bool counter = false;                 // SetMaskCount
  uint64_t mask[2] = {~0ull, ~0ull};    // SetVectorMask; counter mode: elements in mask[0]
  enum class Atomic : uint8_t { None, Add, Max, Min } atomic = Atomic::None;
  Dtype atomicType = Dtype::Other;
  float deqScale = 1;                   // SetDeqScale
  uint64_t padValue = 0;                // SetLoadDataPaddingValue, as bits
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
    flags = {};
    reservedEvents = {};
    now = {};
    known = {};
    foreign.clear();
    registers = {};
    busyUntil = {};
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
  UNMOOR_COMMON AscendC::TEventID pickEvent(const Instruction &at, HardEvent event, bool reserve) {
    auto &ids = reservedEvents[static_cast<size_t>(event)];
    const auto free = std::find(ids.begin(), ids.end(), false);
    if (free == ids.end())
      fail(at, {"event-ids", "", pairOf(event).name, "at most 8 event ids of one kind at once",
                "all 8 reserved (each enqueued or freed tensor of a queue holds one)",
                "call ReleaseEventID when a flag is no longer needed, or give queues fewer buffers"});
    *free = reserve;
    return static_cast<AscendC::TEventID>(free - ids.begin());
  }

  /// The flags of a queue: an id of its own from when it is set until it is waited for.
  UNMOOR_COMMON void setSlotFlag(const Instruction &at, HardEvent event, Slot &slot) {
    slot.event = pickEvent(at, event, true);
    setFlag(at, event, slot.event);
  }
  UNMOOR_COMMON void waitSlotFlag(const Instruction &at, HardEvent event, Slot &slot) {
    if (slot.event < 0) return;
    waitFlag(at, event, slot.event);
    reservedEvents[static_cast<size_t>(event)][static_cast<size_t>(slot.event)] = false;
    slot.event = -1;
  }

  /// A pipe tells another what is complete.
  UNMOOR_COMMON void setFlag(const Instruction &at, HardEvent event, AscendC::TEventID id) {
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

  UNMOOR_COMMON void waitFlag(const Instruction &at, HardEvent event, AscendC::TEventID id) {
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

  static std::string flagText(HardEvent event, AscendC::TEventID id) {
    return std::string(pairOf(event).name) + ", event id " + std::to_string(id);
  }

  /// What is after this in the code waits until the pipe, or all pipes, have done what is before it.
  UNMOOR_COMMON void barrier(const Instruction &at) {
    if (at.pipe != PIPE_ALL) {
      checkPipe(at);
      known[at.pipe][at.pipe] = now[at.pipe];
      return;
    }
    scheduler.settle();
    for (Clock &one : known) join(one, now);
    busyUntil.fill(*std::max_element(busyUntil.begin(), busyUntil.end()));
  }

  /// All that is complete once a pipe has done what it was given so far.
  Clock toldBy(pipe_t pipe) const {
    Clock told = known[pipe];
    join(told, known[PIPE_S]);  // the scalar unit issued it after what it waited for
    told[pipe] = now[pipe];
    return told;
  }

  /// Whether a test leaves this call out.
  bool leavesOut(const Instruction &at) { return ordering != nullptr && ordering->leavesOut(at.name, at.where); }

 private:
  UNMOOR_COMMON void check(const Instruction &at, Ranges reads, Ranges writes) {
    checkPipe(at);
    for (size_t i = 0; i < reads.count; i++) checkRange(at, reads.first[i]);
    for (size_t i = 0; i < writes.count; i++) checkRange(at, writes.first[i]);
    if (synchronisation == Synchronisation::Explicit) order(at, reads, writes);
    if (trace != nullptr) spend(at, reads, writes);
  }

  UNMOOR_COMMON void markReady(Ranges writes) {
    for (size_t i = 0; i < writes.count; i++)
      if (writes.first[i].access == Access::Write) markReady(writes.first[i]);
  }

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

  UNMOOR_COMMON void checkLocal(const Instruction &at, const Range &range) {
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

  UNMOOR_COMMON void checkGlobal(const Instruction &at, const Range &range) {
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
      if ((range.access != Access::Read && range.access != Access::Atomic) || buffer->written.empty()) return;
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

  /// Enters an instruction's accesses; throws where an earlier one conflicts and may not be complete.
  UNMOOR_COMMON void order(const Instruction &at, Ranges reads, Ranges writes) {
    if (at.pipe != PIPE_S) join(known[at.pipe], known[PIPE_S]);
    const Mark mark{++now[at.pipe], sites->of(at), 0, static_cast<uint16_t>(task), static_cast<uint8_t>(at.pipe), false};
    for (size_t i = 0; i < reads.count; i++) touch(at, reads.first[i], mark);
    for (size_t i = 0; i < writes.count; i++) touch(at, writes.first[i], mark);
  }

  UNMOOR_COMMON void touch(const Instruction &at, Range range, Mark mark) {
    if (range.bytes == 0 || range.inner == 0 || range.outer == 0) return;
    mark.write = range.access != Access::Read && range.access != Access::Look;
    mark.atomic = range.access == Access::Atomic;
    uint64_t base = 0;
    Shadow *shadow = nullptr;
    if (range.space == Space::GM) {
      GlobalBuffer *buffer = global->find(reinterpret_cast<const void *>(range.begin));
      shadow = &buffer->shadow;
      base = reinterpret_cast<uint64_t>(buffer->begin);
    } else {
      shadow = &local(range.space).shadow;
    }
    if (range.innerStride == range.bytes) {
      range.bytes *= range.inner;
      range.inner = 1;
    }
    if (range.inner == 1 && range.outerStride == range.bytes) {
      range.bytes *= range.outer;
      range.outer = 1;
    }
    eachRun(range, [&](int64_t begin) {
      const uint64_t from = static_cast<uint64_t>(begin) - base;
      shadow->touch(from, from + range.bytes, mark, [&](const Mark &before) {
        if (!isAfter(mark, before)) unordered(at, range, mark, before);
      });
    });
  }

  bool isAfter(const Mark &mark, const Mark &before) const {
    if (before.task != task) return before.task < foreign.size() && before.time <= foreign[before.task][before.pipe];
    if (before.pipe == mark.pipe && (mark.pipe == PIPE_S || before.time == mark.time)) return true;
    return before.time <= known[mark.pipe][before.pipe];
  }

  [[noreturn]] UNMOOR_COMMON void unordered(const Instruction &at, const Range &range, const Mark &mark, const Mark &before);

  /// Moves the modelled time of the pipe, and writes it down.
  UNMOOR_COMMON void spend(const Instruction &at, Ranges reads, Ranges writes) {
    const auto bytes = [](Ranges ranges) {
      uint64_t sum = 0;
      for (size_t i = 0; i < ranges.count; i++)
        sum += uint64_t{ranges.first[i].bytes} * ranges.first[i].inner * ranges.first[i].outer;
      return sum;
    };
    const double cycles = trace->cost({at.name, at.pipe, bytes(reads), bytes(writes), at.multiplies});
    const double begin = std::max(busyUntil[at.pipe], busyUntil[PIPE_S]);
    busyUntil[at.pipe] = begin + cycles;
    trace->events.push_back({traced, at.pipe, at.name, at.where, begin, begin + cycles});
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

/// Two instructions that touch the same bytes, at least one of which writes them, in an order that nothing ensures.
void Core::unordered(const Instruction &at, const Range &range, const Mark &mark, const Mark &before) {
  const Instruction &earlier = (*sites)[before.site];
  const bool sameFile = std::string(earlier.where.file) == at.where.file;
  const auto place = [&](const Instruction &one) {
    return std::string(one.name) + (sameFile ? " in line " + std::to_string(one.where.line) : " at " + one.where.text());
  };
  std::string buffer = range.operand;
  if (range.space == Space::GM) buffer += " in " + global->find(reinterpret_cast<const void *>(range.begin))->text();
  else buffer += " in " + regions[static_cast<size_t>(range.region)].text();
  const std::string what = std::string(before.write ? "writes" : "reads") + " bytes that " + at.name +
                           (mark.write ? " writes" : " reads");
  if (before.task != task)
    fail(at, {"missing-sync-cores", "", buffer,
              std::string(at.name) + " and " + earlier.name + " at " + earlier.where.text() +
                  " one after the other: the latter, on another core, " + what,
              "nothing makes one core wait for the other",
              "SyncAll() between the " + place(earlier) + " and the " + place(at) +
                  ", or CrossCoreSetFlag and CrossCoreWaitFlag, or a launch for each"});
  const pipe_t from = earlier.pipe, to = at.pipe;
  std::string remedy;
  if (from == to) {
    remedy = std::string("PipeBarrier<PIPE_") + nameOf(to) + ">() between the " + place(earlier) + " and the " + place(at);
  } else if (const HardEvent event = eventOf(from, to); event != HardEvent::MAX) {
    const std::string flag = pairOf(event).name;
    remedy = "SetFlag<" + flag + ">(id) after the " + place(earlier) + " and WaitFlag<" + flag + ">(id) before the " + place(at);
    for (const QueueState &queue : queues)
      for (const Slot &slot : queue.slots)
        if (range.space != Space::GM && slot.region == range.region && event == queue.enqueued)
          remedy = "EnQue the tensor after the " + place(earlier) + " and DeQue it before the " + place(at);
  } else {
    remedy = "PipeBarrier<PIPE_ALL>() between the " + place(earlier) + " and the " + place(at);
  }
  fail(at, {"missing-sync", "", buffer,
            std::string(at.name) + " (pipe " + nameOf(to) + ") after " + earlier.name + " at " + earlier.where.text() +
                " (pipe " + nameOf(from) + "), which " + what,
            from == to ? std::string("nothing makes pipe ") + nameOf(to) + " finish the one before it starts the other"
                       : std::string("nothing makes pipe ") + nameOf(to) + " wait for pipe " + nameOf(from),
            remedy});
}

}  // namespace unmoor::ascend::detail
