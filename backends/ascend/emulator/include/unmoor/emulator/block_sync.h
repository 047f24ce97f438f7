// One block waits for another by words in global memory.
#pragma once
#include "launch.h"

namespace unmoor::ascend::detail {

/// The word of a block and an event: 32 bytes that the host has set to 0.
UNMOOR_COMMON void touchBlockFlag(const Call &call, const GlobalHandle &gm, const LocalHandle &ub, bool vectorOnly, int32_t block, int32_t event) {
  const auto blocks = static_cast<int64_t>(call.c.groups) * (vectorOnly ? 1 : 2);
  call.limit("blockIdx", block, 0, blocks - 1, "give the index of the block that sets");
  call.limit("eventID", event, 0, INT16_MAX, "number events from 0 on");
  call.operand(ub, "ubWorkspace", Space::UB);
  const Range here = call.range(ub, "ubWorkspace", Access::Touch, 32);
  const Range there = globalRange(gm, call.at, "gmWorkspace", Access::Atomic, 32, static_cast<uint64_t>(blocks * event + block) * 32, 1, 0);
  call.c.barrier({call.at.name, PIPE_ALL, call.at.where});
  call.c.issueScalar(call.at, {}, {here, there}, [] {});
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Says that all before is done. Waits first until an earlier setting of the same word has been waited for. Cube cores pass it by.
template <bool isAIVOnly = true>
void IBSet(const GlobalTensor<int32_t> &gmWorkspace, const LocalTensor<int32_t> &ubWorkspace, int32_t blockIdx, int32_t eventID,
           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("IBSet", PIPE_S, where);
  if (call.c.kind == unmoor::ascend::detail::CoreKind::Cube || call.c.leavesOut(call.at)) return;
  touchBlockFlag(call, gmWorkspace.handle(), ubWorkspace.handle, isAIVOnly, blockIdx, eventID);
  call.c.launch->setBlockFlag(call.c, call.at, blockIdx, eventID);
}

/// Goes on when IBSet was called with the same blockIdx and eventID, and takes the word down.
template <bool isAIVOnly = true>
void IBWait(const GlobalTensor<int32_t> &gmWorkspace, const LocalTensor<int32_t> &ubWorkspace, int32_t blockIdx, int32_t eventID,
            unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("IBWait", PIPE_S, where);
  if (call.c.kind == unmoor::ascend::detail::CoreKind::Cube || call.c.leavesOut(call.at)) return;
  touchBlockFlag(call, gmWorkspace.handle(), ubWorkspace.handle, isAIVOnly, blockIdx, eventID);
  call.c.launch->waitBlockFlag(call.c, call.at, blockIdx, eventID);
}

}  // namespace AscendC
