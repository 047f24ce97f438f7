/* NEON helpers of generated code: vectors of 4 lanes; bf16 and f16 in memory as their 16 bits. */
#ifndef UNMOOR_NEON_H
#define UNMOOR_NEON_H

#include "unmoor_scalar.h"

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* The second operand where one is NaN. */
static inline float32x4_t unmoor_min_f32x4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float32x4_t unmoor_max_f32x4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16x4_t unmoor_narrow_bf16x4(float32x4_t value) {
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  return vreinterpret_u16_bf16(vcvt_bf16_f32(value));
#else
  const uint32x4_t bits = vreinterpretq_u32_f32(value);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t nearest = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(value, value), nearest, quiet), 16);
#endif
}

static inline float32x4_t unmoor_load_bf16x4(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

static inline void unmoor_store_bf16x4(uint16_t *p, float32x4_t value) { vst1_u16(p, unmoor_narrow_bf16x4(value)); }

/* The first n elements; the other lanes are zero. */
static inline float32x4_t unmoor_load_first_f32x4(const float *p, int64_t n) {
  float lanes[4] = {0};
  memcpy(lanes, p, (size_t)n * sizeof *p);
  return vld1q_f32(lanes);
}

static inline int32x4_t unmoor_load_first_i32x4(const int32_t *p, int64_t n) {
  int32_t lanes[4] = {0};
  memcpy(lanes, p, (size_t)n * sizeof *p);
  return vld1q_s32(lanes);
}

static inline float32x4_t unmoor_load_first_bf16x4(const uint16_t *p, int64_t n) {
  uint16_t bits[4] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_bf16x4(bits);
}

static inline void unmoor_store_first_f32x4(float *p, int64_t n, float32x4_t value) {
  float lanes[4];
  vst1q_f32(lanes, value);
  memcpy(p, lanes, (size_t)n * sizeof *p);
}

static inline void unmoor_store_first_i32x4(int32_t *p, int64_t n, int32x4_t value) {
  int32_t lanes[4];
  vst1q_s32(lanes, value);
  memcpy(p, lanes, (size_t)n * sizeof *p);
}

static inline void unmoor_store_first_bf16x4(uint16_t *p, int64_t n, float32x4_t value) {
  uint16_t bits[4];
  unmoor_store_bf16x4(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

static inline float32x4_t unmoor_load_f16x4(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

static inline void unmoor_store_f16x4(uint16_t *p, float32x4_t value) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(value)));
}

static inline float32x4_t unmoor_load_first_f16x4(const uint16_t *p, int64_t n) {
  uint16_t bits[4] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_f16x4(bits);
}

static inline void unmoor_store_first_f16x4(uint16_t *p, int64_t n, float32x4_t value) {
  uint16_t bits[4];
  unmoor_store_f16x4(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

static inline uint16x4_t unmoor_widen_u8x4(const uint8_t *p) {
  return vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(unmoor_load_quad(p)))));
}

static inline int32x4_t unmoor_load_u8x4(const uint8_t *p) { return vreinterpretq_s32_u32(vmovl_u16(unmoor_widen_u8x4(p))); }

static inline int32x4_t unmoor_load_i8x4(const int8_t *p) {
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(unmoor_load_quad(p))))));
}

/* E4M3 as f16 with another bias of its exponent. */
static inline float32x4_t unmoor_load_f8x4(const uint8_t *p) {
  const uint16x4_t bits = unmoor_widen_u8x4(p);
  const uint16x4_t magnitude = vand_u16(vshl_n_u16(bits, 7), vdup_n_u16(0x3f80));
  const uint16x4_t sign = vand_u16(vshl_n_u16(bits, 8), vdup_n_u16(0x8000));
  const uint16x4_t nan = vand_u16(vceq_u16(magnitude, vdup_n_u16(0x3f80)), vdup_n_u16(0x7c00));
  const float32x4_t value = vcvt_f32_f16(vreinterpret_f16_u16(vorr_u16(vorr_u16(magnitude, sign), nan)));
  return vmulq_n_f32(value, 256.0f);
}

/* Halves are joined until one lane is left. */
static inline float unmoor_reduce_add_f32x4(float32x4_t a) {
  const float32x2_t half = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(half, 0) + vget_lane_f32(half, 1);
}

/* The low bytes of 32-bit lanes. */
static inline void unmoor_store_i8x4(int8_t *p, int32x4_t value) {
  const int16x4_t words = vmovn_s32(value);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(p, &four, sizeof four);
}

/* sum + the products of four signed bytes of a with four unsigned ones of b, per 32-bit lane. A product fits 16 bits. */
static inline int32x4_t unmoor_dot_quads_x4(int32x4_t sum, uint8x16_t a, uint8x16_t b) {
  const int8x16_t s = vreinterpretq_s8_u8(a);
  const int16x8_t low = vmulq_s16(vmovl_s8(vget_low_s8(s)), vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(b))));
  const int16x8_t high = vmulq_s16(vmovl_s8(vget_high_s8(s)), vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(b))));
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

/* value = mantissa * 2^exponent with 1 <= mantissa < 2. For positive normal values. */
static inline float32x4_t unmoor_exponent_f32x4(float32x4_t value) {
  const int32x4_t exponent = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(value), 23));
  return vcvtq_f32_s32(vsubq_s32(exponent, vdupq_n_s32(127)));
}

static inline float32x4_t unmoor_mantissa_f32x4(float32x4_t value) {
  const uint32x4_t fraction = vandq_u32(vreinterpretq_u32_f32(value), vdupq_n_u32(0x7fffff));
  return vreinterpretq_f32_u32(vorrq_u32(fraction, vdupq_n_u32(0x3f800000)));
}

static inline float32x4_t unmoor_power_of_two_x4(int32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* value * 2^n for a whole n with |n| <= 252, in two steps so that both factors are normal. NaN in n gives NaN. */
static inline float32x4_t unmoor_scale_f32x4(float32x4_t value, float32x4_t n) {
  const int32x4_t whole = vcvtq_s32_f32(n);
  const int32x4_t half = vshrq_n_s32(whole, 1);
  const float32x4_t first = vmulq_f32(value, unmoor_power_of_two_x4(half));
  const float32x4_t scaled = vmulq_f32(first, unmoor_power_of_two_x4(vsubq_s32(whole, half)));
  return vbslq_f32(vceqq_f32(n, n), scaled, n);
}

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
/* Two neighbouring bf16 in every lane. */
static inline bfloat16x8_t unmoor_broadcast_pair_bf16x4(const uint16_t *p) {
  uint32_t pair;
  memcpy(&pair, p, sizeof pair);
  return vreinterpretq_bf16_u32(vdupq_n_u32(pair));
}
#endif

#endif
