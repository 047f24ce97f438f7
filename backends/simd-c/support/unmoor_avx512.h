/* AVX-512 helpers of generated code: vectors of 16 lanes; bf16 and f16 in memory as their 16 bits. */
#ifndef UNMOOR_AVX512_H
#define UNMOOR_AVX512_H

#include "unmoor_scalar.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* The mask of the first n lanes. */
static inline __mmask16 unmoor_first16(int64_t n) { return (__mmask16)((1u << n) - 1u); }

static inline __m512 unmoor_widen_bf16x16(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

/* To nearest, ties to even; NaN stays NaN. */
static inline __m256i unmoor_narrow_bf16x16(__m512 value) {
#ifdef __AVX512BF16__
  return (__m256i)_mm512_cvtneps_pbh(value);
#else
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i nearest = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  const __m512i result = _mm512_mask_or_epi32(nearest, nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16));
#endif
}

static inline __m512 unmoor_load_bf16x16(const uint16_t *p) {
  return unmoor_widen_bf16x16(_mm256_loadu_si256((const __m256i *)p));
}

static inline void unmoor_store_bf16x16(uint16_t *p, __m512 value) {
  _mm256_storeu_si256((__m256i *)p, unmoor_narrow_bf16x16(value));
}

/* The first n elements; the other lanes are zero. */
static inline __m512 unmoor_load_first_bf16x16(const uint16_t *p, int64_t n) {
  return unmoor_widen_bf16x16(_mm256_maskz_loadu_epi16(unmoor_first16(n), p));
}

static inline void unmoor_store_first_bf16x16(uint16_t *p, int64_t n, __m512 value) {
  _mm256_mask_storeu_epi16(p, unmoor_first16(n), unmoor_narrow_bf16x16(value));
}

/* Sums of neighbouring lanes: those of a, then those of b. */
static inline __m512 unmoor_pair_add_f32x16(__m512 a, __m512 b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
}

static inline __m256i unmoor_narrow_f16x16(__m512 value) {
  return _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline void unmoor_store_f16x16(uint16_t *p, __m512 value) {
  _mm256_storeu_si256((__m256i *)p, unmoor_narrow_f16x16(value));
}

static inline __m512 unmoor_load_first_f16x16(const uint16_t *p, int64_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(unmoor_first16(n), p));
}

static inline void unmoor_store_first_f16x16(uint16_t *p, int64_t n, __m512 value) {
  _mm256_mask_storeu_epi16(p, unmoor_first16(n), unmoor_narrow_f16x16(value));
}

/* E4M3 as f16 with another bias of its exponent. */
static inline __m512 unmoor_load_f8x16(const uint8_t *p) {
  const __m256i bits = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
  const __m256i magnitude = _mm256_and_si256(_mm256_slli_epi16(bits, 7), _mm256_set1_epi16(0x3f80));
  const __m256i sign = _mm256_and_si256(_mm256_slli_epi16(bits, 8), _mm256_set1_epi16((short)0x8000));
  const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x3f80)), _mm256_set1_epi16(0x7c00));
  const __m512 value = _mm512_cvtph_ps(_mm256_or_si256(_mm256_or_si256(magnitude, sign), nan));
  return _mm512_mul_ps(value, _mm512_set1_ps(256.0f));
}

/*
 * sum + the products of four signed bytes of a with four unsigned ones of b, per 32-bit lane, without VNNI. In halves of 16 bits,
 * even and odd bytes apart: their products in one instruction would saturate.
 */
static inline __m512i unmoor_dot_quads_x16(__m512i sum, __m512i a, __m512i b) {
  const __m512i even_a = _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8);
  const __m512i odd_a = _mm512_srai_epi16(a, 8);
  const __m512i even_b = _mm512_and_si512(b, _mm512_set1_epi16(0xff));
  const __m512i odd_b = _mm512_srli_epi16(b, 8);
  const __m512i products = _mm512_add_epi32(_mm512_madd_epi16(even_a, even_b), _mm512_madd_epi16(odd_a, odd_b));
  return _mm512_add_epi32(sum, products);
}

/* Two neighbouring bf16 in every lane. */
static inline __m512i unmoor_broadcast_pair_bf16x16(const uint16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm512_set1_epi32(pair);
}

#endif
