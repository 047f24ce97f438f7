// Matmul objects, by the vendor's name of the header. ASCENDC_CUBE_ONLY is defined before it where the cube cores run the code.
#pragma once
#include "unmoor/emulator/matmul.h"
