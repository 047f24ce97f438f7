/* What generated code takes from the C library, for WebAssembly without one. */
#ifndef UNMOOR_WASM_MATH_H
#define UNMOOR_WASM_MATH_H

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define fabsf __builtin_fabsf
#define sqrtf __builtin_sqrtf
#define floorf __builtin_floorf

#endif
