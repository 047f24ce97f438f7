// A block of a launch as a fiber: it runs until it ends or has to wait for other blocks.
#pragma once
#include <sys/mman.h>
#include <ucontext.h>

#include <exception>
#include <functional>
#include <new>
#include <utility>

namespace unmoor::ascend::detail {

/// Thrown into a waiting fiber when the launch is given up, so that its stack unwinds.
struct Cancelled {};

/// A call stack of its own, switched by hand; all fibers of a launch share one thread.
class Fiber {
 public:
  explicit Fiber(std::function<void()> body) : body(std::move(body)) {
    stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
  }
  ~Fiber() { munmap(stack, STACK); }
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;

  bool done() const { return finished; }
  std::exception_ptr error() const { return failure; }

  /// Runs until the next pause or the end.
  void resume() {
    Fiber *outer = std::exchange(current(), this);
    if (!started) {
      started = true;
      getcontext(&here);
      here.uc_stack.ss_sp = stack;
      here.uc_stack.ss_size = STACK;
      here.uc_link = &caller;
      makecontext(&here, &Fiber::enter, 0);
    }
    swapcontext(&caller, &here);
    current() = outer;
  }

  /// Goes back to whoever resumed this fiber.
  void pause() {
    swapcontext(&here, &caller);
    if (cancelled) throw Cancelled{};
  }

  /// Ends a fiber that will never be resumed for work again.
  void cancel() {
    cancelled = true;
    if (started && !finished) resume();
  }

  static Fiber *&current() {
    static thread_local Fiber *fiber = nullptr;
    return fiber;
  }

 private:
  static constexpr size_t STACK = 1 << 20;

  static void enter() {
    Fiber *self = current();
    try {
      self->body();
    } catch (const Cancelled &) {
    } catch (...) {
      self->failure = std::current_exception();
    }
    self->finished = true;
  }

  std::function<void()> body;
  void *stack = nullptr;
  ucontext_t here{};
  ucontext_t caller{};
  std::exception_ptr failure;
  bool started = false;
  bool finished = false;
  bool cancelled = false;
};

}  // namespace unmoor::ascend::detail
