/*
 * AVX-512 on a CPU without it, for tests: SIMDe (https://github.com/simd-everywhere/simde, Debian's libsimde-dev) says the
 * intrinsics in plain C; this header says those that generated code uses and SIMDe 0.7.4 lacks or gets wrong. On the path of headers
 * it stands before the compiler's own <immintrin.h>, and takes what is up to AVX2 from there. Sources are compiled without
 * -mavx512…: an intrinsic that nobody emulates does not compile.
 *
 * Meanings are those of Intel's Software Developer's Manual, volume 2.
 */
#ifndef UNMOOR_EMULATED_AVX512_H
#define UNMOOR_EMULATED_AVX512_H

#include_next <immintrin.h>

/* Calls compile in less than half the time of what they call. */
#define SIMDE_NO_INLINE
#define EMULATED __attribute__((noinline, unused)) static

#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include <simde/x86/avx512.h>
#pragma GCC diagnostic pop

#ifdef UNMOOR_EMULATE_BF16
#define __AVX512BF16__ 1
#endif

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct { float lane[16]; } emulated_floats;
typedef struct { int32_t lane[16]; } emulated_ints;

EMULATED emulated_floats emulated_split(__m512 value) {
  emulated_floats all;
  memcpy(&all, &value, sizeof all);
  return all;
}

EMULATED __m512 emulated_join(emulated_floats all) {
  __m512 value;
  memcpy(&value, &all, sizeof value);
  return value;
}

EMULATED emulated_ints emulated_split_i32(__m512i value) {
  emulated_ints all;
  memcpy(&all, &value, sizeof all);
  return all;
}

EMULATED __m512i emulated_join_i32(emulated_ints all) {
  __m512i value;
  memcpy(&value, &all, sizeof value);
  return value;
}

/* SIMDe gives this name to the four arguments of another intrinsic. */
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

/* ---- masks ---- */

#undef _kand_mask16
#undef _kor_mask16
#undef _knot_mask16
#define _kand_mask16(a, b) ((__mmask16)((a) & (b)))
#define _kor_mask16(a, b) ((__mmask16)((a) | (b)))
#define _knot_mask16(a) ((__mmask16)~(a))

#undef _mm512_cmplt_epi32_mask
#define _mm512_cmplt_epi32_mask(a, b) _mm512_cmpgt_epi32_mask(b, a)

/* ---- memory: lanes that the mask leaves out are neither read nor written ---- */

EMULATED __m512 emulated_maskz_loadu_ps(__mmask16 mask, const float *p) {
  emulated_floats all = {{0}};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) all.lane[i] = p[i];
  return emulated_join(all);
}

EMULATED __m512i emulated_maskz_loadu_epi32(__mmask16 mask, const int32_t *p) {
  emulated_ints all = {{0}};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) all.lane[i] = p[i];
  return emulated_join_i32(all);
}

EMULATED __m256i emulated_maskz_loadu_epi16(__mmask16 mask, const void *p) {
  uint16_t all[16] = {0};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) memcpy(&all[i], (const uint16_t *)p + i, sizeof all[i]);
  return _mm256_loadu_si256((const __m256i *)all);
}

EMULATED void emulated_mask_storeu_ps(float *p, __mmask16 mask, __m512 value) {
  const emulated_floats all = emulated_split(value);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) p[i] = all.lane[i];
}

EMULATED void emulated_mask_storeu_epi32(int32_t *p, __mmask16 mask, __m512i value) {
  const emulated_ints all = emulated_split_i32(value);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) p[i] = all.lane[i];
}

EMULATED void emulated_mask_storeu_epi16(void *p, __mmask16 mask, __m256i value) {
  uint16_t all[16];
  _mm256_storeu_si256((__m256i *)all, value);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) memcpy((uint16_t *)p + i, &all[i], sizeof all[i]);
}

#define _mm512_maskz_loadu_ps(mask, p) emulated_maskz_loadu_ps(mask, p)
#define _mm512_maskz_loadu_epi32(mask, p) emulated_maskz_loadu_epi32(mask, p)
#define _mm256_maskz_loadu_epi16(mask, p) emulated_maskz_loadu_epi16(mask, p)
#define _mm512_mask_storeu_ps(p, mask, value) emulated_mask_storeu_ps(p, mask, value)
#define _mm512_mask_storeu_epi32(p, mask, value) emulated_mask_storeu_epi32(p, mask, value)
#define _mm256_mask_storeu_epi16(p, mask, value) emulated_mask_storeu_epi16(p, mask, value)

