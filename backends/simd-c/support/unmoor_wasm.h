/* WebAssembly helpers of generated code: vectors of 4 lanes; bf16 and f16 in memory as their 16 bits. */
#ifndef UNMOOR_WASM_H
#define UNMOOR_WASM_H

#include "unmoor_scalar.h"

#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

/* To nearest, ties to even; NaN stays NaN. In the low half. */
static inline v128_t unmoor_narrow_bf16x4(v128_t value) {
  const v128_t odd = wasm_v128_and(wasm_u32x4_shr(value, 16), wasm_i32x4_splat(1));
  const v128_t nearest = wasm_i32x4_add(value, wasm_i32x4_add(odd, wasm_i32x4_splat(0x7fff)));
  const v128_t quiet = wasm_v128_or(value, wasm_i32x4_splat(0x400000));
  const v128_t bits = wasm_u32x4_shr(wasm_v128_bitselect(nearest, quiet, wasm_f32x4_eq(value, value)), 16);
  return wasm_u16x8_narrow_i32x4(bits, bits);
}

static inline v128_t unmoor_load_bf16x4(const uint16_t *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }

static inline v128_t unmoor_load_f16x4(const uint16_t *p) {
  const v128_t bits = wasm_u32x4_load16x4(p);
  const v128_t magnitude = wasm_i32x4_shl(wasm_v128_and(bits, wasm_i32x4_splat(0x7fff)), 13);
  const v128_t sign = wasm_i32x4_shl(wasm_v128_and(bits, wasm_i32x4_splat(0x8000)), 16);
  const v128_t scaled = wasm_f32x4_mul(magnitude, wasm_i32x4_splat(0x77800000)); /* 2^112 */
  const v128_t special = wasm_v128_or(magnitude, wasm_i32x4_splat(0x7f800000));
  const v128_t finite = wasm_i32x4_lt(magnitude, wasm_i32x4_splat(0x7c00 << 13));
  return wasm_v128_or(wasm_v128_bitselect(scaled, special, finite), sign);
}

static inline v128_t unmoor_load_u8x4(const uint8_t *p) {
  return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}

static inline v128_t unmoor_load_i8x4(const int8_t *p) {
  return wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}

/* As unmoor_f8_to_f32. */
static inline v128_t unmoor_load_f8x4(const uint8_t *p) {
  const v128_t bits = unmoor_load_u8x4(p);
  const v128_t magnitude = wasm_v128_and(wasm_i32x4_shl(bits, 20), wasm_i32x4_splat(0x07f00000));
  const v128_t sign = wasm_v128_and(wasm_i32x4_shl(bits, 24), wasm_i32x4_splat(INT32_MIN));
  const v128_t nan = wasm_v128_and(wasm_i32x4_eq(magnitude, wasm_i32x4_splat(0x07f00000)), wasm_i32x4_splat(0x7fc00000));
  const v128_t scaled = wasm_f32x4_mul(magnitude, wasm_i32x4_splat(0x7b800000)); /* 2^120 */
  return wasm_v128_or(wasm_v128_or(scaled, sign), nan);
}

/* As unmoor_f32_to_f16. In the low half. */
static inline v128_t unmoor_narrow_f16x4(v128_t value) {
  const v128_t sign = wasm_v128_and(wasm_u32x4_shr(value, 16), wasm_i32x4_splat(0x8000));
  const v128_t magnitude = wasm_v128_and(value, wasm_i32x4_splat(0x7fffffff));
  const v128_t odd = wasm_v128_and(wasm_u32x4_shr(magnitude, 13), wasm_i32x4_splat(1));
  const v128_t moved = wasm_i32x4_add(magnitude, wasm_i32x4_add(odd, wasm_i32x4_splat(0xfff - 0x38000000)));
  const v128_t small = wasm_i32x4_sub(wasm_f32x4_add(magnitude, wasm_f32x4_splat(0.5f)), wasm_i32x4_splat(0x3f000000));
  const v128_t normal = wasm_i32x4_gt(magnitude, wasm_i32x4_splat(0x387fffff));
  const v128_t rounded = wasm_v128_bitselect(wasm_u32x4_shr(moved, 13), small, normal);
  const v128_t nan = wasm_f32x4_ne(value, value);
  const v128_t special = wasm_v128_bitselect(wasm_i32x4_splat(0x7e00), wasm_i32x4_splat(0x7c00), nan);
  const v128_t large = wasm_i32x4_gt(magnitude, wasm_i32x4_splat(0x477fffff));
  const v128_t bits = wasm_v128_or(wasm_v128_bitselect(special, rounded, large), sign);
  return wasm_u16x8_narrow_i32x4(bits, bits);
}

