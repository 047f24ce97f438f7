// Kinds of cores and of kernels, and who puts pipes in order.
#pragma once
#include <cstdint>

/// Which cores a kernel runs on, and in which ratio.
enum KernelMetaType {
  KERNEL_TYPE_AIV_ONLY,
  KERNEL_TYPE_AIC_ONLY,
  KERNEL_TYPE_MIX_AIV_1_0,
  KERNEL_TYPE_MIX_AIC_1_0,
  KERNEL_TYPE_MIX_AIC_1_1,
  KERNEL_TYPE_MIX_AIC_1_2,
};

namespace unmoor::ascend {

/// Who puts the pipes of a core in order.
enum class Synchronisation {
  /// The kernel does. What it leaves unordered is an error.
  Explicit,
  /// The same, but nothing is reported: results show what hardware might do.
  Unchecked,
  /// The vendor's compiler does (--cce-auto-sync): instructions run in the order of the code.
  Automatic,
};

}  // namespace unmoor::ascend

namespace unmoor::ascend::detail {

enum class CoreKind : uint8_t { Cube, Vector };

inline const char *nameOf(CoreKind kind) { return kind == CoreKind::Cube ? "cube core AIC" : "vector core AIV"; }
inline constexpr KernelMetaType ALL_KERNEL_TYPES[] = {KERNEL_TYPE_AIV_ONLY,    KERNEL_TYPE_AIC_ONLY,
                                                      KERNEL_TYPE_MIX_AIV_1_0, KERNEL_TYPE_MIX_AIC_1_0,
                                                      KERNEL_TYPE_MIX_AIC_1_1, KERNEL_TYPE_MIX_AIC_1_2};
inline const char *nameOf(KernelMetaType type) {
  static constexpr const char *names[] = {"KERNEL_TYPE_AIV_ONLY",    "KERNEL_TYPE_AIC_ONLY",
                                          "KERNEL_TYPE_MIX_AIV_1_0", "KERNEL_TYPE_MIX_AIC_1_0",
                                          "KERNEL_TYPE_MIX_AIC_1_1", "KERNEL_TYPE_MIX_AIC_1_2"};
  return names[type];
}

}  // namespace unmoor::ascend::detail
