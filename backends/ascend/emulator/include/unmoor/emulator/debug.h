// What a kernel prints and asserts.
#pragma once
#include <cassert>
#include <cstdio>

#include "tensor.h"

namespace unmoor::ascend::detail {

/// Prints elements eight in a row, under a heading that says which core they are of.
template <class T, class Load>
void dump(const char *what, uint32_t desc, uint32_t count, Load &&load) {
  std::printf("%s, DumpTensor %u: %u elements of %s in %s\n", core().blockText().c_str(), desc, count, nameOf(dtypeOf<T>()), what);
  for (uint32_t i = 0; i < count; i++)
    std::printf("%s%g%s", i % 8 == 0 ? "  " : " ", static_cast<double>(widen(load(i))), i % 8 == 7 || i + 1 == count ? "\n" : "");
}

[[noreturn]] inline void assertionFailed(const char *condition, SourceLoc where) {
  core().fail({"assert", PIPE_S, where}, {"assert", "", "", condition, "false", "mend what the assertion is about"});
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Text from a kernel, with the block that it comes from.
template <class... Args> void printf(const char *format, Args &&...args) {
  std::printf("[%s] ", unmoor::ascend::detail::core().blockText().c_str());
  if constexpr (sizeof...(Args) == 0) std::fputs(format, stdout);
  else std::printf(format, args...);
}
template <class... Args> void PRINTF(const char *format, Args &&...args) { AscendC::printf(format, args...); }

/// Prints the first elements of a tensor. They have to be in place: a pipe that still writes them is a fault.
template <typename T>
void DumpTensor(const LocalTensor<T> &tensor, uint32_t desc, uint32_t dumpSize,
                       unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::dump<T>(d::nameOf(tensor.handle.space()), desc, dumpSize, [&](uint32_t i) { return tensor.GetValue(i, where); });
}
template <typename T>
void DumpTensor(const GlobalTensor<T> &tensor, uint32_t desc, uint32_t dumpSize,
                       unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::dump<T>("GM", desc, dumpSize, [&](uint32_t i) { return tensor.GetValue(i, where); });
}

}  // namespace AscendC

// In a kernel a failed assertion is a fault with its block and line; the message that may follow the condition is dropped.
#undef assert
#define ascendc_assert(condition, ...)                                                                                 \
  ((condition) ? static_cast<void>(0) : ::unmoor::ascend::detail::assertionFailed(#condition, ::unmoor::ascend::SourceLoc::here()))
#define assert ascendc_assert
