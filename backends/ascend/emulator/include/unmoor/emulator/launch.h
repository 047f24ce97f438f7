// One launch: its blocks as fibers, one after another in a seeded order, switching only where blocks wait for blocks.
// Inside a block, what the code enqueues runs in an order that the seed decides too.
#pragma once
#include <algorithm>
#include <map>
#include <memory>

#include "matmul_debt.h"
#include "pipe.h"

namespace unmoor::ascend::detail {

/// How a launch runs; see Device.
struct LaunchOptions {
  uint64_t seed = 0;
  uint64_t tilingKey = 0;
  Synchronisation synchronisation = Synchronisation::Explicit;
  OrderingCalls *ordering = nullptr;
  Trace *trace = nullptr;
};

/// Places blocks on cores and runs them to the end.
class Launch {
 public:
  UNMOOR_COMMON Launch(GlobalMemory &global, const Soc &soc, std::string kernel, KernelMetaType type, uint32_t blockDim,
         const LaunchOptions &options)
      : global(global), options(options), kernel(std::move(kernel)), type(type), groups(blockDim) {
    for (GlobalBuffer &buffer : global.buffers) buffer.shadow.clear();
    const bool mix = type == KERNEL_TYPE_MIX_AIC_1_1 || type == KERNEL_TYPE_MIX_AIC_1_2;
    const bool vectorOnly = type == KERNEL_TYPE_AIV_ONLY || type == KERNEL_TYPE_MIX_AIV_1_0;
    ratio = type == KERNEL_TYPE_MIX_AIC_1_2 ? 2 : 1;
    for (uint32_t group = 0; group < blockDim; group++) {
      if (!vectorOnly) tasks.push_back(Task{CoreKind::Cube, group, 0});
      for (uint32_t sub = 0; (vectorOnly || mix) && sub < ratio; sub++)
        tasks.push_back(Task{CoreKind::Vector, group, sub});
    }
    physicalGroups = vectorOnly ? soc.vectorCores : soc.cubeCores;
  }

