// MatmulConfig, and the calls that make one. Fields and their order are the vendor's; those that only speed up the hardware are not read.
#pragma once
#include <cstdint>
#include <type_traits>

/// Batches of NORMAL layout against the size of L1.
enum class BatchMode { NONE = 0, BATCH_LESS_THAN_L1, BATCH_LARGE_THAN_L1, SINGLE_LARGE_THAN_L1 };
enum BatchOutMode { SINGLE_BATCH = 0, MULTI_BATCH, DYNAMIC };
enum class IterateOrder { ORDER_M = 0, ORDER_N, UNDEF };
enum class ScheduleType { INNER_PRODUCT = 0, OUTER_PRODUCT };
enum IterateMode : uint8_t {
  ITERATE_MODE_NORMAL = 1,
  ITERATE_MODE_ALL = 2,
  ITERATE_MODE_BATCH = 4,
  ITERATE_MODE_N_BATCH = 8,
  ITERATE_MODE_DEFAULT = 255
};
enum class MatmulConfigMode { CONFIG_NORM, CONFIG_MDL, CONFIG_SPECIALMDL, CONFIG_IBSHARE };

struct MatmulConfig {
  bool doNorm = false, doBasicBlock = false, doMultiDataLoad = false;
  uint32_t basicM = 0, basicN = 0, basicK = 0;
  bool intrinsicsCheck = false, isNBatch = false, enVecND2NZ = false, doSpecialBasicBlock = false;
  uint32_t doMTE2Preload = 0, singleCoreM = 0, singleCoreN = 0, singleCoreK = 0, stepM = 0, stepN = 0, baseMN = 0, singleCoreMN = 0;
  bool enUnitFlag = true, isPerTensor = false, hasAntiQuantOffset = false, doIBShareNorm = false, doSpecialMDL = false, enableInit = true;
  BatchMode batchMode = BatchMode::NONE;
  bool enableEnd = true, enableGetTensorC = true, enableSetOrgShape = true, enableSetBias = true, enableSetTail = true;
  bool enableQuantVector = true, enableSetDefineData = true;
  uint8_t iterateMode = IterateMode::ITERATE_MODE_DEFAULT;
  bool enableReuse = true, enableUBReuse = false, enableL1CacheUB = false, intraBlockPartSum = false;
  IterateOrder iterateOrder = IterateOrder::UNDEF;
  ScheduleType scheduleType = ScheduleType::INNER_PRODUCT;
  bool enableDoubleCache = false, isBiasBatch = true, enableStaticPadZeros = false, isPartialOutput = false, enableMixDualMaster = false;
  bool isA2B2Shared = false, isEnableChannelSplit = false, enableKdimReorderLoad = false;
};

/// Groups of fields for GetMMConfig.
struct MatmulBatchParams {
  bool isNBatch;
  BatchMode batchMode;
  bool isBiasBatch = true;
  BatchOutMode bmmOutMode = BatchOutMode::SINGLE_BATCH;
};
struct MatmulQuantParams {
  bool isPerTensor, hasAntiQuantOffset;
};
struct MatmulBiasParams {
  bool enableSetBias = true;
};

constexpr MatmulConfig GetNormalConfig(bool intrinsicsLimit = false, bool batchLoop = false, bool isVecND2NZ = false,
                                       BatchMode bmmMode = BatchMode::BATCH_LESS_THAN_L1, bool isMsgReuse = true,
                                       IterateOrder iterateOrder = IterateOrder::UNDEF,
                                       ScheduleType scheduleType = ScheduleType::INNER_PRODUCT, bool enUnitFlag = true,
                                       bool enableMixDualMaster = false, BatchOutMode = BatchOutMode::SINGLE_BATCH) {
  MatmulConfig out;
  out.doNorm = true;
  out.intrinsicsCheck = intrinsicsLimit, out.isNBatch = batchLoop, out.enVecND2NZ = isVecND2NZ, out.batchMode = bmmMode;
  out.enableReuse = isMsgReuse, out.iterateOrder = iterateOrder, out.scheduleType = scheduleType, out.enUnitFlag = enUnitFlag;
  out.enableMixDualMaster = enableMixDualMaster;
  return out;
}
constexpr MatmulConfig GetMDLConfig(bool intrinsicsLimit = false, bool batchLoop = false, uint32_t doMTE2Preload = 0, bool isVecND2NZ = false,
                                    bool isPerTensor = false, bool hasAntiQuantOffset = false, bool enUnitFlag = false, bool isMsgReuse = true,
                                    bool enableUBReuse = true, bool enableL1CacheUB = false, bool enableMixDualMaster = false,
                                    bool enableKdimReorderLoad = false) {
  MatmulConfig out;
  out.doMultiDataLoad = true;
  out.intrinsicsCheck = intrinsicsLimit, out.isNBatch = batchLoop, out.doMTE2Preload = doMTE2Preload, out.enVecND2NZ = isVecND2NZ;
  out.isPerTensor = isPerTensor, out.hasAntiQuantOffset = hasAntiQuantOffset, out.enUnitFlag = enUnitFlag, out.enableReuse = isMsgReuse;
  out.enableUBReuse = enableUBReuse, out.enableL1CacheUB = enableL1CacheUB, out.enableMixDualMaster = enableMixDualMaster;
  out.enableKdimReorderLoad = enableKdimReorderLoad;
  return out;
}
constexpr MatmulConfig GetIBShareNormConfig(bool intrinsicsLimit = false, bool batchLoop = false, bool isVecND2NZ = false,
                                            BatchMode bmmMode = BatchMode::BATCH_LESS_THAN_L1, bool isDoubleCache = false,
                                            bool enUnitFlag = true) {
  MatmulConfig out;
  out.doIBShareNorm = true;
  out.intrinsicsCheck = intrinsicsLimit, out.isNBatch = batchLoop, out.enVecND2NZ = isVecND2NZ, out.batchMode = bmmMode;
  out.enableDoubleCache = isDoubleCache, out.enUnitFlag = enUnitFlag;
  return out;
}

inline constexpr MatmulConfig CFG_NORM = GetNormalConfig();
inline constexpr MatmulConfig CFG_MDL = GetMDLConfig();
inline constexpr MatmulConfig CFG_IBSHARE_NORM = GetIBShareNormConfig();

/// A template's values, with groups of fields changed.
template <MatmulConfigMode MODE, class... Groups> constexpr MatmulConfig GetMMConfig(Groups... groups) {
  static_assert(MODE != MatmulConfigMode::CONFIG_SPECIALMDL, "the SpecialMDL template of Matmul is not modelled");
  MatmulConfig out = MODE == MatmulConfigMode::CONFIG_MDL ? CFG_MDL : MODE == MatmulConfigMode::CONFIG_IBSHARE ? CFG_IBSHARE_NORM : CFG_NORM;
  const auto take = [&out](auto group) {
    using Group = decltype(group);
    if constexpr (std::is_same_v<Group, MatmulBatchParams>) {
      out.isNBatch = group.isNBatch, out.batchMode = group.batchMode, out.isBiasBatch = group.isBiasBatch;
    } else if constexpr (std::is_same_v<Group, MatmulQuantParams>) {
      out.isPerTensor = group.isPerTensor, out.hasAntiQuantOffset = group.hasAntiQuantOffset;
    } else {
      static_assert(std::is_same_v<Group, MatmulBiasParams>, "one of MatmulBatchParams, MatmulQuantParams and MatmulBiasParams");
      out.enableSetBias = group.enableSetBias;
    }
  };
  (take(groups), ...);
  return out;
}
