// What many kernels have in common can be compiled once for all of them.
#pragma once

// Marks large functions that do not depend on a kernel's types. By themselves the headers compile them with the kernel. With
// UNMOOR_EMULATOR_LINKED (and no optimisation, under which such functions would be inlined) they are left to an object file that
// was compiled with UNMOOR_EMULATOR_BUILD; see the README.
#if defined(UNMOOR_EMULATOR_BUILD)
#define UNMOOR_COMMON __attribute__((noinline, used)) inline
#elif defined(UNMOOR_EMULATOR_LINKED) && !defined(__OPTIMIZE__)
#define UNMOOR_COMMON __attribute__((gnu_inline)) inline
#else
#define UNMOOR_COMMON __attribute__((noinline)) inline
#endif