/* ---- conversions ---- */

EMULATED __m512 emulated_cvtepi32_ps(__m512i value) {
  const emulated_ints from = emulated_split_i32(value);
  emulated_floats to;
  for (int i = 0; i < 16; i++) to.lane[i] = (float)from.lane[i];
  return emulated_join(to);
}

/* What does not fit becomes the least integer. */
EMULATED __m512i emulated_cvttps_epi32(__m512 value) {
  const emulated_floats from = emulated_split(value);
  emulated_ints to;
  for (int i = 0; i < 16; i++)
    to.lane[i] = from.lane[i] >= -2147483648.0f && from.lane[i] < 2147483648.0f ? (int32_t)from.lane[i] : INT32_MIN;
  return emulated_join_i32(to);
}

EMULATED __m512i emulated_cvtepu16_epi32(__m256i value) {
  uint16_t from[16];
  emulated_ints to;
  memcpy(from, &value, sizeof from);
  for (int i = 0; i < 16; i++) to.lane[i] = from[i];
  return emulated_join_i32(to);
}

EMULATED __m512i emulated_cvtepu8_epi32(__m128i value) {
  uint8_t from[16];
  emulated_ints to;
  memcpy(from, &value, sizeof from);
  for (int i = 0; i < 16; i++) to.lane[i] = from[i];
  return emulated_join_i32(to);
}

EMULATED __m512i emulated_cvtepi8_epi32(__m128i value) {
  int8_t from[16];
  emulated_ints to;
  memcpy(from, &value, sizeof from);
  for (int i = 0; i < 16; i++) to.lane[i] = from[i];
  return emulated_join_i32(to);
}

EMULATED __m256i emulated_cvtepi32_epi16(__m512i value) {
  const emulated_ints from = emulated_split_i32(value);
  uint16_t to[16];
  for (int i = 0; i < 16; i++) to[i] = (uint16_t)from.lane[i];
  return _mm256_loadu_si256((const __m256i *)to);
}

EMULATED __m128i emulated_cvtepi32_epi8(__m512i value) {
  const emulated_ints from = emulated_split_i32(value);
  uint8_t to[16];
  for (int i = 0; i < 16; i++) to[i] = (uint8_t)from.lane[i];
  return _mm_loadu_si128((const __m128i *)to);
}

EMULATED __m512 emulated_cvtph_ps(__m256i value) {
  emulated_floats to;
  _mm256_storeu_ps(to.lane, _mm256_cvtph_ps(_mm256_castsi256_si128(value)));
  _mm256_storeu_ps(to.lane + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(value, 1)));
  return emulated_join(to);
}

