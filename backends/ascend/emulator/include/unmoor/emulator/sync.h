// Order between pipes, between cores, and with the scalar unit's cache.
#pragma once
#include "launch.h"

namespace unmoor::ascend::detail {

inline AscendC::TEventID eventId(const Call &call, int32_t id) {
  call.limit("event id", static_cast<int64_t>(id), 0, arch2201::EVENT_IDS - 1,
             "take the id from FetchEventID");
  return static_cast<AscendC::TEventID>(id);
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// When the first pipe of the event has done all it was given so far, the second one may go on after its WaitFlag.
template <HardEvent event>
void SetFlag(int32_t eventID, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("SetFlag", PIPE_S, where);
  const auto id = unmoor::ascend::detail::eventId(call, eventID);
  if (!call.c.leavesOut(call.at)) call.c.setFlag(call.at, event, id);
}

template <HardEvent event>
void WaitFlag(int32_t eventID, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("WaitFlag", PIPE_S, where);
  const auto id = unmoor::ascend::detail::eventId(call, eventID);
  if (!call.c.leavesOut(call.at)) call.c.waitFlag(call.at, event, id);
}

/// Waits until a pipe has finished what was queued before.
template <pipe_t pipe>
void PipeBarrier(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("PipeBarrier", pipe, where);
  if (!call.c.leavesOut(call.at)) call.c.barrier(call.at);
}

/// Barrier over all vector cores, or with false over all cores of a MIX kernel.
template <bool isAIVOnly = true>
void SyncAll(unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("SyncAll", PIPE_S, where);
  if (call.c.leavesOut(call.at)) return;
  call.c.launch->syncAll(call.c, call.at, isAIVOnly);
}

/// The same over global memory: for vector kernels of any type, with 32 bytes per core in both work spaces, zero at first.
template <bool isAIVOnly = true>
void SyncAll(const GlobalTensor<int32_t> &gmWorkspace, const LocalTensor<int32_t> &ubWorkspace,
                    const int32_t usedCores = 0,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert(isAIVOnly, "over global memory only vector cores wait for each other");
  using namespace unmoor::ascend::detail;
  const Call call("SyncAll", PIPE_S, where);
  if (call.c.leavesOut(call.at)) return;
  const uint32_t cores = call.c.launch->blocks();
  call.limit("usedCores", usedCores, 0, cores, "0 for all");
  call.require(usedCores == 0 || static_cast<uint32_t>(usedCores) == cores, "sync-cores", "usedCores", "all blocks of the launch",
               std::to_string(usedCores) + " of " + std::to_string(cores), "let every block call it, and leave usedCores out");
  call.operand(ubWorkspace, "ubWorkspace", Space::UB);
  const Range here = call.range(ubWorkspace, "ubWorkspace", Access::Touch, uint64_t{cores} * 32);
  const Range there = gmWorkspace.range(call.at, "gmWorkspace", Access::Atomic, uint64_t{cores} * 32);
  call.c.issueScalar(call.at, {}, {here, there}, [] {});
  call.c.launch->syncAll(call.c, call.at, true, true);
}

template <uint8_t modeId, pipe_t pipe>
void CrossCoreSetFlag(uint16_t flagId, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert(modeId <= 2, "modes are 0, 1 and 2");
  const unmoor::ascend::detail::Call call("CrossCoreSetFlag", pipe, where);
  call.limit("flagId", flagId, 0, unmoor::ascend::arch2201::CROSS_CORE_FLAGS - 1, "ids above 10 belong to the system");
  if (!call.c.leavesOut(call.at)) call.c.launch->setCrossFlag(call.c, call.at, modeId, flagId);
}

template <uint8_t modeId = 0, pipe_t pipe = PIPE_S>
void CrossCoreWaitFlag(uint16_t flagId, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("CrossCoreWaitFlag", pipe, where);
  call.limit("flagId", flagId, 0, unmoor::ascend::arch2201::CROSS_CORE_FLAGS - 1, "ids above 10 belong to the system");
  if (!call.c.leavesOut(call.at)) call.c.launch->waitCrossFlag(call.c, call.at, flagId);
}

/// A flag between two pipes, by the pipes' names.
template <pipe_t src, pipe_t dst> class TQueSync {
 public:
  void SetFlag(TEventID id, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    AscendC::SetFlag<EVENT>(id, where);
  }
  void WaitFlag(TEventID id, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
    AscendC::WaitFlag<EVENT>(id, where);
  }

 private:
  static constexpr HardEvent EVENT = unmoor::ascend::detail::eventOf(src, dst);
  static_assert(EVENT != HardEvent::MAX, "the hardware has no flag between these pipes");
};

/// Gives global memory one value. The pipes that use it have to wait for MTE3.
template <typename T>
void InitOutput(GlobalTensor<T> gmWorkspaceAddr, uint32_t size, T value = 0,
                       unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  using namespace unmoor::ascend::detail;
  const Call call("InitOutput", PIPE_MTE3, where);
  const Range to = gmWorkspaceAddr.range(call.at, "gmWorkspaceAddr", Access::Write, uint64_t{size} * sizeof(T));
  call.issue({}, {to}, [=] {
    for (uint64_t i = 0; i < size; i++) storeAs<T>(reinterpret_cast<uint8_t *>(to.begin) + i * sizeof(T), value);
  });
}
template <typename T>
void InitGlobalMemory(GlobalTensor<T> &gmWorkspaceAddr, const uint64_t size, const T value,
                             unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  InitOutput(gmWorkspaceAddr, static_cast<uint32_t>(size), value, where);
}

enum class CacheLine : uint64_t { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE };
enum class DcciDst : uint64_t { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };

/// The scalar cache is not modelled: scalar writes are visible at once.
template <typename T, CacheLine entireType, DcciDst dcciDst = DcciDst::CACHELINE_ALL>
void DataCacheCleanAndInvalid(const GlobalTensor<T> &) {
  unmoor::ascend::detail::core();
}

/// The part of a workspace that is the kernel's. Nothing is kept for the system here.
inline GM_ADDR GetUserWorkspace(GM_ADDR workspace) { return workspace; }
/// The system's part of the workspace, which Matmul objects are given. It is not read or written here.
inline GM_ADDR GetSysWorkSpacePtr() {
  static uint8_t place = 0;
  return &place;
}

inline int64_t GetBlockIdx() { return unmoor::ascend::detail::core().blockIdx(); }
inline int64_t GetBlockNum() { return unmoor::ascend::detail::core().groups; }
inline int64_t GetSubBlockIdx() { return unmoor::ascend::detail::core().sub; }
inline int64_t GetSubBlockNum() { return unmoor::ascend::detail::core().taskRatio; }
/// Cores of the kind that runs this for each group.
inline int64_t GetTaskRatio() {
  const auto &c = unmoor::ascend::detail::core();
  return c.kind == unmoor::ascend::detail::CoreKind::Cube ? 1 : c.taskRatio;
}
inline int64_t GetTaskRation() { return GetTaskRatio(); }

}  // namespace AscendC

namespace unmoor::ascend::detail {

inline bool onCore(CoreKind kind) { return core().kind == kind; }

/// KERNEL_TASK_TYPE_DEFAULT: the kernel's own statement has to match the launch.
inline void declareKernelType(KernelMetaType declared, SourceLoc where = SourceLoc::here()) {
  const Call call("KERNEL_TASK_TYPE_DEFAULT", PIPE_S, where);
  if (declared != call.c.type)
    call.fail("kernel-type", "", nameOf(call.c.type), nameOf(declared),
              "launch the kernel with the type that it declares");
}

/// GET_TILING_DATA_WITH_STRUCT: a copy of the host's tiling struct out of global memory.
template <class T> T tilingData(const uint8_t *from, SourceLoc where = SourceLoc::here()) {
  const Call call("GET_TILING_DATA_WITH_STRUCT", PIPE_S, where);
  Range range{Space::GM, Access::Read, -1, reinterpret_cast<uint64_t>(from), sizeof(T)};
  range.operand = "tiling";
  T out;
  call.c.issueScalar(call.at, {range}, {}, [&] { std::memcpy(static_cast<void *>(&out), from, sizeof(T)); });
  return out;
}

}  // namespace unmoor::ascend::detail
