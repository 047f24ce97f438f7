// Checks on the arguments of one instruction, in words that name the operand and the remedy.
#pragma once
#include "tensor.h"

namespace unmoor::ascend::detail {

/// One instruction being checked. All vector, cube and copy functions start by making one.
struct Call {
  Instruction at;
  Core &c;
  Call(const char *name, pipe_t pipe, SourceLoc where) : at{name, pipe, where}, c(core()) {}

  [[noreturn]] UNMOOR_COMMON void fail(const char *code, std::string buffer, std::string expected, std::string found,
                         std::string remedy) const {
    c.fail(at, {code, "", std::move(buffer), std::move(expected), std::move(found), std::move(remedy)});
  }

  UNMOOR_COMMON void require(bool holds, const char *code, const char *operand, const std::string &expected,
               const std::string &found, const char *remedy) const {
    if (!holds) fail(code, operand, expected, found, remedy);
  }

  /// A number within limits of the instruction.
  UNMOOR_COMMON void limit(const char *what, int64_t value, int64_t low, int64_t high, const char *remedy) const {
    if (value < low || value > high)
      fail("limit", "", std::string(what) + " in " + std::to_string(low) + ".." + std::to_string(high),
           std::to_string(value), remedy);
  }

  template <class T> void dtype(const char *operand, const Dtypes &legal, const char *remedy) const {
    dtype(dtypeOf<T>(), operand, legal, remedy);
  }
  UNMOOR_COMMON void dtype(Dtype type, const char *operand, const Dtypes &legal, const char *remedy) const {
    if (!legal.has(type))
      fail("dtype", operand, "one of " + legal.text() + " on architecture 2201", nameOf(type), remedy);
  }

  UNMOOR_COMMON void aligned(const LocalHandle &tensor, const char *operand, uint32_t bytes) const {
    if (tensor.address % bytes != 0)
      fail("alignment", std::string(operand) + " in " + liveRegion(c, at, tensor, operand).text(),
           "a start that is a multiple of " + std::to_string(bytes) + " bytes in " + nameOf(tensor.space()),
           "byte " + std::to_string(tensor.address), "round the offset, or give the tensor a buffer of its own");
  }

  /// A local operand of an instruction that is bound to `space`, aligned as the memory asks.
  UNMOOR_COMMON void operand(const LocalHandle &tensor, const char *name, Space space, uint32_t alignment = 0) const {
    const Region &region = liveRegion(c, at, tensor, name);
    if (tensor.space() != space)
      fail("position", std::string(name) + " in " + region.text(), std::string("a tensor in ") + nameOf(space),
           std::string("a tensor in ") + nameOf(tensor.space()), "move the data there first");
    aligned(tensor, name, alignment == 0 ? alignmentOf(space) : alignment);
  }
  template <class T>
  void operand(const AscendC::LocalTensor<T> &tensor, const char *name, Space space, uint32_t alignment = 0) const {
    operand(tensor.handle, name, space, alignment);
  }

  Range range(const LocalHandle &tensor, const char *name, Access access, uint64_t bytes, uint64_t offset = 0) const {
    return localRange(c, at, tensor, name, access, bytes, offset);
  }
  template <class T>
  Range range(const AscendC::LocalTensor<T> &tensor, const char *name, Access access, uint64_t bytes,
              uint64_t offset = 0) const {
    return range(tensor.handle, name, access, bytes, offset);
  }

  /// Two operands may be the same bytes, or apart; never shifted against each other.
  UNMOOR_COMMON void apart(const Range &dst, const Range &src) const {
    if (dst.space == src.space && dst.begin < src.begin + src.bytes && src.begin < dst.begin + dst.bytes)
      fail("overlap", std::string(dst.operand) + " and " + src.operand, "operands apart: the call writes results before it has read all",
           "operands that overlap", "write to another buffer");
  }
  UNMOOR_COMMON void notShifted(const Range &dst, const Range &src) const {
    if (dst.space != src.space || dst.begin == src.begin || dst.bytes == 0 || src.bytes == 0) return;
    if (dst.begin < src.begin + src.bytes && src.begin < dst.begin + dst.bytes)
      fail("overlap", std::string(dst.operand) + " and " + src.operand, "operands that are equal or apart",
           "operands that overlap by a part", "write to another buffer, or compute in place");
  }

  uint8_t *data(const LocalHandle &handle) const { return c.bytesAt(handle.space(), handle.address); }
  uint8_t *state(const LocalHandle &handle) const { return c.local(handle.space()).state.data() + handle.address; }

  template <class Body> void issue(Ranges reads, Ranges writes, const Body &body) const {
    c.issue(at, reads, writes, body);
  }
};

}  // namespace unmoor::ascend::detail
