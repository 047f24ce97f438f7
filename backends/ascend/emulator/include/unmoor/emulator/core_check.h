// What a core checks of each instruction: its pipe, ranges, written bytes, and the order to earlier ones. Included by core.h.
#pragma once
#include "core.h"

namespace unmoor::ascend::detail {

void Core::check(const Instruction &at, Ranges reads, Ranges writes) {
  checkPipe(at);
  for (size_t i = 0; i < reads.count; i++) checkRange(at, reads.first[i]);
  for (size_t i = 0; i < writes.count; i++) checkRange(at, writes.first[i]);
  if (synchronisation == Synchronisation::Explicit) order(at, reads, writes);
  if (trace != nullptr) spend(at, reads, writes);
}

void Core::checkPipe(const Instruction &at) const {
  const bool vectorOnly = at.pipe == PIPE_V || at.pipe == PIPE_MTE3;
  const bool cubeOnly = at.pipe == PIPE_M || at.pipe == PIPE_MTE1 || at.pipe == PIPE_FIX;
  if (at.onCube) return;
  if ((vectorOnly && kind == CoreKind::Cube) || (cubeOnly && kind == CoreKind::Vector))
    fail(at, {"core-kind", "", "", std::string("a ") + nameOf(vectorOnly ? CoreKind::Vector : CoreKind::Cube) +
                                       ", which has pipe " + nameOf(at.pipe),
              std::string("a ") + nameOf(kind),
              std::string("declare the kernel ") + (vectorOnly ? "KERNEL_TYPE_AIV_ONLY" : "KERNEL_TYPE_AIC_ONLY") +
                  ", or guard the call with " + (vectorOnly ? "ASCEND_IS_AIV" : "ASCEND_IS_AIC") + " in a MIX kernel"});
}

void Core::checkRange(const Instruction &at, const Range &range) {
  if (range.bytes == 0 || range.inner == 0 || range.outer == 0) return;
  range.space == Space::GM ? checkGlobal(at, range) : checkLocal(at, range);
}

void Core::checkLocal(const Instruction &at, const Range &range) {
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

void Core::checkGlobal(const Instruction &at, const Range &range) {
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

std::string Core::operandText(const Range &range, const Region &region) {
  return std::string(range.operand) + " in " + region.text();
}

void Core::order(const Instruction &at, Ranges reads, Ranges writes) {
  if (at.pipe != PIPE_S) join(known[at.pipe], known[PIPE_S]);
  const Mark mark{++now[at.pipe], sites->of(at), 0, static_cast<uint16_t>(task), static_cast<uint8_t>(at.pipe), false};
  for (size_t i = 0; i < reads.count; i++) touch(at, reads.first[i], mark);
  for (size_t i = 0; i < writes.count; i++) touch(at, writes.first[i], mark);
}

void Core::touch(const Instruction &at, Range range, Mark mark) {
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

bool Core::isAfter(const Mark &mark, const Mark &before) const {
  if (before.task != task) return before.task < foreign.size() && before.time <= foreign[before.task][before.pipe];
  if (before.pipe == mark.pipe && (mark.pipe == PIPE_S || before.time == mark.time)) return true;
  return before.time <= known[mark.pipe][before.pipe];
}

void Core::spend(const Instruction &at, Ranges reads, Ranges writes) {
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

void Core::markReady(Ranges writes) {
  for (size_t i = 0; i < writes.count; i++)
    if (writes.first[i].access == Access::Write) markReady(writes.first[i]);
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
  // A vector core's cube core is no pipe that a flag reaches: it follows MTE3, and Matmul's own calls wait for it.
  const pipe_t from = earlier.pipe, to = at.onCube ? PIPE_MTE3 : at.pipe;
  const auto pipeOf = [](const Instruction &one) {
    return one.onCube ? std::string("the cube core") : std::string("pipe ") + nameOf(one.pipe);
  };
  std::string remedy;
  if (earlier.onCube) {
    remedy = "Matmul::WaitIterateAll() before the " + place(at) + ", or IterateAll and GetTensorC with sync = true";
  } else if (from == to) {
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
            std::string(at.name) + " (" + pipeOf(at) + ") after " + earlier.name + " at " + earlier.where.text() + " (" +
                pipeOf(earlier) + "), which " + what,
            from == to && !earlier.onCube ? "nothing makes " + pipeOf(at) + " finish the one before it starts the other"
                                          : "nothing makes " + pipeOf(at) + " wait for " + pipeOf(earlier),
            remedy});
}

}  // namespace unmoor::ascend::detail
