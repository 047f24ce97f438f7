// What a check reports: where, which buffer, what was expected, what was found, how to mend it.
#pragma once

#include <stdexcept>
#include <string>

#include "common.h"

namespace unmoor::ascend {

/// A place in the kernel's source; taken by default arguments, so that callers write nothing.
struct SourceLoc {
  const char *file = "";
  int line = 0;
  static constexpr SourceLoc here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return SourceLoc{file, line};
  }
  UNMOOR_COMMON std::string text() const {
    if (line == 0) return "unknown place";
    const std::string path = file;
    const auto slash = path.find_last_of('/');
    return (slash == std::string::npos ? path : path.substr(slash + 1)) + ":" + std::to_string(line);
  }
};

/// The parts of one report; `code` is short and stable, for tools and tests.
struct Fault {
  std::string code;
  std::string operation;
  std::string buffer;
  std::string expected;
  std::string found;
  std::string remedy;
};

/// Thrown by every check of the emulator. `kernel` is empty when the host's own call is at fault.
class EmulatorError : public std::runtime_error {
 public:
  UNMOOR_COMMON EmulatorError(Fault fault, std::string kernel, std::string block, SourceLoc where)
      : std::runtime_error(compose(fault, kernel, block, where)),
        fault(std::move(fault)),
        kernel(std::move(kernel)),
        block(std::move(block)),
        where(where) {}

  const Fault fault;
  const std::string kernel;
  const std::string block;
  const SourceLoc where;

 private:
  UNMOOR_COMMON static std::string compose(const Fault &fault, const std::string &kernel, const std::string &block, SourceLoc where) {
    std::string out = kernel.empty() ? "host: " : "kernel " + kernel + ", " + block + ", " + where.text() + ": ";
    out += fault.operation + " [" + fault.code + "]";
    if (!fault.buffer.empty()) out += "\n  buffer:   " + fault.buffer;
    out += "\n  expected: " + fault.expected + "\n  found:    " + fault.found + "\n  remedy:   " + fault.remedy;
    return out;
  }
};

}  // namespace unmoor::ascend
