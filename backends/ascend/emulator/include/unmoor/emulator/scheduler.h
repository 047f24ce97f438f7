// The instruction queues of a core: what the kernel's code enqueued, run in an order that hardware might choose.
#pragma once
#include <deque>
#include <stdexcept>

#include "common.h"
#include "order.h"

namespace unmoor::ascend::detail {

/// splitmix64: the same numbers on every machine.
class Random {
 public:
  explicit Random(uint64_t seed = 0) : state(seed) {}
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint32_t below(size_t n) { return static_cast<uint32_t>(next() % n); }

 private:
  uint64_t state;
};

/// Work that waits in a queue. It owns all that it needs: the kernel's code went on long ago.
struct Work {
  virtual ~Work() = default;
  virtual void run() = 0;
};
template <class Body> struct WorkOf final : Work {
  explicit WorkOf(const Body &body) : body(body) {}
  void run() override { body(); }
  Body body;
};

/// Runs the queues. Each queue keeps its order; between queues only flags decide, and beyond them the seed.
class Scheduler {
 public:
  /// A flag between two queues, once.
  using Token = uint32_t;

  UNMOOR_COMMON void reset(uint64_t seed) {
    random = Random(seed);
    for (auto &queue : queues) queue.clear();
    raised.clear();
    spare.clear();
    style = static_cast<Style>(random.below(4));
    for (uint32_t i = 0; i < PIPES; i++) rank[i] = i;
    for (uint32_t i = PIPES; i > 1; i--) std::swap(rank[i - 1], rank[random.below(i)]);
  }

  /// Takes the work over.
  UNMOOR_COMMON void enqueue(int pipe, Work *work) {
    std::unique_ptr<Work> owned(work);
    while (queues[pipe].size() >= DEPTH) progress();
    queues[pipe].push_back({Step::Run, 0, std::move(owned)});
    hurry(pipe);
  }

  Token flag() {
    if (spare.empty()) {
      raised.push_back(false);
      return static_cast<Token>(raised.size() - 1);
    }
    const Token token = spare.back();
    spare.pop_back();
    return token;
  }
  /// The queue raises the flag when all before it has run. The kernel's own code (`scalar`) does so at once.
  void raise(int pipe, Token token, bool scalar) {
    if (scalar) raised[token] = true;
    else queues[pipe].push_back({Step::Raise, token, nullptr});
  }
  /// The queue stops until the flag is raised, and takes it down. The kernel's own code stops where it is.
  UNMOOR_COMMON void await(int pipe, Token token, bool scalar) {
    if (!scalar) {
      queues[pipe].push_back({Step::Await, token, nullptr});
      return;
    }
    while (!raised[token]) progress();
    lower(token);
  }

  /// Runs a queue, and of the others what it waits for, until it is empty.
  UNMOOR_COMMON void settle(int pipe) {
    while (!queues[pipe].empty()) progress();
  }
  UNMOOR_COMMON void settle() {
    for (int pipe = 0; pipe < PIPES; pipe++) settle(pipe);
  }

 private:
  /// How many instructions a queue holds before the kernel's code has to wait (the documented depth of MTE1 and M).
  static constexpr size_t DEPTH = 32;
  /// How far queues run when nobody waits for them.
  enum Style { Late, Early, Any, Ranked };

  struct Step {
    enum Kind : uint8_t { Run, Raise, Await } kind;
    Token token;
    std::unique_ptr<Work> work;
  };

  void lower(Token token) {
    raised[token] = false;
    spare.push_back(token);
  }

  bool ready(int pipe) const {
    const auto &queue = queues[pipe];
    return !queue.empty() && (queue.front().kind != Step::Await || raised[queue.front().token]);
  }

  void step(int pipe) {
    Step next = std::move(queues[pipe].front());
    queues[pipe].pop_front();
    if (next.kind == Step::Raise) raised[next.token] = true;
    else if (next.kind == Step::Await) lower(next.token);
    else next.work->run();
  }

  /// A flag is always raised by a step that was enqueued before its wait, so that some queue is ready.
  void progress() {
    if (!advance()) throw std::logic_error("the Ascend emulator's queues stand still: this is a fault of the emulator");
  }

  /// One step of some queue, if one is ready.
  bool advance() {
    const uint32_t start = style == Any || style == Early ? random.below(PIPES) : 0;
    for (uint32_t i = 0; i < PIPES; i++) {
      const auto pipe = static_cast<int>(rank[(start + i) % PIPES]);
      if (!ready(pipe)) continue;
      step(pipe);
      return true;
    }
    return false;
  }

  /// After each instruction: queues may already run ahead.
  void hurry(int pipe) {
    switch (style) {
      case Late: return;
      case Early:
        while (ready(pipe)) step(pipe);
        return;
      case Any:
        for (uint32_t steps = random.below(6); steps > 0; steps--) advance();
        return;
      case Ranked:
        for (int some = 0; some < PIPES / 2; some++)
          while (ready(static_cast<int>(rank[some]))) step(static_cast<int>(rank[some]));
        return;
    }
  }

  std::array<std::deque<Step>, PIPES> queues;
  std::vector<bool> raised;
  std::vector<Token> spare;
  std::array<uint32_t, PIPES> rank{};
  Style style = Late;
  Random random;
};

}  // namespace unmoor::ascend::detail
