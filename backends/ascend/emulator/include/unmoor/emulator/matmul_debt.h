// What Matmul objects owe: results that were asked for, and that nobody has fetched or waited for yet.
#pragma once
#include "call.h"

namespace unmoor::ascend::detail {

/// Refuses what is still owed, by one object or (null) by all.
UNMOOR_COMMON void checkMatmulDebts(Core &c, const void *object) {
  for (const MatmulDebt &debt : c.matmulDebts) {
    if (object != nullptr && debt.object != object) continue;
    const bool block = debt.kind == MatmulDebt::Block;
    const std::string wait = std::string(debt.at.name).find("Batch") != std::string::npos ? "WaitIterateBatch()" : "WaitIterateAll()";
    c.fail(debt.at, {"matmul-order", "", "", (block ? std::string("GetTensorC for each block") : wait) + " before End or the end of the kernel",
                     block ? "a block that nobody fetched" : "results that nobody waited for",
                     block ? std::string("fetch all blocks, or make fewer")
                     : debt.kind == MatmulDebt::Flag
                         ? "call " + wait + ": the cube core's answer would be there when the next kernel begins"
                     : debt.at.name == std::string("Matmul::IterateNBatch")
                         ? "fetch each batch by GetBatchTensorC<false>, or set sync = true"
                         : "let it be waited for (the next argument after enSequentialWrite) and call " + wait + ", or set sync = true"});
  }
}

}  // namespace unmoor::ascend::detail
