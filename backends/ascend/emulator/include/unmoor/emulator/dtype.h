// Element types: names for messages, and how one element is loaded, computed with and stored.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>

#include "common.h"
#include "float16.h"

namespace unmoor::ascend::detail {

enum class Dtype { F32, F16, Bf16, I8, U8, I16, U16, I32, U32, I64, U64, Other };

inline const char *nameOf(Dtype type) {
  static constexpr const char *names[] = {"float",    "half",    "bfloat16_t", "int8_t",  "uint8_t",  "int16_t",
                                          "uint16_t", "int32_t", "uint32_t",   "int64_t", "uint64_t", "another type"};
  return names[static_cast<int>(type)];
}

template <class T> constexpr Dtype dtypeOf() {
  if constexpr (std::is_same_v<T, float>) return Dtype::F32;
  else if constexpr (std::is_same_v<T, Half>) return Dtype::F16;
  else if constexpr (std::is_same_v<T, Bfloat16>) return Dtype::Bf16;
  else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr bool isSigned = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return isSigned ? Dtype::I8 : Dtype::U8;
    else if constexpr (sizeof(T) == 2) return isSigned ? Dtype::I16 : Dtype::U16;
    else if constexpr (sizeof(T) == 4) return isSigned ? Dtype::I32 : Dtype::U32;
    else return isSigned ? Dtype::I64 : Dtype::U64;
  } else return Dtype::Other;
}

/// What functions that do not depend on an element's type know of it.
struct Element {
  Dtype type;
  uint32_t size;  // bytes
};
template <class T> constexpr Element elementOf() { return {dtypeOf<T>(), sizeof(T)}; }

/// A set of element types an operation takes.
struct Dtypes {
  std::initializer_list<Dtype> list;
  bool has(Dtype type) const {
    for (Dtype one : list)
      if (one == type) return true;
    return false;
  }
  UNMOOR_COMMON std::string text() const {
    std::string out;
    for (Dtype one : list) out += (out.empty() ? "" : ", ") + std::string(nameOf(one));
    return out;
  }
};

template <class T> constexpr bool isFloating() {
  return std::is_same_v<T, float> || std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>;
}

/// The type arithmetic happens in: float for every float type, a wide integer for integers.
template <class T> using Compute = std::conditional_t<isFloating<T>(), float, int64_t>;

template <class T> Compute<T> widen(T value) {
  if constexpr (std::is_same_v<T, Bfloat16>) return value.toFloat();
  else return static_cast<Compute<T>>(value);
}

template <class T> T narrow(Compute<T> value) {
  return static_cast<T>(value);  // float types round to nearest even, integers wrap
}

// Memory is bytes; memcpy keeps reinterpreted tensors free of aliasing trouble and compiles to plain moves.
template <class T> T loadAs(const uint8_t *from) {
  T out;
  std::memcpy(&out, from, sizeof(T));
  return out;
}
template <class T> void storeAs(uint8_t *to, T value) { std::memcpy(to, &value, sizeof(T)); }

/// Turns 16x16 elements of 2 bytes (or the states of their bytes).
inline void transposeFractal(uint8_t *dst, const uint8_t *src) {
  for (uint32_t row = 0; row < 16; row++)
    for (uint32_t col = 0; col < 16; col++) std::memcpy(dst + (col * 16 + row) * 2, src + (row * 16 + col) * 2, 2);
}

}  // namespace unmoor::ascend::detail
