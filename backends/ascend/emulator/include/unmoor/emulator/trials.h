// Which calls that order something a kernel needs: launches it without some of them.
#pragma once
#include "launch.h"

namespace unmoor::ascend::detail {

/// All that a launch is made of.
struct LaunchOf {
  GlobalMemory &memory;
  const Soc &soc;
  const char *kernel;
  KernelMetaType type;
  uint32_t blocks;
  LaunchOptions options;
  const std::function<void()> &body;
};

/// The registered buffers at a moment.
class Snapshot {
 public:
  UNMOOR_COMMON explicit Snapshot(const GlobalMemory &memory) {
    for (const GlobalBuffer &buffer : memory.buffers)
      list.push_back({{buffer.begin, buffer.begin + buffer.bytes}, buffer.written});
  }
  UNMOOR_COMMON void restore(GlobalMemory &memory) const {
    for (size_t i = 0; i < list.size(); i++) {
      std::copy(list[i].bytes.begin(), list[i].bytes.end(), memory.buffers[i].begin);
      memory.buffers[i].written = list[i].written;
    }
  }
  UNMOOR_COMMON bool holds(const GlobalMemory &memory) const {
    for (size_t i = 0; i < list.size(); i++)
      if (!std::equal(list[i].bytes.begin(), list[i].bytes.end(), memory.buffers[i].begin)) return false;
    return true;
  }

 private:
  struct Buffer {
    std::vector<uint8_t> bytes, written;
  };
  std::vector<Buffer> list;
};

}  // namespace unmoor::ascend::detail

namespace unmoor::ascend {

/// Attempts to leave out calls that order something, each of one kernel. Every launch is made as it stands, and, with the
/// memory as it was before, once without the calls of each attempt that nothing has shown yet: on the blocks of the launch, and on
/// one, where all that the kernel does happens on one core. What follows finds the memory as the whole kernel left it.
class Trials {
 public:
  enum class Outcome { Unnoticed, Reported, Differing };
  struct Trial {
    std::vector<uint32_t> calls;  // as numbered in `ordering`
    Outcome outcome = Outcome::Unnoticed;
  };
  std::vector<Trial> list;
  detail::OrderingCalls ordering;  // the calls that were met

  UNMOOR_COMMON void launch(detail::LaunchOf of) {
    using detail::Snapshot;
    of.options.ordering = &ordering;
    ordering.kernel = of.kernel;
    const Snapshot before(of.memory);
    const uint32_t given = std::exchange(of.blocks, 1);
    if (given > 1) {
      try {
        attempt(of, before);
      } catch (const EmulatorError &) {
        // A kernel need not be made for one block.
      }
      before.restore(of.memory);
    }
    of.blocks = given;
    attempt(of, before);
  }

 private:
  /// The launch as it stands, whose results stay, and those without calls.
  void attempt(const detail::LaunchOf &of, const detail::Snapshot &before) {
    run(of, {});
    const detail::Snapshot after(of.memory);
    for (Trial &trial : list) {
      if (trial.outcome != Outcome::Unnoticed || ordering.list[trial.calls.at(0)].kernel != of.kernel) continue;
      before.restore(of.memory);
      try {
        run(of, trial.calls);
        if (!after.holds(of.memory)) trial.outcome = Outcome::Differing;
      } catch (const EmulatorError &) {
        trial.outcome = Outcome::Reported;
      }
    }
    after.restore(of.memory);
  }

  void run(const detail::LaunchOf &of, const std::vector<uint32_t> &without) {
    ordering.leftOut = without;
    detail::Launch(of.memory, of.soc, of.kernel, of.type, of.blocks, of.options).run(of.body);
  }
};

}  // namespace unmoor::ascend
