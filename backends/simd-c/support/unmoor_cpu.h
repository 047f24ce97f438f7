/* What the CPU has, asked while the program runs, where compilers do not answer. Names are Linux's. */
#ifndef UNMOOR_CPU_H
#define UNMOOR_CPU_H

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Leaf 1, ECX bit 29. That the system keeps the wide registers is asked with AVX2. */
static inline bool unmoor_cpu_has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & 1u << 29) != 0;
}

#elif defined(__aarch64__)

#if defined(__linux__)
#include <sys/auxv.h>

/* Bits of AT_HWCAP and AT_HWCAP2: arch/arm64/include/uapi/asm/hwcap.h of Linux. */
static inline bool unmoor_cpu_has_asimd(void) { return (getauxval(AT_HWCAP) & (1ul << 1)) != 0; }
static inline bool unmoor_cpu_has_asimddp(void) { return (getauxval(AT_HWCAP) & (1ul << 20)) != 0; }
static inline bool unmoor_cpu_has_i8mm(void) { return (getauxval(AT_HWCAP2) & (1ul << 13)) != 0; }
static inline bool unmoor_cpu_has_bf16(void) { return (getauxval(AT_HWCAP2) & (1ul << 14)) != 0; }

#elif defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>

static inline bool unmoor_cpu_flag(const char *name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
static inline bool unmoor_cpu_has_asimd(void) { return true; }
static inline bool unmoor_cpu_has_asimddp(void) { return unmoor_cpu_flag("hw.optional.arm.FEAT_DotProd"); }
static inline bool unmoor_cpu_has_i8mm(void) { return unmoor_cpu_flag("hw.optional.arm.FEAT_I8MM"); }
static inline bool unmoor_cpu_has_bf16(void) { return unmoor_cpu_flag("hw.optional.arm.FEAT_BF16"); }

#else

/* NEON is part of the architecture; more than that is not assumed. */
static inline bool unmoor_cpu_has_asimd(void) { return true; }
static inline bool unmoor_cpu_has_asimddp(void) { return false; }
static inline bool unmoor_cpu_has_i8mm(void) { return false; }
static inline bool unmoor_cpu_has_bf16(void) { return false; }

#endif
#endif
#endif
