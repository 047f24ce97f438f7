/* What generated code takes from the C library, for WebAssembly without one: both are instructions with bulk memory. */
#ifndef UNMOOR_WASM_STRING_H
#define UNMOOR_WASM_STRING_H

#define memcpy __builtin_memcpy
#define memset __builtin_memset

#endif