  /// Runs every block; throws the first error after unwinding the blocks that were waiting.
  UNMOOR_COMMON void run(const std::function<void()> &body) {
    std::vector<uint32_t> order(tasks.size());
    for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
    Random random(options.seed);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random.below(i)]);
    if (options.trace != nullptr) begin = options.trace->end;
    size_t left = tasks.size();
    while (left > 0) {
      bool progress = false;
      for (const uint32_t index : order) {
        Task &task = tasks[index];
        if (task.finished || (task.ready && !task.ready())) continue;
        progress = true;
        if (!task.fiber) start(index, body);
        resume(task);
        if (!task.fiber->done()) continue;
        left--;
        task.finished = true;
        const std::exception_ptr failure = task.fiber->error();
        if (failure) giveUp(failure);
        task.fiber.reset();
        if (options.trace != nullptr)
          for (const double until : task.core->busyUntil) options.trace->end = std::max(options.trace->end, until);
        pool.push_back(std::move(task.core));
      }
      if (!progress) deadlock(order);
    }
    checkCrossFlags();
    checkShares();
  }

  /// Vector cores, or cube cores where there are no others, that run a block.
  uint32_t blocks() const { return groups * ratio; }

  /// Waits until `ready` holds, letting other blocks run.
  UNMOOR_COMMON void wait(Core &waiting, const Instruction &at, std::function<bool()> ready) {
    waiting.scheduler.settle();
    if (ready()) return;
    Task &task = tasks[waiting.task];
    task.ready = std::move(ready);
    task.waitsAt = at;
    Fiber::current()->pause();
    task.ready = nullptr;
  }

  /// Barrier over the vector cores, or over all cores. `physicalGroups` bounds what can wait at the same time.
  UNMOOR_COMMON void syncAll(Core &c, const Instruction &at, bool vectorOnly, bool overMemory = false) {
    const bool plain = !overMemory && (type == KERNEL_TYPE_AIV_ONLY || type == KERNEL_TYPE_AIC_ONLY);
    if (plain)
      c.fail(at, {"sync-kernel-type", "", "", "a MIX kernel type (KERNEL_TYPE_MIX_AIV_1_0 for vector code alone)",
                  nameOf(type), "change KERNEL_TASK_TYPE_DEFAULT and the launch: plain types have no cross-core flags"});
    const bool pureVector = type == KERNEL_TYPE_MIX_AIV_1_0;
    if (vectorOnly ? c.kind == CoreKind::Cube : pureVector)
      c.fail(at, {"sync-cores", "", "", pureVector ? "SyncAll<true> in a pure vector kernel" : "SyncAll<false> on a cube core",
                  vectorOnly ? "SyncAll<true>" : "SyncAll<false>", "hardware would hang: change the template argument"});
    checkBlocks(c, at);
    const size_t kind = vectorOnly ? 1 : 0;
    c.barrier({at.name, PIPE_ALL, at.where});
    const uint32_t mine = ++tasks[c.task].barriers[kind];
    Meeting &meeting = meetings[{vectorOnly, mine}];
    join(meeting.told, toldTo(c, c.toldBy(PIPE_S)));
    meeting.time = std::max(meeting.time, c.busyUntil[PIPE_S]);
    wait(c, at, [this, mine, kind, vectorOnly] {
      return std::all_of(tasks.begin(), tasks.end(), [&](const Task &task) {
        return (vectorOnly && task.kind == CoreKind::Cube) || task.barriers[kind] >= mine;
      });
    });
    learn(c, meeting);
  }

  /// Mode 0: all cores of one kind; 1: the vector cores of a group; 2: cube core <-> vector cores of a group.
  UNMOOR_COMMON void setCrossFlag(Core &c, const Instruction &at, uint32_t mode, uint32_t flag) {
    Task &task = tasks[c.task];
    if (++task.sent[mode][flag] > takenBy(task, mode, flag) + arch2201::CROSS_CORE_OUTSTANDING)
      c.fail(at, {"cross-core-flag", "", "flag " + std::to_string(flag), "at most 15 settings not yet waited for",
                  "a sixteenth", "wait for the flag on the other core more often"});
    task.told[mode][flag].push_back({toldTo(c, c.toldBy(at.pipe)), c.busyUntil[at.pipe]});
  }

  /// Blocks that wait for each other have to run at the same time.
  UNMOOR_COMMON void checkBlocks(const Core &c, const Instruction &at) const {
    if (groups > physicalGroups)
      c.fail(at, {"sync-blocks", "", "", "at most " + std::to_string(physicalGroups) + " blocks, as many as there are cores",
                  std::to_string(groups) + " blocks", "launch no more blocks than cores when blocks wait for each other"});
  }

  /// The word of a block and an event, set while it was not waited for.
  UNMOOR_COMMON void setBlockFlag(Core &c, const Instruction &at, int32_t block, int32_t event) {
    checkBlocks(c, at);
    BlockFlag &flag = blockFlags[{event, block}];
    wait(c, at, [&flag] { return !flag.set; });
    learn(c, flag.told);
    flag = {true, {toldTo(c, c.toldBy(PIPE_S)), c.busyUntil[PIPE_S]}, at, c.group};
  }
  UNMOOR_COMMON void waitBlockFlag(Core &c, const Instruction &at, int32_t block, int32_t event) {
    checkBlocks(c, at);
    BlockFlag &flag = blockFlags[{event, block}];
    wait(c, at, [&flag] { return flag.set; });
    learn(c, flag.told);
    flag = {false, {toldTo(c, c.toldBy(PIPE_S)), c.busyUntil[PIPE_S]}, at, c.group};
  }

  UNMOOR_COMMON void waitCrossFlag(Core &c, const Instruction &at, uint32_t flag) {
    Task &task = tasks[c.task];
    wait(c, at, [this, &task, flag] {
      return arrived(task, 0, flag) + arrived(task, 1, flag) + arrived(task, 2, flag) > task.taken[flag];
    });
    const uint32_t turn = task.taken[flag]++;
    for (const Task &from : tasks)
      for (uint32_t mode = 0; mode < 3; mode++)
        if (tells(from, task, mode) && turn < from.told[mode][flag].size()) learn(c, from.told[mode][flag][turn]);
  }

  /// IterateAll of a Matmul object with operands that both vector cores of a group share: their calls come in pairs.
  UNMOOR_COMMON void share(Core &c, const Instruction &at, uint32_t object, std::array<uint64_t, 2> addresses, bool fake) {
    if (ratio != 2) return;
    auto &calls = shares[{c.group, object}].calls;
    std::vector<Share> &mine = calls[c.sub];
    const std::vector<Share> &others = calls[1 - c.sub];
    mine.push_back({at, addresses, fake});
    if (mine.size() > others.size() || fake) return;
    const Share &other = others[mine.size() - 1];
    if (!other.fake && other.addresses != addresses)
      c.fail(at, {"matmul-share", "", "the shared operand", "one address on both vector cores of the group",
                  "another than the other core's call " + std::to_string(mine.size()) + " at " + other.at.where.text(),
                  "give both cores the same matrix, or take IBSHARE out of the MatmulType"});
  }

  /// The first vector core of a group has asked for all of a product that both wait for; the second waits for as many as it called for.
  UNMOOR_COMMON void shareMade(Core &c, uint32_t object) {
    shares[{c.group, object}].made.push_back({toldTo(c, c.toldBy(PIPE_FIX)), c.busyUntil[PIPE_FIX]});
  }
  UNMOOR_COMMON void waitShare(Core &c, const Instruction &at, uint32_t object) {
    Shares &of = shares[{c.group, object}];
    const size_t count = of.calls[1].size();
    wait(c, at, [&of, count] { return of.made.size() >= count; });
    if (count > 0) learn(c, of.made[count - 1]);
  }

 private:
  /// A call for shared operands.
  struct Share {
    Instruction at;
    std::array<uint64_t, 2> addresses;  // 0: not shared
    bool fake;
  };

  /// What cores that waited for each other know.
  struct Meeting {
    Knowledge told{};
    double time = 0;
  };

  /// The calls of the vector cores of a group for one object, and what the first one knows after each, where the second waits for it.
  struct Shares {
    std::array<std::vector<Share>, 2> calls;
    std::vector<Meeting> made;
  };

  /// A word of IBSet and IBWait, and what the last of them knew.
  struct BlockFlag {
    bool set = false;
    Meeting told{};
    Instruction at{"", PIPE_S, {}};
    uint32_t group = 0;
  };

  struct Task {
    CoreKind kind;
    uint32_t group;
    uint32_t sub;
    bool finished = false;
    std::array<uint32_t, 2> barriers{};
    std::array<std::array<uint32_t, arch2201::CROSS_CORE_FLAGS>, 3> sent{};
    std::array<uint32_t, arch2201::CROSS_CORE_FLAGS> taken{};
    std::array<std::array<std::vector<Meeting>, arch2201::CROSS_CORE_FLAGS>, 3> told{};
    std::function<bool()> ready{};
    Instruction waitsAt{"", PIPE_S, {}};
    std::unique_ptr<Core> core{};
    std::unique_ptr<Fiber> fiber{};
  };

  /// Whether `to` waits for flags that `from` sets in a mode.
  static bool tells(const Task &from, const Task &to, uint32_t mode) {
    if (mode == 0) return from.kind == to.kind;
    if (mode == 1) return from.kind == CoreKind::Vector && to.kind == CoreKind::Vector && from.group == to.group;
    return from.kind != to.kind && from.group == to.group;
  }

  /// What a core passes on: what it learnt of others, and of itself what `own` says.
  static Knowledge toldTo(const Core &c, const Clock &own) {
    Knowledge told = c.foreign;
    if (told.size() <= c.task) told.resize(c.task + 1, Clock{});
    join(told[c.task], own);
    return told;
  }
  static void learn(Core &c, const Meeting &meeting) {
    join(c.foreign, meeting.told);
    c.busyUntil[PIPE_S] = std::max(c.busyUntil[PIPE_S], meeting.time);
  }

  /// How often a flag has been set by everyone whose setting `to` waits for.
  uint32_t arrived(const Task &to, uint32_t mode, uint32_t flag) const {
    uint32_t least = UINT32_MAX;
    for (const Task &from : tasks)
      if (tells(from, to, mode)) least = std::min(least, from.sent[mode][flag]);
    return least == UINT32_MAX ? 0 : least;
  }

  /// The slowest receiver of a sender's flag.
  uint32_t takenBy(const Task &from, uint32_t mode, uint32_t flag) const {
    uint32_t least = UINT32_MAX;
    for (const Task &to : tasks) {
      const bool counts = mode == 2 ? to.kind != from.kind && to.group == from.group
                                    : to.kind == from.kind && (mode == 0 || to.group == from.group);
      if (counts) least = std::min(least, to.taken[flag]);
    }
    return least == UINT32_MAX ? 0 : least;
  }

  void start(uint32_t index, const std::function<void()> &body) {
    Task &task = tasks[index];
    if (pool.empty()) pool.push_back(std::make_unique<Core>());
    task.core = std::move(pool.back());
    pool.pop_back();
    Core &c = *task.core;
    c.launch = this;
    c.global = &global;
    c.kernel = kernel;
    c.type = type;
    c.kind = task.kind;
    c.task = index;
    c.group = task.group;
    c.sub = task.sub;
    c.taskRatio = ratio;
    c.groups = groups;
    c.tilingKey = options.tilingKey;
    c.synchronisation = options.synchronisation;
    c.sites = &sites;
    c.ordering = options.ordering;
    c.trace = options.trace;
    c.reset(options.seed * 65537 + index);
    if (c.trace != nullptr) {
      c.traced = static_cast<uint32_t>(c.trace->cores.size());
      c.trace->cores.push_back(kernel + ", " + c.blockText());
      c.busyUntil.fill(begin);
    }
    task.fiber = std::make_unique<Fiber>([&c, &body] {
      body();
      checkLeftovers(c, {});
      checkFlags(c);
      checkMatmulDebts(c, nullptr);
      c.scheduler.settle();
    });
  }

  /// A flag between cores that nobody waited for is still set when the next kernel begins.
  void checkCrossFlags() const {
    for (const Task &task : tasks)
      for (uint32_t flag = 0; flag < arch2201::CROSS_CORE_FLAGS; flag++) {
        const uint32_t set = arrived(task, 0, flag) + arrived(task, 1, flag) + arrived(task, 2, flag);
        if (set > task.taken[flag])
          throw EmulatorError({"cross-flag-leftover", "end of kernel", "flag " + std::to_string(flag),
                               "a CrossCoreWaitFlag for every CrossCoreSetFlag",
                               std::to_string(set - task.taken[flag]) + " of " + std::to_string(set) + " not waited for",
                               "add the waits: the flag would be set when the next kernel begins"},
                              kernel, "group " + std::to_string(task.group) + " (" + nameOf(task.kind) + ")", {});
      }
    for (const auto &[place, flag] : blockFlags)
      if (flag.set)
        throw EmulatorError({"cross-flag-leftover", "end of kernel",
                             "blockIdx " + std::to_string(place.second) + ", eventID " + std::to_string(place.first),
                             "an IBWait for every IBSet", "a word that is still set",
                             "add the IBWait: the word would be set when the next kernel begins"},
                            kernel, "group " + std::to_string(flag.group) + " (" + nameOf(CoreKind::Vector) + ")", flag.at.where);
  }

  /// Without its pair, the cube core would wait for the other vector core's call.
  void checkShares() const {
    for (const auto &[place, of] : shares)
      if (const auto &calls = of.calls; calls[0].size() != calls[1].size()) {
        const auto &longer = calls[0].size() > calls[1].size() ? calls[0] : calls[1];
        throw EmulatorError({"matmul-share", "Matmul::IterateAll", "the shared operand", "as many calls on both vector cores of a group",
                             std::to_string(calls[0].size()) + " and " + std::to_string(calls[1].size()) + " calls",
                             std::string("hardware would wait for ever: let ") +
                                 (longer[0].addresses[0] != 0 && longer[0].addresses[1] != 0
                                      ? "both vector cores make the same calls"
                                      : "the core without work call IterateAll with fakeMsg = true")},
                            kernel, "group " + std::to_string(place.first) + " (" + nameOf(CoreKind::Vector) + ")",
                            longer[std::min(calls[0].size(), calls[1].size())].at.where);
      }
  }

  static void checkFlags(const Core &c) {
    for (int event = 0; event < HARD_EVENTS; event++)
      for (uint32_t id = 0; id < arch2201::EVENT_IDS; id++)
        if (const Flag &flag = c.flags[event][id]; flag.setAt.line != 0)
          c.fail({"end of kernel", PIPE_S, flag.setAt},
                 {"flag-leftover", "", Core::flagText(static_cast<HardEvent>(event), static_cast<int8_t>(id)),
                  "a WaitFlag for every SetFlag", "a flag that is still set", "add the WaitFlag, or drop the SetFlag"});
  }

  static void resume(Task &task) {
    Core *outer = std::exchange(currentCore(), task.core.get());
    task.fiber->resume();
    currentCore() = outer;
  }

  [[noreturn]] void giveUp(const std::exception_ptr &failure) {
    for (Task &task : tasks) {
      if (!task.fiber || task.fiber->done()) continue;
      Core *outer = std::exchange(currentCore(), task.core.get());
      task.fiber->cancel();
      currentCore() = outer;
    }
    std::rethrow_exception(failure);
  }

  [[noreturn]] void deadlock(const std::vector<uint32_t> &order) {
    for (const uint32_t index : order) {
      const Task &task = tasks[index];
      if (task.finished) continue;
      try {
        task.core->fail(task.waitsAt, {"deadlock", "", "", "every block to reach the same waits",
                                       "this block waits, and no other block can go on to release it",
                                       "let every block call SyncAll equally often, and pair cross-core flags"});
      } catch (...) {
        giveUp(std::current_exception());
      }
    }
    std::terminate();  // unreachable: somebody is unfinished
  }

  GlobalMemory &global;
  const LaunchOptions options;
  Sites sites;
  std::map<std::pair<bool, uint32_t>, Meeting> meetings;  // by SyncAll's cores, and how often it was called
  std::map<std::pair<int32_t, int32_t>, BlockFlag> blockFlags;  // by event and block
  std::map<std::pair<uint32_t, uint32_t>, Shares> shares;  // by group and object
  double begin = 0;
  std::string kernel;
  KernelMetaType type;
  uint32_t groups;
  uint32_t ratio = 1;
  uint32_t physicalGroups = 0;
  std::vector<Task> tasks;
  std::vector<std::unique_ptr<Core>> pool;
};

}  // namespace unmoor::ascend::detail
