// Tiling structs that kernels share with their host, by the vendor's name of the header.
#pragma once
#include "unmoor/emulator/matmul_tiling.h"
