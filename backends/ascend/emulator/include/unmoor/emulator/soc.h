// Figures of the NPUs of architecture 2201, as data (platform configuration of the public runtime repository).
#pragma once
#include <cstdint>

namespace unmoor::ascend {

/// One chip (or one die of a two-die package).
struct Soc {
  const char *name;
  uint32_t cubeCores;    // AIC
  uint32_t vectorCores;  // AIV
  uint32_t cubeMhz;
  uint32_t l2MiB;
  uint32_t hbmGiB;
};

inline constexpr Soc SOC_910B1{"910B1", 24, 48, 1850, 192, 64};
inline constexpr Soc SOC_910B2{"910B2", 24, 48, 1800, 192, 64};
inline constexpr Soc SOC_910B3{"910B3", 20, 40, 1800, 192, 64};
inline constexpr Soc SOC_910B4{"910B4", 20, 40, 1500, 96, 32};
/// One of the two dies of a 910C package (the driver calls it 910_9391).
inline constexpr Soc SOC_910C_DIE{"910_9391", 24, 48, 1850, 192, 64};
inline constexpr Soc ALL_SOCS[] = {SOC_910B1, SOC_910B2, SOC_910B3, SOC_910B4, SOC_910C_DIE};

/// Local memory per core, the same on every chip of the architecture.
namespace arch2201 {
inline constexpr uint32_t UB_TOTAL = 192 * 1024 - 256;
inline constexpr uint32_t UB_RESERVED = 8 * 1024;  // kept by the compiler unless told otherwise
inline constexpr uint32_t UB = UB_TOTAL - UB_RESERVED;
inline constexpr uint32_t L1 = 512 * 1024 - 256;
inline constexpr uint32_t L0A = 64 * 1024;
inline constexpr uint32_t L0B = 64 * 1024;
inline constexpr uint32_t L0C = 128 * 1024;
inline constexpr uint32_t BT = 1024;
inline constexpr uint32_t BLOCK = 32;      // DataBlock, the unit of every transfer
inline constexpr uint32_t REPEAT = 256;    // bytes of one vector repeat
inline constexpr uint32_t FRACTAL = 512;   // bytes of one 16-row fractal
inline constexpr uint32_t MOST_CORES = 48;      // of one kind, on the largest chip
inline constexpr uint32_t MAX_BUFFERS = 64;     // per TPipe
inline constexpr uint32_t MAX_ALLOCATED = 8;    // tensors held at once per TPosition
inline constexpr uint32_t EVENT_IDS = 8;
inline constexpr uint32_t CROSS_CORE_FLAGS = 11;
inline constexpr uint32_t CROSS_CORE_OUTSTANDING = 15;
}  // namespace arch2201

}  // namespace unmoor::ascend
