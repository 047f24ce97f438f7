// What an Ascend C kernel includes. On this host it is the emulator of NPU architecture 2201 (910B and 910C);
// the vendor's toolchain has a header of the same name. See README.md beside this folder.
#pragma once

/// Lets a source keep `kernel<<<...>>>` launches, which are not C++, away from a host compiler.
#define UNMOOR_ASCEND_EMULATOR 1

// Marks of the vendor's compiler, without meaning on a host.
#define __global__
#define __aicore__
#define __vector__
#define __cube__
#define __mix__(...)
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__
#define GM_ADDR __gm__ uint8_t *

#define KERNEL_TASK_TYPE_DEFAULT(type) ::unmoor::ascend::detail::declareKernelType(type)
#define ASCEND_IS_AIC (::unmoor::ascend::detail::onCore(::unmoor::ascend::detail::CoreKind::Cube))
#define ASCEND_IS_AIV (::unmoor::ascend::detail::onCore(::unmoor::ascend::detail::CoreKind::Vector))
/// The type for one tiling key; it has to be the launch's where the key is.
#define KERNEL_TASK_TYPE(key, type)                                                                                    \
  do {                                                                                                                 \
    if (TILING_KEY_IS(key)) KERNEL_TASK_TYPE_DEFAULT(type);                                                            \
  } while (false)
#define TILING_KEY_IS(key) (::unmoor::ascend::detail::core().tilingKey == (key))

#define REGISTER_TILING_DEFAULT(type) using UnmoorTilingDefault [[maybe_unused]] = type
#define GET_TILING_DATA(name, address) GET_TILING_DATA_WITH_STRUCT(UnmoorTilingDefault, name, address)
#define GET_TILING_DATA_WITH_STRUCT(type, name, address)                                                               \
  type name = ::unmoor::ascend::detail::tilingData<type>(address)
#define GET_TILING_DATA_MEMBER(type, member, name, address)                                                            \
  auto name = ::unmoor::ascend::detail::tilingData<type>(address).member

#include "unmoor/emulator/allocator.h"
#include "unmoor/emulator/block_sync.h"
#include "unmoor/emulator/copy_pad.h"
#include "unmoor/emulator/copy_slice.h"
#include "unmoor/emulator/cube.h"
#include "unmoor/emulator/debug.h"
#include "unmoor/emulator/fixpipe.h"
#include "unmoor/emulator/load_transpose.h"
#include "unmoor/emulator/masks.h"
#include "unmoor/emulator/sync.h"
#include "unmoor/emulator/transdata.h"
#include "unmoor/emulator/vector_activation.h"
#include "unmoor/emulator/vector_cast.h"
#include "unmoor/emulator/vector_cmp_mask.h"
#include "unmoor/emulator/vector_data.h"
#include "unmoor/emulator/vector_fused.h"
#include "unmoor/emulator/vector_gather.h"
#include "unmoor/emulator/vector_math.h"
#include "unmoor/emulator/vector_operators.h"
#include "unmoor/emulator/vector_reduce.h"
#include "unmoor/emulator/vector_scale.h"
#include "unmoor/emulator/vector_select.h"
#include "unmoor/emulator/vector_softmax.h"
#include "unmoor/emulator/vector_sort.h"
#include "unmoor/emulator/vector_topk.h"
