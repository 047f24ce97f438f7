/* Scalar helpers of generated code: index arithmetic, bf16 and f16 as their 16 bits, powers of two. */
#ifndef UNMOOR_SCALAR_H
#define UNMOOR_SCALAR_H

#include <stdint.h>
#include <string.h>

/* Before a loop: how many iterations are best written one after the other. */
#define UNMOOR_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define UNMOOR_UNROLL(n) UNMOOR_PRAGMA(unroll n)
#else
#define UNMOOR_UNROLL(n) UNMOOR_PRAGMA(GCC unroll n)
#endif

/* value, not below 0 and not above limit. */
static inline int64_t unmoor_clamp(int64_t value, int64_t limit) {
  return value < 0 ? 0 : value > limit ? limit : value;
}

/* Quotient rounded towards minus infinity, and its remainder. */
static inline int64_t unmoor_floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static inline int64_t unmoor_mod(int64_t a, int64_t b) { return a - b * unmoor_floor_div(a, b); }

static inline float unmoor_bf16_to_f32(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

/* Subnormal numbers are made normal by the multiplication; infinities and NaN keep their exponent. */
static inline float unmoor_f16_to_f32(uint16_t bits) {
  const uint32_t magnitude = (uint32_t)(bits & 0x7fff) << 13;
  const uint32_t scale = 0x77800000; /* 2^112 */
  float value, factor;
  memcpy(&value, &magnitude, sizeof value);
  memcpy(&factor, &scale, sizeof factor);
  value *= factor;
  uint32_t whole;
  memcpy(&whole, &value, sizeof whole);
  if ((bits & 0x7c00) == 0x7c00) whole = 0x7f800000 | (magnitude & 0x7fffff);
  whole |= (uint32_t)(bits & 0x8000) << 16;
  memcpy(&value, &whole, sizeof value);
  return value;
}

/* E4M3: the bits of an f32 with another bias of its exponent. */
static inline float unmoor_f8_to_f32(uint8_t bits) {
  const uint32_t magnitude = (bits & 0x7fu) == 0x7f ? 0x7fc00000 : (uint32_t)(bits & 0x7f) << 20;
  const uint32_t scale = 0x7b800000; /* 2^120 */
  float value, factor;
  memcpy(&value, &magnitude, sizeof value);
  memcpy(&factor, &scale, sizeof factor);
  return bits & 0x80 ? -value * factor : value * factor;
}

/* Four bytes as they lie in memory. */
static inline uint32_t unmoor_load_quad(const void *p) {
  uint32_t quad;
  memcpy(&quad, p, sizeof quad);
  return quad;
}

/* What a table has for each of four bytes below 16. */
static inline uint32_t unmoor_lookup_quad(uint32_t quad, const uint8_t *table) {
  uint32_t found = 0;
  for (int i = 0; i < 32; i += 8) found |= (uint32_t)table[quad >> i & 15] << i;
  return found;
}

/* sum + the products of the four signed bytes of a with the four unsigned ones of b. */
static inline int64_t unmoor_dot_quad(int64_t sum, uint32_t a, uint32_t b) {
  for (int i = 0; i < 32; i += 8) sum += (int8_t)(a >> i) * (uint8_t)(b >> i);
  return sum;
}

/*
 * To nearest, ties to even; NaN stays NaN. Adding 1/2 to a small number leaves the steps of subnormal f16 as the last bit of its
 * fraction: the addition rounds.
 */
static inline uint16_t unmoor_f32_to_f16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00);
  if (magnitude >= 0x38800000) return (uint16_t)(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
  float small;
  memcpy(&small, &magnitude, sizeof small);
  small += 0.5f;
  memcpy(&magnitude, &small, sizeof magnitude);
  return (uint16_t)(sign | (magnitude - 0x3f000000));
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t unmoor_f32_to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* To the nearest whole number, ties to even. For |value| below 2^22. */
static inline float unmoor_round(float value) {
  const float shift = 12582912.0f;
  return value + shift - shift;
}

/* value = mantissa * 2^exponent with 1 <= mantissa < 2. For positive normal values. */
static inline float unmoor_exponent(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return (float)((int32_t)(bits >> 23) - 127);
}

static inline float unmoor_mantissa(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  bits = (bits & 0x7fffff) | 0x3f800000;
  memcpy(&value, &bits, 4);
  return value;
}

/* 2^n for -126 <= n <= 127. */
static inline float unmoor_power_of_two(int32_t n) {
  const uint32_t bits = (uint32_t)(n + 127) << 23;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/* value * 2^n for a whole n with |n| <= 252, in two steps so that both factors are normal. */
static inline float unmoor_scale(float value, float n) {
  if (n != n) return n;
  const int32_t half = (int32_t)n / 2;
  return value * unmoor_power_of_two(half) * unmoor_power_of_two((int32_t)n - half);
}

#endif
