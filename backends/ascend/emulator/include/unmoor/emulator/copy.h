// DataCopy: transfers of whole 32-byte blocks between global and local memory.
#pragma once
#include "atomic.h"
#include "params.h"

namespace unmoor::ascend::detail {

inline constexpr const char *USE_PAD = "round the length up to 32 bytes where both sides have room, or use DataCopyPad";

/// The count form moves one run; it must be whole DataBlocks.
UNMOOR_COMMON AscendC::DataCopyParams wholeBlocks(const Call &call, uint64_t count, uint32_t size) {
  const uint64_t bytes = count * size;
  call.require(count > 0 && bytes % 32 == 0, "copy-length", "count", "a positive multiple of 32 bytes",
               std::to_string(count) + " elements = " + std::to_string(bytes) + " bytes", USE_PAD);
  call.limit("count in DataBlocks", static_cast<int64_t>(bytes / 32), 1, 65535, "split the copy");
  return {1, static_cast<uint16_t>(bytes / 32), 0, 0};
}

inline void checkBlocks(const Call &call, const AscendC::DataCopyParams &p) {
  call.limit("blockCount", p.blockCount, 1, 4095, "split the copy");
  call.limit("blockLen in DataBlocks", p.blockLen, 1, 65535, "copy at least one block of 32 bytes");
}

/// Copies rows of bytes and, on the local side, leaves the marking to issue().
inline void copyRows(uint8_t *dst, const uint8_t *src, uint32_t rows, uint64_t bytes, uint64_t dstStep,
                     uint64_t srcStep) {
  for (uint32_t row = 0; row < rows; row++) std::memcpy(dst + row * dstStep, src + row * srcStep, bytes);
}

/// The same to global memory.
inline void storeRows(Dtype type, uint8_t *dst, const uint8_t *src, uint32_t rows, uint64_t bytes, uint64_t dstStep,
                      uint64_t srcStep, Registers::Atomic atomic) {
  for (uint32_t row = 0; row < rows; row++) store(type, dst + row * dstStep, src + row * srcStep, bytes, atomic);
}

inline Range rowsOf(Range range, uint32_t rows, uint64_t step) {
  range.inner = rows;
  range.innerStride = static_cast<int64_t>(step);
  return range;
}

/// Only memories that a data path of architecture 2201 reaches from GM. The vendor's page names VECIN and VECOUT
/// only, but VECCALC is the same memory, and scratch tensors are filled that way everywhere.
inline void checkInbound(const Call &call, const LocalHandle &dst) {
  const Space space = dst.space();
  call.require(space == Space::UB || space == Space::L1, "data-path", "dst", "a tensor in UB (VECIN) or L1 (A1, B1)",
               nameOf(dst.position), "copy to L1 first, then use LoadData");
}

/// GM to UB or L1, in blocks.
UNMOOR_COMMON void copyIn(const LocalHandle &dst, const GlobalHandle &src, const AscendC::DataCopyParams &params, SourceLoc where) {
  const Call call("DataCopy GM->local", PIPE_MTE2, where);
  liveRegion(call.c, call.at, dst, "dst");
  checkInbound(call, dst);
  checkBlocks(call, params);
  call.aligned(dst, "dst", 32);
  const uint64_t bytes = params.blockLen * 32u, srcStep = bytes + params.srcGap * 32u,
                 dstStep = bytes + params.dstGap * 32u;
  const Range from = globalRange(src, call.at, "src", Access::Read, bytes, 0, params.blockCount, srcStep);
  const Range to = rowsOf(call.range(dst, "dst", Access::Write, bytes), params.blockCount, dstStep);
  call.issue({from}, {to}, [=] {
    copyRows(call.data(dst), reinterpret_cast<const uint8_t *>(from.begin), params.blockCount, bytes, dstStep, srcStep);
  });
}

/// UB to GM, in blocks.
UNMOOR_COMMON void copyOut(const GlobalHandle &dst, const LocalHandle &src, Dtype type, const AscendC::DataCopyParams &params,
                           SourceLoc where) {
  const Call call("DataCopy UB->GM", PIPE_MTE3, where);
  call.operand(src, "src", Space::UB);
  checkBlocks(call, params);
  const uint64_t bytes = params.blockLen * 32u, srcStep = bytes + params.srcGap * 32u,
                 dstStep = bytes + params.dstGap * 32u;
  const Range from = rowsOf(call.range(src, "src", Access::Read, bytes), params.blockCount, srcStep);
  const Range to = globalRange(dst, call.at, "dst", storeAccess(call, type), bytes, 0, params.blockCount, dstStep);
  call.issue({from}, {to}, [=, atomic = call.c.registers.atomic] {
    storeRows(type, reinterpret_cast<uint8_t *>(to.begin), call.data(src), params.blockCount, bytes, dstStep, srcStep, atomic);
  });
}

/// UB to UB, in blocks; unwritten bytes stay unwritten on the other side. From L1 to the BiasTable, lengths and the gap there count
/// 64 bytes.
UNMOOR_COMMON void copyWithin(const LocalHandle &dst, const LocalHandle &src, const AscendC::DataCopyParams &params, SourceLoc where) {
  const bool bias = dst.position == TPosition::C2;
  const Call call(bias ? "DataCopy L1->BT" : "DataCopy UB->UB", bias ? PIPE_MTE1 : PIPE_V, where);
  call.operand(dst, "dst", bias ? Space::BT : Space::UB);
  call.operand(src, "src", bias ? Space::L1 : Space::UB);
  checkBlocks(call, params);
  const uint64_t unit = bias ? 64 : 32;
  const uint64_t bytes = params.blockLen * unit, srcStep = bytes + params.srcGap * 32u,
                 dstStep = bytes + params.dstGap * unit;
  const Range from = rowsOf(call.range(src, "src", Access::Look, bytes), params.blockCount, srcStep);
  const Range to = rowsOf(call.range(dst, "dst", Access::Touch, bytes), params.blockCount, dstStep);
  call.notShifted(to, from);
  if (!bias && dst.address == src.address) return;
  call.issue({from}, {to}, [=] {
    copyRows(call.data(dst), call.data(src), params.blockCount, bytes, dstStep, srcStep);
  });
  copyRows(call.state(dst), call.state(src), params.blockCount, bytes, dstStep, srcStep);
}

UNMOOR_COMMON void copyWithin(const LocalHandle &dst, const LocalHandle &src, uint32_t count, uint32_t size, SourceLoc where) {
  const bool bias = dst.position == TPosition::C2;
  const Call call(bias ? "DataCopy L1->BT" : "DataCopy UB->UB", bias ? PIPE_MTE1 : PIPE_V, where);
  AscendC::DataCopyParams params = wholeBlocks(call, count, size);
  if (bias) {
    call.require(params.blockLen % 2 == 0, "copy-length", "count", "a multiple of 64 bytes for the BiasTable",
                 std::to_string(count) + " elements", "round the count up");
    params.blockLen /= 2;
  }
  copyWithin(dst, src, params, where);
}

/// GM rows to fractal order in L1; see DataCopy.
UNMOOR_COMMON void copyNd2Nz(const LocalHandle &dst, const GlobalHandle &src, uint32_t size, const AscendC::Nd2NzParams &p,
                             SourceLoc where) {
  const Call call("DataCopy Nd2Nz", PIPE_MTE2, where);
  call.operand(dst, "dst", Space::L1);
  call.limit("ndNum", p.ndNum, 0, 4095, "split the copy");
  if (p.ndNum == 0 || p.nValue == 0 || p.dValue == 0) return;
  call.limit("nValue", p.nValue, 0, 16384, "split the rows");
  call.limit("srcDValue", p.srcDValue, 1, 65535, "give the length of a source row");
  call.limit("dstNzC0Stride", p.dstNzC0Stride, 1, 16384, "use the rows of the matrix in L1, rounded up to 16");
  call.limit("dstNzNStride", p.dstNzNStride, 1, 16384, "use 1");
  call.limit("dstNzMatrixStride", p.dstNzMatrixStride, 0, 16384, "copy the matrices one by one");
  const uint32_t c0 = 32 / size, blocks = (p.dValue + c0 - 1) / c0;
  for (uint32_t nd = 0; nd < p.ndNum; nd++) {
    const uint64_t srcAt = uint64_t{nd} * p.srcNdMatrixStride * size;
    const uint64_t dstAt = uint64_t{nd} * p.dstNzMatrixStride * size;
    const uint64_t rowStep = uint64_t{p.srcDValue} * size;
    const Range from = globalRange(src, call.at, "src", Access::Read, p.dValue * size, srcAt, p.nValue, rowStep);
    Range to = rowsOf(call.range(dst, "dst", Access::Write, 32, dstAt), p.nValue, p.dstNzNStride * 32u);
    to.outer = blocks;
    to.outerStride = p.dstNzC0Stride * 32;
    call.issue({from}, {to}, [=] {
      const auto *in = reinterpret_cast<const uint8_t *>(from.begin);
      uint8_t *out = call.data(dst) + dstAt;
      for (uint32_t block = 0; block < blocks; block++) {
        const uint32_t left = (p.dValue - block * c0) * size;
        const uint32_t bytes = left < 32 ? left : 32;
        for (uint32_t row = 0; row < p.nValue; row++) {
          uint8_t *cell = out + uint64_t{block} * p.dstNzC0Stride * 32 + uint64_t{row} * p.dstNzNStride * 32;
          std::memcpy(cell, in + row * rowStep + block * 32u, bytes);
          std::memset(cell + bytes, 0, 32 - bytes);
        }
      }
    });
  }
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// GM to UB or L1, in blocks.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &params,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::copyIn(dst.handle, src.handle(), params, where);
}
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const uint32_t count,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("DataCopy GM->local", PIPE_MTE2, where);
  DataCopy(dst, src, unmoor::ascend::detail::wholeBlocks(call, count, sizeof(T)), where);
}

/// UB to GM, in blocks.
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::copyOut(dst.handle(), src.handle, unmoor::ascend::detail::dtypeOf<T>(), params, where);
}
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const uint32_t count,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  const unmoor::ascend::detail::Call call("DataCopy UB->GM", PIPE_MTE3, where);
  DataCopy(dst, src, unmoor::ascend::detail::wholeBlocks(call, count, sizeof(T)), where);
}

/// UB to UB, or L1 to the BiasTable.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &params,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::copyWithin(dst.handle, src.handle, params, where);
}
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint32_t count,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::copyWithin(dst.handle, src.handle, count, sizeof(T), where);
}

/// GM rows to fractal order in L1: row r, column c of a matrix lands at block (c / C0) * dstNzC0Stride +
/// r * dstNzNStride, element c % C0. Columns are zero-padded to 32 bytes; rows are not padded.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const Nd2NzParams &p,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::copyNd2Nz(dst.handle, src.handle(), sizeof(T), p, where);
}

}  // namespace AscendC
