// The host's side of the emulator: a device with registered buffers that kernels are launched on.
#pragma once
#include "kernel_operator.h"
#include "unmoor/emulator/trials.h"

namespace unmoor::ascend {

/// One emulated NPU. Make one per run and per thread; nothing is shared between devices.
class Device {
 public:
  explicit Device(const Soc &soc = SOC_910B3) : chip(soc) {}

  const Soc &soc() const { return chip; }

  /// Makes host memory visible as global memory. `initialised` is false for results and workspaces: reading a byte
  /// of them before a kernel has written it is an error. Registering the same address again replaces the buffer.
  UNMOOR_COMMON void registerBuffer(void *pointer, size_t bytes, std::string name, bool initialised) {
    unregisterBuffer(pointer);
    auto *begin = static_cast<uint8_t *>(pointer);
    for (const auto &other : memory.buffers)
      if (begin < other.begin + other.bytes && other.begin < begin + bytes)
        fail("registerBuffer", "gm-overlap", other.text(), "buffers that do not overlap",
             "\"" + name + "\" shares bytes with it", "give every buffer memory of its own");
    memory.buffers.push_back({begin, bytes, std::move(name), {}, {}});
    if (!initialised) memory.buffers.back().written.assign(bytes, 0);
  }

  UNMOOR_COMMON void unregisterBuffer(const void *pointer) {
    for (size_t i = 0; i < memory.buffers.size(); i++)
      if (memory.buffers[i].begin == pointer) memory.buffers.erase(memory.buffers.begin() + static_cast<long>(i--));
  }

  /// The host wrote these bytes of a registered buffer.
  UNMOOR_COMMON void markWritten(const void *pointer, size_t bytes) {
    const auto *const at = static_cast<const uint8_t *>(pointer);
    for (auto &buffer : memory.buffers) {
      if (at < buffer.begin || at >= buffer.begin + buffer.bytes || buffer.written.empty()) continue;
      const size_t from = static_cast<size_t>(at - buffer.begin);
      std::fill(buffer.written.begin() + from, buffer.written.begin() + std::min(from + bytes, buffer.bytes), 1);
    }
  }

  /// Refuses a result of which a kernel left bytes unwritten.
  UNMOOR_COMMON void requireWritten(const void *pointer) const {
    for (const auto &buffer : memory.buffers) {
      if (buffer.begin != pointer) continue;
      for (size_t i = 0; i < buffer.written.size(); i++)
        if (buffer.written[i] == 0)
          fail("requireWritten", "gm-unwritten", buffer.text(), "every byte of the result written",
               "byte " + std::to_string(i) + " was never written", "check the loop bounds and tails of the kernels");
      return;
    }
    fail("requireWritten", "gm-unregistered", "", "a registered buffer", "an unknown address", "register it first");
  }

  /// Decides the order in which later launches run their blocks, and the blocks their pipes.
  void setSeed(uint64_t value) { options.seed = value; }

  /// Says who puts the pipes of a core in order; the kernel does, unless told otherwise.
  void setSynchronisation(Synchronisation value) { options.synchronisation = value; }

  /// The key that TILING_KEY_IS asks for in later launches; 0 unless told.
  void setTilingKey(uint64_t key) { options.tilingKey = key; }

  /// Writes down when each instruction of later launches would run; nullptr ends that.
  void setTrace(Trace *trace) { options.trace = trace; }

  /// Makes each later launch also without some of the calls that order something; nullptr ends that.
  void setTrials(Trials *value) { trials = value; }

  /// Runs a kernel to its end on `blockDim` blocks. Pointer arguments may be given as void *.
  template <class... Params, class... Args>
  void launch(const char *name, KernelMetaType type, uint32_t blockDim, void (*kernel)(Params...), Args... args) {
    static_assert(sizeof...(Params) == sizeof...(Args), "as many arguments as the kernel has parameters");
    if (blockDim == 0 || blockDim > 65535)
      fail(name, "limit", "", "blockDim in 1..65535", std::to_string(blockDim), "launch at least one block");
    const std::function<void()> body = [&] { kernel(convert<Params>(args)...); };
    if (trials != nullptr) trials->launch({memory, chip, name, type, blockDim, options, body});
    else detail::Launch(memory, chip, name, type, blockDim, options).run(body);
  }

 private:
  template <class To, class From> static To convert(From value) {
    if constexpr (std::is_pointer_v<To> && std::is_pointer_v<From>)
      return static_cast<To>(const_cast<void *>(static_cast<const void *>(value)));
    else return static_cast<To>(value);
  }

  [[noreturn]] static void fail(const char *what, const char *code, std::string buffer, std::string expected,
                                std::string found, std::string remedy) {
    throw EmulatorError({code, what, std::move(buffer), std::move(expected), std::move(found), std::move(remedy)},
                        "", "", {});
  }

  Soc chip;
  detail::GlobalMemory memory;
  detail::LaunchOptions options;
  Trials *trials = nullptr;
};

}  // namespace unmoor::ascend
