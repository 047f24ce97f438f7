// Cast between element types, by the pairs and rounding modes that architecture 2201 has.
#pragma once
#include <cmath>
#include <limits>

#include "lanes.h"

namespace unmoor::ascend::detail {

using AscendC::RoundMode;

/// The rounding modes that a pair of types has, as a bit set over RoundMode; 0 when the pair does not exist.
constexpr uint32_t castModes(Dtype src, Dtype dst) {
  const auto bit = [](RoundMode mode) { return 1u << static_cast<int>(mode); };
  const uint32_t none = bit(RoundMode::CAST_NONE), odd = bit(RoundMode::CAST_ODD);
  const uint32_t five = bit(RoundMode::CAST_RINT) | bit(RoundMode::CAST_FLOOR) | bit(RoundMode::CAST_CEIL) |
                        bit(RoundMode::CAST_ROUND) | bit(RoundMode::CAST_TRUNC);
  struct Row {
    Dtype src, dst;
    uint32_t modes;
  };
  // The vendor's table for A2 and A3; int4 is left out. int32_t -> half takes the scale of SetDeqScale.
  const Row rows[] = {
      {Dtype::I8, Dtype::F16, none},         {Dtype::U8, Dtype::F16, none},
      {Dtype::I16, Dtype::F16, five | none}, {Dtype::I16, Dtype::F32, none},
      {Dtype::F16, Dtype::I8, five | none},  {Dtype::F16, Dtype::U8, five | none},
      {Dtype::F16, Dtype::I16, five},        {Dtype::F16, Dtype::I32, five},
      {Dtype::F16, Dtype::F32, none},        {Dtype::Bf16, Dtype::I32, five},
      {Dtype::Bf16, Dtype::F32, none},       {Dtype::I32, Dtype::I16, none},
      {Dtype::I32, Dtype::F32, five | none}, {Dtype::F32, Dtype::I16, five},
      {Dtype::F32, Dtype::F16, five | none | odd}, {Dtype::F32, Dtype::Bf16, five},
      {Dtype::F32, Dtype::I32, five},        {Dtype::F32, Dtype::F32, five},
      {Dtype::F32, Dtype::I64, five},        {Dtype::I64, Dtype::F32, five},
      {Dtype::I64, Dtype::I32, none},        {Dtype::I32, Dtype::I64, none},
      {Dtype::I32, Dtype::F16, none},
  };
  for (const Row &row : rows)
    if (row.src == src && row.dst == dst) return row.modes;
  return 0;
}

inline const char *nameOf(RoundMode mode) {
  static constexpr const char *names[] = {"CAST_NONE",  "CAST_RINT",  "CAST_FLOOR", "CAST_CEIL",
                                          "CAST_ROUND", "CAST_TRUNC", "CAST_ODD"};
  return names[static_cast<int>(mode)];
}

inline float toIntegral(float value, RoundMode mode) {
  switch (mode) {
    case RoundMode::CAST_FLOOR: return std::floor(value);
    case RoundMode::CAST_CEIL: return std::ceil(value);
    case RoundMode::CAST_ROUND: return std::round(value);
    case RoundMode::CAST_TRUNC: return std::trunc(value);
    default: return std::nearbyint(value);
  }
}

/// Integers outside float's exact range are stepped to the neighbour that the mode asks for.
inline float integerToFloat(int64_t value, RoundMode mode) {
  const auto nearest = static_cast<float>(value);
  const auto exact = static_cast<long double>(value), got = static_cast<long double>(nearest);
  constexpr float inf = std::numeric_limits<float>::infinity();
  const bool towardZero = mode == RoundMode::CAST_TRUNC;
  if ((mode == RoundMode::CAST_FLOOR || (towardZero && value > 0)) && got > exact) return std::nextafter(nearest, -inf);
  if ((mode == RoundMode::CAST_CEIL || (towardZero && value < 0)) && got < exact) return std::nextafter(nearest, inf);
  return nearest;
}

template <class D, class S> D castOne(S value, RoundMode mode) {
  if constexpr (isFloating<S>() && std::is_integral_v<D>) {
    const float whole = toIntegral(widen(value), mode);
    if (std::isnan(whole)) return 0;
    // Out of range saturates.
    if (static_cast<double>(whole) <= static_cast<double>(std::numeric_limits<D>::min()))
      return std::numeric_limits<D>::min();
    if (static_cast<double>(whole) >= static_cast<double>(std::numeric_limits<D>::max()))
      return std::numeric_limits<D>::max();
    return static_cast<D>(whole);
  } else if constexpr (std::is_integral_v<S> && std::is_integral_v<D>) {
    const auto wide = static_cast<int64_t>(value);
    if (wide < static_cast<int64_t>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
    return wide > static_cast<int64_t>(std::numeric_limits<D>::max()) ? std::numeric_limits<D>::max() : static_cast<D>(value);
  } else {
    float wide;
    if constexpr (std::is_integral_v<S>) wide = integerToFloat(static_cast<int64_t>(value), mode);
    else wide = widen(value);
    const auto rounding = static_cast<Rounding>(mode);
    if constexpr (std::is_same_v<D, Half>) return Half::fromBits(floatToHalfBits(wide, rounding));
    else if constexpr (std::is_same_v<D, Bfloat16>) return Bfloat16::fromBits(floatToBfloatBits(wide, rounding));
    else if constexpr (std::is_same_v<S, float>) return toIntegral(wide, mode);
    else return wide;
  }
}

/// Refuses pairs and modes that the chip lacks, then runs `body` with the conversion of one element.
template <class D, class S, class Body> void castWith(const Call &call, RoundMode mode, Body &&body) {
  const uint32_t modes = castModes(dtypeOf<S>(), dtypeOf<D>());
  const std::string pair = std::string(nameOf(dtypeOf<S>())) + " to " + nameOf(dtypeOf<D>());
  if (modes == 0)
    call.fail("dtype", "", "a pair of types that architecture 2201 converts", pair,
              "go through float or half (bfloat16_t converts only from and to float, and to int32_t)");
  if ((modes >> static_cast<int>(mode) & 1) == 0) {
    std::string legal;
    for (int i = 0; i < 7; i++)
      if ((modes >> i & 1) != 0) legal += (legal.empty() ? "" : ", ") + std::string(nameOf(static_cast<RoundMode>(i)));
    call.fail("round-mode", "", "for " + pair + " one of " + legal, nameOf(mode), "use one of the modes listed");
  }
  if constexpr (std::is_same_v<S, int32_t> && std::is_same_v<D, Half>) {
    const float scale = call.c.registers.deqScale;
    return body([scale](int32_t value) { return Half(static_cast<float>(value) * scale); });
  }
  // The common modes get loops of their own, so that the compiler can vectorise them.
  if (mode == RoundMode::CAST_NONE) body([](S value) { return castOne<D, S>(value, RoundMode::CAST_NONE); });
  else if (mode == RoundMode::CAST_RINT) body([](S value) { return castOne<D, S>(value, RoundMode::CAST_RINT); });
  else body([mode](S value) { return castOne<D, S>(value, mode); });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T, typename U>
void Cast(const LocalTensor<T> &dst, const LocalTensor<U> &src, const RoundMode &roundMode,
                 const uint32_t count, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Cast", PIPE_V, where);
  if constexpr (d::castModes(d::dtypeOf<U>(), d::dtypeOf<T>()) != 0)
    d::castWith<T, U>(call, roundMode, [&](auto f) { d::unaryCount(call, dst, src, count, f); });
  else d::castWith<T, U>(call, roundMode, [](auto) {});
}

template <typename T, typename U, bool isSetMask = true>
void Cast(const LocalTensor<T> &dst, const LocalTensor<U> &src, const RoundMode &roundMode, const uint64_t mask,
                 const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Cast", PIPE_V, where);
  d::castWith<T, U>(call, roundMode,
                    [&](auto f) { d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, repeatParams, f); });
}

template <typename T, typename U, bool isSetMask = true>
void Cast(const LocalTensor<T> &dst, const LocalTensor<U> &src, const RoundMode &roundMode,
                 const uint64_t mask[], const uint8_t repeatTime, const UnaryRepeatParams &repeatParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Cast", PIPE_V, where);
  d::castWith<T, U>(call, roundMode,
                    [&](auto f) { d::unaryRepeat(call, dst, src, mask, isSetMask, repeatTime, repeatParams, f); });
}

/// What Cast from int32_t to half multiplies with.
inline void SetDeqScale(half scale) {
  const unmoor::ascend::detail::Call call("SetDeqScale", PIPE_S, {});
  call.c.registers.deqScale = scale;
}

}  // namespace AscendC
