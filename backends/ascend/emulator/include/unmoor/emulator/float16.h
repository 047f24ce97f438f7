// 16-bit float types of the NPU, rounded to nearest even unless a mode says otherwise.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace unmoor::ascend::detail {

template <class To, class From> To bitsAs(From value) {
  static_assert(sizeof(To) == sizeof(From), "bitsAs needs equal sizes");
  To out;
  std::memcpy(&out, &value, sizeof(To));
  return out;
}

/// How an inexact value is narrowed; the order is that of Ascend C's RoundMode.
enum class Rounding { None, Rint, Floor, Ceil, Round, Trunc, Odd };

inline float halfBitsToFloat(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fffu;
  // Shifting gives the value times 2^-112, also for subnormals; the product is exact.
  const uint32_t scaled = bitsAs<uint32_t>(bitsAs<float>(magnitude << 13) * 0x1p112f);
  const uint32_t special = 0x7f800000u | (magnitude << 13);
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  return bitsAs<float>(sign | (magnitude >= 0x7c00u ? special : scaled));
}

inline uint16_t floatToHalfBits(float value) {
  const uint32_t bits = bitsAs<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Adding 0.5 lets the float adder round a half subnormal to its last place.
  const uint32_t subnormal = bitsAs<uint32_t>(bitsAs<float>(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  uint32_t out = magnitude < 0x38800000u ? subnormal : normal;
  out = magnitude >= 0x477ff000u ? 0x7c00u : out;
  out = magnitude > 0x7f800000u ? 0x7e00u : out;
  return static_cast<uint16_t>(out | ((bits >> 16) & 0x8000u));
}

inline float bfloatBitsToFloat(uint16_t bits) { return bitsAs<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t floatToBfloatBits(float value) {
  const uint32_t bits = bitsAs<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/// Whether a truncated magnitude has to go one up, given what was cut off against half of the last place.
inline bool roundsUp(Rounding mode, bool negative, bool odd, uint64_t rest, uint64_t half) {
  if (rest == 0) return false;
  switch (mode) {
    case Rounding::None:
    case Rounding::Rint: return rest > half || (rest == half && odd);
    case Rounding::Round: return rest >= half;
    case Rounding::Floor: return negative;
    case Rounding::Ceil: return !negative;
    case Rounding::Trunc: return false;
    case Rounding::Odd: return !odd;
  }
  return false;
}

/// float to half bits by any rounding mode (Cast); the default mode has the faster function above.
inline uint16_t floatToHalfBits(float value, Rounding mode) {
  const uint32_t bits = bitsAs<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (mode == Rounding::None || mode == Rounding::Rint || magnitude >= 0x7f800000u) return floatToHalfBits(value);
  const bool negative = (bits >> 31) != 0;
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  uint64_t mantissa = magnitude & 0x7fffffu;
  int shift = 13;
  uint64_t base = 0;
  if (exponent < -14) {
    if (magnitude >= 0x800000u) mantissa |= 0x800000u;
    const int extra = -14 - exponent;
    shift += extra < 40 ? extra : 40;
  } else {
    base = static_cast<uint64_t>(exponent + 15) << 10;
  }
  uint64_t out = base + (mantissa >> shift);
  const uint64_t rest = mantissa & ((uint64_t{1} << shift) - 1);
  if (out < 0x7c00u && roundsUp(mode, negative, (out & 1u) != 0, rest, uint64_t{1} << (shift - 1))) out++;
  if (out >= 0x7c00u) {
    const bool away = mode == Rounding::Round || (mode == Rounding::Ceil && !negative) ||
                      (mode == Rounding::Floor && negative);
    out = away ? 0x7c00u : 0x7bffu;
  }
  return static_cast<uint16_t>(out | (negative ? 0x8000u : 0u));
}

/// float to bfloat16 bits by any rounding mode.
inline uint16_t floatToBfloatBits(float value, Rounding mode) {
  const uint32_t bits = bitsAs<uint32_t>(value);
  if ((bits & 0x7fffffffu) >= 0x7f800000u) return floatToBfloatBits(value);
  const uint32_t top = bits >> 16;
  const bool up = roundsUp(mode, (bits >> 31) != 0, (top & 1u) != 0, bits & 0xffffu, 0x8000u);
  return static_cast<uint16_t>(top + (up ? 1u : 0u));
}

}  // namespace unmoor::ascend::detail

namespace unmoor::ascend {

/// IEEE binary16. Converts freely, as the device's scalar unit does; arithmetic happens in float.
struct Half {
  uint16_t bits;
  Half() = default;
  template <class A, std::enable_if_t<std::is_arithmetic_v<A>, int> = 0>
  Half(A value) : bits(detail::floatToHalfBits(static_cast<float>(value))) {}
  operator float() const { return detail::halfBitsToFloat(bits); }
  static Half fromBits(uint16_t bits) {
    Half out;
    out.bits = bits;
    return out;
  }
};

/// bfloat16. Scalars convert only by name (ToFloat, ToBfloat16) or explicit cast, as on the device.
struct Bfloat16 {
  uint16_t bits;
  Bfloat16() = default;
  template <class A, std::enable_if_t<std::is_arithmetic_v<A>, int> = 0>
  explicit Bfloat16(A value) : bits(detail::floatToBfloatBits(static_cast<float>(value))) {}
  float toFloat() const { return detail::bfloatBitsToFloat(bits); }
  static Bfloat16 fromBits(uint16_t bits) {
    Bfloat16 out;
    out.bits = bits;
    return out;
  }
};
static_assert(sizeof(Half) == 2 && std::is_trivially_copyable_v<Half>);
static_assert(sizeof(Bfloat16) == 2 && std::is_trivially_copyable_v<Bfloat16>);

}  // namespace unmoor::ascend

using half = unmoor::ascend::Half;
using bfloat16_t = unmoor::ascend::Bfloat16;

namespace AscendC {
inline float ToFloat(const bfloat16_t &value) { return value.toFloat(); }
inline bfloat16_t ToBfloat16(const float &value) { return bfloat16_t(value); }
}  // namespace AscendC
