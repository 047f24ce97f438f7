// DataCopyPad: transfers between GM and UB whose blocks need not be multiples of 32 bytes.
#pragma once
#include "copy.h"

namespace unmoor::ascend::detail {

UNMOOR_COMMON void checkPadBlocks(const Call &call, const AscendC::DataCopyExtParams &p, uint32_t size) {
  call.limit("blockCount", p.blockCount, 1, 4095, "split the copy");
  call.limit("blockLen in bytes", p.blockLen, 1, 2097151, "split the copy, or skip it when there is nothing to move");
  call.require(p.blockLen % size == 0, "copy-length", "blockLen",
               "a multiple of the element size of " + std::to_string(size) + " bytes", std::to_string(p.blockLen),
               "blockLen counts bytes: multiply the count by the size of an element");
}

/// What stands beside the rows of a transfer: how many elements, and where their value is.
struct Padding {
  bool isPad;
  uint32_t left, right;
  const void *value;
};

UNMOOR_COMMON void padIn(const LocalHandle &dst, const GlobalHandle &src, uint32_t size, const AscendC::DataCopyExtParams &params,
                         const Padding &pad, SourceLoc where) {
  const Call call("DataCopyPad GM->UB", PIPE_MTE2, where);
  call.operand(dst, "dst", Space::UB);
  checkPadBlocks(call, params, size);
  const uint32_t left = pad.left * size;
  const uint32_t right = pad.right * size;
  call.limit("leftPadding in bytes", left, 0, 32, "pad at most one DataBlock");
  call.limit("rightPadding in bytes", right, 0, 32, "pad at most one DataBlock; fill longer tails with Duplicate");
  const uint64_t full = (uint64_t{left} + params.blockLen + right + 31) / 32 * 32;
  const uint64_t dstStep = full + uint64_t{params.dstStride} * 32, srcStep = uint64_t{params.blockLen} + params.srcStride;
  uint8_t value[8] = {};
  std::memcpy(value, pad.value, size);
  const bool filled = pad.isPad && left + right > 0;
  const Range from = globalRange(src, call.at, "src", Access::Read, params.blockLen, 0, params.blockCount, srcStep);
  const Range to = rowsOf(call.range(dst, "dst", Access::Touch, full), params.blockCount, dstStep);
  call.issue({from}, {to}, [=] {
    for (uint32_t block = 0; block < params.blockCount; block++) {
      uint8_t *out = call.data(dst) + block * dstStep;
      if (filled) {
        for (uint64_t i = 0; i < left; i += size) std::memcpy(out + i, value, size);
        for (uint64_t i = left + params.blockLen; i + size <= full; i += size) std::memcpy(out + i, value, size);
      } else {
        std::memset(out, POISON, full);
      }
      std::memcpy(out + left, reinterpret_cast<const uint8_t *>(from.begin) + block * srcStep, params.blockLen);
    }
  });
  for (uint32_t block = 0; block < params.blockCount; block++) {
    uint8_t *state = call.state(dst) + block * dstStep;
    std::memset(state, filled ? Ready : Fresh, full);
    std::memset(state + left, Ready, params.blockLen);
  }
}

UNMOOR_COMMON void padOut(const GlobalHandle &dst, const LocalHandle &src, Element element, const AscendC::DataCopyExtParams &params,
                          SourceLoc where) {
  const Call call("DataCopyPad UB->GM", PIPE_MTE3, where);
  call.operand(src, "src", Space::UB);
  checkPadBlocks(call, params, element.size);
  const uint64_t srcStep = (uint64_t{params.blockLen} + 31) / 32 * 32 + uint64_t{params.srcStride} * 32;
  const uint64_t dstStep = uint64_t{params.blockLen} + params.dstStride;
  const Range from = rowsOf(call.range(src, "src", Access::Read, params.blockLen), params.blockCount, srcStep);
  const Range to = globalRange(dst, call.at, "dst", storeAccess(call, element.type), params.blockLen, 0, params.blockCount, dstStep);
  call.issue({from}, {to}, [=, atomic = call.c.registers.atomic] {
    storeRows(element.type, reinterpret_cast<uint8_t *>(to.begin), call.data(src), params.blockCount, params.blockLen, dstStep,
                 srcStep, atomic);
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// GM to UB. Each block is widened to whole DataBlocks. Padding has a value only with isPad and a padding count;
/// everything else up to 32 bytes is undefined, and reading it is refused.
template <typename T>
void DataCopyPad(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyExtParams &params,
                        const DataCopyPadExtParams<T> &pad,
                        unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::padIn(dst.handle, src.handle(), sizeof(T), params,
                                {pad.isPad, pad.leftPadding, pad.rightPadding, &pad.paddingValue}, where);
}

/// UB to GM: writes exactly blockLen bytes per block.
template <typename T>
void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyExtParams &params,
                        unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::padOut(dst.handle(), src.handle, unmoor::ascend::detail::elementOf<T>(), params, where);
}

// The older forms, with lengths of 16 bits.
template <typename T>
void DataCopyPad(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &params,
                        const DataCopyPadParams &pad,
                        unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  T value;
  std::memcpy(&value, &pad.paddingValue, sizeof(T));
  DataCopyPad(dst, src, DataCopyExtParams(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0),
              DataCopyPadExtParams<T>(pad.isPad, pad.leftPadding, pad.rightPadding, value), where);
}
template <typename T>
void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params,
                        unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  DataCopyPad(dst, src, DataCopyExtParams(params.blockCount, params.blockLen, params.srcStride, params.dstStride, 0), where);
}

}  // namespace AscendC