/* To nearest alone: generated code asks for no other rounding, and F16C takes no hint about exceptions. */
EMULATED __m256i emulated_cvtps_ph(__m512 value) {
  const emulated_floats from = emulated_split(value);
  const __m128i low = _mm256_cvtps_ph(_mm256_loadu_ps(from.lane), _MM_FROUND_TO_NEAREST_INT);
  const __m128i high = _mm256_cvtps_ph(_mm256_loadu_ps(from.lane + 8), _MM_FROUND_TO_NEAREST_INT);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* VCVTNEPS2BF16: to nearest, ties to even; denormals count as zero, NaN becomes quiet. */
EMULATED __m256bh emulated_cvtneps_pbh(__m512 value) {
  const emulated_ints from = emulated_split_i32(_mm512_castps_si512(value));
  uint16_t to[16];
  for (int i = 0; i < 16; i++) {
    const uint32_t bits = (uint32_t)from.lane[i], size = bits & 0x7fffffff;
    if (size > 0x7f800000) to[i] = (uint16_t)(bits >> 16 | 0x40);
    else if (size < 0x00800000) to[i] = (uint16_t)(bits >> 16 & 0x8000);
    else to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  __m256bh result;
  memcpy(&result, to, sizeof result);
  return result;
}

#undef _mm512_cvtps_ph
#define _mm512_cvtepi32_ps(value) emulated_cvtepi32_ps(value)
#define _mm512_cvttps_epi32(value) emulated_cvttps_epi32(value)
#define _mm512_cvtepu16_epi32(value) emulated_cvtepu16_epi32(value)
#define _mm512_cvtepu8_epi32(value) emulated_cvtepu8_epi32(value)
#define _mm512_cvtepi8_epi32(value) emulated_cvtepi8_epi32(value)
#define _mm512_cvtepi32_epi16(value) emulated_cvtepi32_epi16(value)
#define _mm512_cvtepi32_epi8(value) emulated_cvtepi32_epi8(value)
#define _mm512_cvtph_ps(value) emulated_cvtph_ps(value)
#define _mm512_cvtps_ph(value, rounding) emulated_cvtps_ph(value)
#define _mm512_cvtneps_pbh(value) emulated_cvtneps_pbh(value)

/* ---- parts of floats ---- */

/* SIMDe leaves -0 as it is. */
EMULATED __m512 emulated_abs_ps(__m512 value) {
  emulated_floats all = emulated_split(value);
  for (int i = 0; i < 16; i++) all.lane[i] = fabsf(all.lane[i]);
  return emulated_join(all);
}

/* SIMDe makes -0.5 of what lies between -1 and 0. Here: to the nearest even, down, up, towards zero; no fraction bits kept. */
EMULATED __m512 emulated_roundscale_ps(__m512 value, int how) {
  static float (*const roundings[4])(float) = {rintf, floorf, ceilf, truncf};
  emulated_floats all = emulated_split(value);
  for (int i = 0; i < 16; i++) all.lane[i] = roundings[how & 3](all.lane[i]);
  return emulated_join(all);
}

/* a · 2^floor(b), rounded once. SIMDe rounds 2^floor(b) first, which is none where the product is a denormal. */
EMULATED __m512 emulated_scalef_ps(__m512 a, __m512 b) {
  emulated_floats all = emulated_split(a);
  const emulated_floats by = emulated_split(b);
  for (int i = 0; i < 16; i++) all.lane[i] = scalbnf(all.lane[i], (int)floorf(fmaxf(-1000, fminf(1000, by.lane[i]))));
  return emulated_join(all);
}

#undef _mm512_scalef_ps
#define _mm512_scalef_ps(a, b) emulated_scalef_ps(a, b)
#undef _mm512_abs_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(value, how) emulated_roundscale_ps(value, how)
#define _mm512_abs_ps(value) emulated_abs_ps(value)

/* floor(log2 |x|); of zero −∞, of infinity ∞. */
EMULATED __m512 emulated_getexp_ps(__m512 value) {
  emulated_floats all = emulated_split(value);
  for (int i = 0; i < 16; i++) all.lane[i] = logbf(all.lane[i]);
  return emulated_join(all);
}

/* x · 2^-floor(log2 |x|), in [1, 2), with the sign of x; of zero and infinity ±1. */
EMULATED __m512 emulated_getmant_ps(__m512 value) {
  emulated_floats all = emulated_split(value);
  for (int i = 0; i < 16; i++) {
    int exponent;
    const float x = all.lane[i];
    if (x == 0 || isinf(x)) all.lane[i] = copysignf(1, x);
    else if (!isnan(x)) all.lane[i] = 2 * frexpf(x, &exponent);
  }
  return emulated_join(all);
}

#undef _mm512_getexp_ps
#undef _mm512_getmant_ps
#define _mm512_getexp_ps(value) emulated_getexp_ps(value)
#define _mm512_getmant_ps(value, interval, sign) emulated_getmant_ps(value)

/* ---- sums and maxima over lanes, halves first, as the compiler's own ---- */

EMULATED float emulated_reduce_add_ps(__m512 value) {
  emulated_floats all = emulated_split(value);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) all.lane[i] += all.lane[i + half];
  return all.lane[0];
}

EMULATED float emulated_reduce_max_ps(__m512 value) {
  emulated_floats all = emulated_split(value);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      if (!(all.lane[i] > all.lane[i + half])) all.lane[i] = all.lane[i + half];
  return all.lane[0];
}

EMULATED int32_t emulated_reduce_add_epi32(__m512i value) {
  const emulated_ints all = emulated_split_i32(value);
  uint32_t sum = 0;
  for (int i = 0; i < 16; i++) sum += (uint32_t)all.lane[i];
  return (int32_t)sum;
}

#define _mm512_reduce_add_ps(value) emulated_reduce_add_ps(value)
#define _mm512_reduce_max_ps(value) emulated_reduce_max_ps(value)
#define _mm512_reduce_add_epi32(value) emulated_reduce_add_epi32(value)

#endif
