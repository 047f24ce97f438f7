/* AVX2 helpers of generated code: vectors of 8 lanes; bf16 and f16 in memory as their 16 bits. */
#ifndef UNMOOR_AVX2_H
#define UNMOOR_AVX2_H

#include "unmoor_scalar.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* All bits of the first n lanes. */
static inline __m256i unmoor_first8(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __m256 unmoor_widen_bf16x8(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/* To nearest, ties to even; NaN stays NaN. */
static inline __m128i unmoor_narrow_bf16x8(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i nearest = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(nearest, quiet, nan), 16);
  const __m256i packed = _mm256_packus_epi32(high, high);
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

static inline __m256 unmoor_load_bf16x8(const uint16_t *p) { return unmoor_widen_bf16x8(_mm_loadu_si128((const __m128i *)p)); }

static inline void unmoor_store_bf16x8(uint16_t *p, __m256 value) {
  _mm_storeu_si128((__m128i *)p, unmoor_narrow_bf16x8(value));
}

/* The first n elements; the other lanes are zero. */
static inline __m256 unmoor_load_first_bf16x8(const uint16_t *p, int64_t n) {
  uint16_t bits[8] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_bf16x8(bits);
}

static inline void unmoor_store_first_bf16x8(uint16_t *p, int64_t n, __m256 value) {
  uint16_t bits[8];
  unmoor_store_bf16x8(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

static inline __m256 unmoor_load_f16x8(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

static inline void unmoor_store_f16x8(uint16_t *p, __m256 value) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

static inline __m256 unmoor_load_first_f16x8(const uint16_t *p, int64_t n) {
  uint16_t bits[8] = {0};
  memcpy(bits, p, (size_t)n * sizeof *p);
  return unmoor_load_f16x8(bits);
}

static inline void unmoor_store_first_f16x8(uint16_t *p, int64_t n, __m256 value) {
  uint16_t bits[8];
  unmoor_store_f16x8(bits, value);
  memcpy(p, bits, (size_t)n * sizeof *p);
}

/* E4M3 as f16 with another bias of its exponent. */
static inline __m256 unmoor_load_f8x8(const uint8_t *p) {
  const __m128i bits = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)p));
  const __m128i magnitude = _mm_and_si128(_mm_slli_epi16(bits, 7), _mm_set1_epi16(0x3f80));
  const __m128i sign = _mm_and_si128(_mm_slli_epi16(bits, 8), _mm_set1_epi16((short)0x8000));
  const __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x3f80)), _mm_set1_epi16(0x7c00));
  const __m256 value = _mm256_cvtph_ps(_mm_or_si128(_mm_or_si128(magnitude, sign), nan));
  return _mm256_mul_ps(value, _mm256_set1_ps(256.0f));
}

/* Sums of neighbouring lanes: those of a, then those of b. */
static inline __m256 unmoor_pair_add_f32x8(__m256 a, __m256 b) {
  const __m256d halves = _mm256_castps_pd(_mm256_hadd_ps(a, b));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, _MM_SHUFFLE(3, 1, 2, 0)));
}

/* Halves are joined until one lane is left. */
static inline float unmoor_reduce_add_f32x8(__m256 a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

static inline float unmoor_reduce_max_f32x8(__m256 a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static inline int32_t unmoor_reduce_add_i32x8(__m256i a) {
  __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}

/* The low bytes of 32-bit lanes. */
static inline void unmoor_store_i8x8(int8_t *p, __m256i value) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
  _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
}

/*
 * sum + the products of four signed bytes of a with four unsigned ones of b, per 32-bit lane. In halves of 16 bits, even and odd
 * bytes apart: their products in one instruction would saturate.
 */
static inline __m256i unmoor_dot_quads_x8(__m256i sum, __m256i a, __m256i b) {
  const __m256i even_a = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
  const __m256i odd_a = _mm256_srai_epi16(a, 8);
  const __m256i even_b = _mm256_and_si256(b, _mm256_set1_epi16(0xff));
  const __m256i odd_b = _mm256_srli_epi16(b, 8);
  const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even_a, even_b), _mm256_madd_epi16(odd_a, odd_b));
  return _mm256_add_epi32(sum, products);
}

/*
 * sum + the products of four bytes of a, -127 to 127, with four of b, -128 to 127, per 32-bit lane. The signs of b go to a: two
 * products of up to 127 * 128 fit 16 bits.
 */
static inline __m256i unmoor_dot_signed_x8(__m256i sum, __m256i a, __m256i b) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(a, b));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* value = mantissa * 2^exponent with 1 <= mantissa < 2. For positive normal values. */
static inline __m256 unmoor_exponent_f32x8(__m256 value) {
  const __m256i exponent = _mm256_srli_epi32(_mm256_castps_si256(value), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(exponent, _mm256_set1_epi32(127)));
}

static inline __m256 unmoor_mantissa_f32x8(__m256 value) {
  const __m256i fraction = _mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(0x7fffff));
  return _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)));
}

static inline __m256 unmoor_power_of_two_x8(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* value * 2^n for a whole n with |n| <= 252, in two steps so that both factors are normal. NaN in n gives NaN. */
static inline __m256 unmoor_scale_f32x8(__m256 value, __m256 n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256 first = _mm256_mul_ps(value, unmoor_power_of_two_x8(half));
  const __m256 scaled = _mm256_mul_ps(first, unmoor_power_of_two_x8(_mm256_sub_epi32(whole, half)));
  return _mm256_blendv_ps(scaled, n, _mm256_cmp_ps(n, n, _CMP_UNORD_Q));
}

#endif