static inline void unmoor_store_f16x4(uint16_t *p, v128_t value) {
  wasm_v128_store64_lane(p, unmoor_narrow_f16x4(value), 0);
}

static inline v128_t unmoor_load_first_f16x4(const uint16_t *p, int64_t n) {
  uint16_t bits[4] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_f16x4(bits);
}

static inline void unmoor_store_first_f16x4(uint16_t *p, int64_t n, v128_t value) {
  uint16_t bits[4];
  unmoor_store_f16x4(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

static inline void unmoor_store_bf16x4(uint16_t *p, v128_t value) {
  wasm_v128_store64_lane(p, unmoor_narrow_bf16x4(value), 0);
}

/* The first n elements; the other lanes are zero. */
static inline v128_t unmoor_load_first_32x4(const void *p, int64_t n) {
  uint32_t lanes[4] = {0};
  memcpy(lanes, p, (size_t)n * sizeof *lanes);
  return wasm_v128_load(lanes);
}

static inline v128_t unmoor_load_first_bf16x4(const uint16_t *p, int64_t n) {
  uint16_t bits[4] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_bf16x4(bits);
}

static inline void unmoor_store_first_32x4(void *p, int64_t n, v128_t value) {
  uint32_t lanes[4];
  wasm_v128_store(lanes, value);
  memcpy(p, lanes, (size_t)n * sizeof *lanes);
}

static inline void unmoor_store_first_bf16x4(uint16_t *p, int64_t n, v128_t value) {
  uint16_t bits[4];
  unmoor_store_bf16x4(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

/* The low bytes of 32-bit lanes that hold numbers of 8 bits. */
static inline void unmoor_store_i8x4(int8_t *p, v128_t value) {
  const v128_t words = wasm_i16x8_narrow_i32x4(value, value);
  wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(words, words), 0);
}

/* Halves are joined until one lane is left. */
static inline float unmoor_reduce_add_f32x4(v128_t a) {
  const v128_t half = wasm_f32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(half, 0) + wasm_f32x4_extract_lane(half, 1);
}

static inline float unmoor_reduce_max_f32x4(v128_t a) {
  const v128_t half = wasm_f32x4_pmax(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  const float x = wasm_f32x4_extract_lane(half, 0), y = wasm_f32x4_extract_lane(half, 1);
  return x > y ? x : y;
}

static inline int32_t unmoor_reduce_add_i32x4(v128_t a) {
  const v128_t half = wasm_i32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  return wasm_i32x4_extract_lane(half, 0) + wasm_i32x4_extract_lane(half, 1);
}

/* sum + the products of four signed bytes of a with four unsigned ones of b, per 32-bit lane. A product fits 16 bits. */
static inline v128_t unmoor_dot_quads_x4(v128_t sum, v128_t a, v128_t b) {
  const v128_t low = wasm_i16x8_mul(wasm_i16x8_extend_low_i8x16(a), wasm_u16x8_extend_low_u8x16(b));
  const v128_t high = wasm_i16x8_mul(wasm_i16x8_extend_high_i8x16(a), wasm_u16x8_extend_high_u8x16(b));
  const v128_t l = wasm_i32x4_extadd_pairwise_i16x8(low), h = wasm_i32x4_extadd_pairwise_i16x8(high);
  const v128_t even = wasm_i32x4_shuffle(l, h, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(l, h, 1, 3, 5, 7);
  return wasm_i32x4_add(sum, wasm_i32x4_add(even, odd));
}

/* value = mantissa * 2^exponent with 1 <= mantissa < 2. For positive normal values. */
static inline v128_t unmoor_exponent_f32x4(v128_t value) {
  return wasm_f32x4_convert_i32x4(wasm_i32x4_sub(wasm_u32x4_shr(value, 23), wasm_i32x4_splat(127)));
}

static inline v128_t unmoor_mantissa_f32x4(v128_t value) {
  return wasm_v128_or(wasm_v128_and(value, wasm_i32x4_splat(0x7fffff)), wasm_i32x4_splat(0x3f800000));
}

static inline v128_t unmoor_power_of_two_x4(v128_t n) {
  return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127)), 23);
}

/* value * 2^n for a whole n with |n| <= 252, in two steps so that both factors are normal. NaN in n gives NaN. */
static inline v128_t unmoor_scale_f32x4(v128_t value, v128_t n) {
  const v128_t whole = wasm_i32x4_trunc_sat_f32x4(n);
  const v128_t half = wasm_i32x4_shr(whole, 1);
  const v128_t first = wasm_f32x4_mul(value, unmoor_power_of_two_x4(half));
  const v128_t scaled = wasm_f32x4_mul(first, unmoor_power_of_two_x4(wasm_i32x4_sub(whole, half)));
  return wasm_v128_bitselect(scaled, n, wasm_f32x4_eq(n, n));
}

#endif
