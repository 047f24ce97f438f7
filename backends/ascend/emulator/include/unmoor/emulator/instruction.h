// One instruction: its name and place, and the bytes that it touches.
#pragma once
#include <array>
#include <initializer_list>
#include <map>
#include <tuple>
#include <vector>

#include "events.h"

namespace unmoor::ascend::detail {

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
  uint64_t multiplies = 0;  // Mmad and Matmul only
  bool onCube = false;      // what a Matmul object has its cube core do: PIPE_FIX stands for it on a vector core
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
    std::string kernel;
  };
  std::vector<Call> list;
  std::vector<uint32_t> leftOut;  // indices into the list
  std::string kernel;             // the one that runs

  UNMOOR_COMMON bool leavesOut(const char *name, SourceLoc where) {
    const uint32_t index = indexOf(name, where);
    for (const uint32_t one : leftOut)
      if (one == index) return true;
    return false;
  }

 private:
  std::map<std::tuple<const char *, const char *, int64_t, std::string>, uint32_t> known;  // by addresses of texts: one call may have several

  uint32_t indexOf(const char *name, SourceLoc where) {
    const auto [place, isNew] = known.try_emplace({name, where.file, where.line, kernel}, 0);
    if (!isNew) return place->second;
    uint32_t index = 0;
    while (index < list.size() && !(list[index].where.line == where.line && list[index].name == name &&
                                    list[index].kernel == kernel && list[index].where.text() == where.text()))
      index++;
    if (index == list.size()) list.push_back({name, where, kernel});
    return place->second = index;
  }
};

}  // namespace unmoor::ascend::detail
