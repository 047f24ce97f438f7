// DataCopy in the forms that the vendor composes of several transfers: slices of several axes, and NZ to ND on the way out; and the
// enhanced form, which architecture 2201 takes without its effects.
#pragma once
#include "copy.h"

namespace unmoor::ascend::detail {

using AscendC::SliceInfo;

inline constexpr Dtypes SLICED{
    {Dtype::I8, Dtype::U8, Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::U32, Dtype::F32}};
inline constexpr uint32_t MOST_SLICE_AXES = 8, MOST_SLICES = 1536;  // the second: the length of the vendor's list of offsets

/// Where the pieces of one side lie, in elements.
struct Slices {
  uint32_t pieces = 1, stride = 0;  // along axis 0
  std::vector<uint64_t> rows;       // where each row of pieces begins
};

UNMOOR_COMMON Slices slicesOf(const Call &call, const char *side, const SliceInfo info[], uint32_t axes, uint32_t size) {
  Slices out;
  uint64_t rowStep = 1;
  for (uint32_t i = 0; i < axes; i++) {
    const SliceInfo &axis = info[i];
    const std::string name = "axis " + std::to_string(i) + " of " + side;
    const auto require = [&](bool holds, const std::string &expected, const std::string &found, const char *remedy) {
      call.require(holds, "slice", name.c_str(), expected, found, remedy);
    };
    call.require(axis.shapeValue > 0, "not-modelled", name.c_str(), "a shapeValue: shapes of SetShapeInfo are not modelled", "0",
                 "give the length of the axis as shapeValue");
    require(axis.startIndex < axis.endIndex && axis.endIndex <= axis.shapeValue, "startIndex < endIndex <= shapeValue",
            std::to_string(axis.startIndex) + ", " + std::to_string(axis.endIndex) + ", " + std::to_string(axis.shapeValue),
            "the last index is part of the slice; leave out an axis of which one row is taken");
    require(i == 0 || axis.burstLen == 1, "burstLen 1 on all axes but the first", std::to_string(axis.burstLen), "set it to 1");
    const uint64_t piece = i == 0 ? uint64_t{axis.burstLen} * (32 / size) : 1, length = axis.endIndex - axis.startIndex + 1;
    require((length + axis.stride) % (piece + axis.stride) == 0,
            "endIndex - startIndex + 1 elements that are whole pieces of " + std::to_string(piece) + ", " + std::to_string(axis.stride) +
                " apart",
            std::to_string(length) + " elements", "correct endIndex: it is the last element of the last piece");
    const auto count = static_cast<uint32_t>((length + axis.stride) / (piece + axis.stride));
    if (i == 0) {
      out.pieces = count;
      out.stride = axis.stride;
      out.rows = {axis.startIndex};
      continue;
    }
    rowStep *= info[i - 1].shapeValue;
    std::vector<uint64_t> rows;
    for (uint32_t k = 0; k < count; k++)
      for (const uint64_t row : out.rows) rows.push_back(row + (axis.startIndex + uint64_t{k} * (1 + axis.stride)) * rowStep);
    call.limit("rows of pieces", static_cast<int64_t>(rows.size()), 1, MOST_SLICES, "copy fewer rows at once");
    out.rows = std::move(rows);
  }
  return out;
}

/// A transfer of slices between UB and GM, one way or the other.
UNMOOR_COMMON void copySlices(bool inbound, const LocalHandle &local, const GlobalHandle &gm, Element element, const SliceInfo dstInfo[],
                              const SliceInfo srcInfo[], uint32_t axes, SourceLoc where) {
  const Call call(inbound ? "DataCopy slices GM->UB" : "DataCopy slices UB->GM", inbound ? PIPE_MTE2 : PIPE_MTE3, where);
  const char *name = inbound ? "dst" : "src";
  call.dtype(element.type, name, SLICED, "reinterpret the tensors as a type of the same size");
  call.operand(local, name, Space::UB);
  call.limit("dimValue", axes, 1, MOST_SLICE_AXES, "copy the outer axes in a loop");
  for (uint32_t i = 0; i < axes; i++)
    call.require(dstInfo[i].burstLen == srcInfo[i].burstLen, "slice", "burstLen", "the same in dstSliceInfo and srcSliceInfo",
                 std::to_string(dstInfo[i].burstLen) + " and " + std::to_string(srcInfo[i].burstLen), "set both to the length of a piece");
  const Slices dst = slicesOf(call, "dstSliceInfo", dstInfo, axes, element.size), src = slicesOf(call, "srcSliceInfo", srcInfo, axes, element.size);
  call.require(dst.pieces == src.pieces && dst.rows.size() == src.rows.size(), "slice", "dstSliceInfo and srcSliceInfo",
               "as many pieces on both sides",
               std::to_string(dst.rows.size()) + " rows of " + std::to_string(dst.pieces) + " and " + std::to_string(src.rows.size()) + " of " +
                   std::to_string(src.pieces),
               "give both sides slices of one shape");
  const uint64_t bytes = uint64_t{srcInfo[0].burstLen} * 32;
  call.limit("burstLen in DataBlocks", srcInfo[0].burstLen, 1, 65535, "copy at least one block of 32 bytes");
  call.limit("pieces of a row", src.pieces, 1, 4095, "split the copy");
  const Slices &here = inbound ? dst : src, &there = inbound ? src : dst;
  const uint64_t localStep = bytes + uint64_t{here.stride} * element.size, globalStep = bytes + uint64_t{there.stride} * element.size;
  const auto aligned = [&](const char *what, uint64_t offset) {
    call.require(offset % 32 == 0, "alignment", name, std::string(what) + " that is a multiple of 32 bytes in UB", std::to_string(offset) + " bytes",
                 "choose shapeValue, startIndex and stride on the side of UB in whole DataBlocks");
  };
  aligned("a distance of pieces", localStep);
  std::vector<Range> reads, writes;
  for (size_t row = 0; row < here.rows.size(); row++) {
    aligned("a start of a row", here.rows[row] * element.size);
    const Access inside = inbound ? Access::Write : Access::Read, outside = inbound ? Access::Read : storeAccess(call, element.type);
    const Range at = rowsOf(call.range(local, name, inside, bytes, here.rows[row] * element.size), here.pieces, localStep);
    const Range far = globalRange(gm, call.at, inbound ? "src" : "dst", outside, bytes, there.rows[row] * element.size, there.pieces, globalStep);
    reads.push_back(inbound ? far : at);
    writes.push_back(inbound ? at : far);
  }
  const uint32_t pieces = here.pieces;
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=, atomic = call.c.registers.atomic] {
    for (size_t row = 0; row < reads.size(); row++) {
      uint8_t *to = call.c.bytesAt(writes[row].space, writes[row].begin);
      const uint8_t *from = call.c.bytesAt(reads[row].space, reads[row].begin);
      if (inbound) copyRows(to, from, pieces, bytes, localStep, globalStep);
      else storeRows(element.type, to, from, pieces, bytes, globalStep, localStep, atomic);
    }
  });
}

/// Matrices in fractal order in UB, columns in blocks of 16, to rows in GM.
UNMOOR_COMMON void copyNz2Nd(const GlobalHandle &dst, const LocalHandle &src, Element element, const AscendC::Nz2NdParamsFull &p, SourceLoc where) {
  const Call call("DataCopy Nz2Nd", PIPE_MTE3, where);
  call.dtype(element.type, "src", Dtypes{{Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::U32, Dtype::F32}},
             "reinterpret the tensors as a type of the same size");
  call.operand(src, "src", Space::UB);
  call.limit("ndNum", p.ndNum, 0, 4095, "split the copy");
  call.limit("nValue", p.nValue, 1, 8192, "split the rows");
  call.limit("dValue", p.dValue, 1, 8192, "split the columns");
  call.require(p.dValue % 16 == 0, "limit", "dValue", "a multiple of 16 columns", std::to_string(p.dValue), "round it up");
  call.limit("srcNdMatrixStride", p.srcNdMatrixStride, 1, 512, "copy the matrices one by one");
  call.limit("srcNStride", p.srcNStride, 0, 4096, "use the rows of the matrix in UB");
  call.limit("dstDStride", p.dstDStride, 1, 65535, "give the length of a row in GM");
  call.limit("dstNdMatrixStride", p.dstNdMatrixStride, 1, 65535, "copy the matrices one by one");
  const uint64_t size = element.size, run = 16 * size, rowStep = p.dstDStride * size;
  std::vector<Range> reads, writes;
  for (uint32_t nd = 0; nd < p.ndNum; nd++)
    for (uint32_t column = 0; column < p.dValue; column += 16) {
      const uint64_t from = (uint64_t{nd} * p.srcNdMatrixStride * 256 + uint64_t{column} * p.srcNStride) * size;
      reads.push_back(rowsOf(call.range(src, "src", Access::Read, run, from), p.nValue, run));
      writes.push_back(globalRange(dst, call.at, "dst", storeAccess(call, element.type), run,
                                   (uint64_t{nd} * p.dstNdMatrixStride + column) * size, p.nValue, rowStep));
    }
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=, atomic = call.c.registers.atomic] {
    for (size_t i = 0; i < reads.size(); i++)
      storeRows(element.type, call.c.bytesAt(Space::GM, writes[i].begin), call.c.bytesAt(Space::UB, reads[i].begin), p.nValue, run, rowStep, run,
                atomic);
  });
}

/// What DataCopyEnhancedParams asks for is done on the way from L0C to UB alone, which architecture 2201 does not have.
UNMOOR_COMMON void checkEnhanced(const char *name, pipe_t pipe, const AscendC::DataCopyEnhancedParams &p, SourceLoc where) {
  const Call call(name, pipe, where);
  const auto require = [&](bool holds, const char *field, const char *expected, const char *remedy) {
    call.require(holds, "no-effect", field, std::string(expected) + ": on architecture 2201 DataCopy has no other effect", "another value", remedy);
  };
  require(p.blockMode == AscendC::BlockMode::BLOCK_MODE_NORMAL, "blockMode", "BLOCK_MODE_NORMAL", "use Fixpipe for what is in L0C");
  require(p.deqScale == AscendC::DeqScale::DEQ_NONE, "deqScale", "DEQ_NONE", "use the quantPre of Fixpipe, or Cast and Muls");
  require(!p.isRelu, "isRelu", "false", "use Relu, or the reluEn of Fixpipe");
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Slices of a tensor of `dimValue` axes (the innermost first): from GM to UB, and from UB to GM.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const SliceInfo dstSliceInfo[], const SliceInfo srcSliceInfo[],
              const uint32_t dimValue = 1, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::copySlices(true, dst.handle, src.handle(), d::elementOf<T>(), dstSliceInfo, srcSliceInfo, dimValue, where);
}
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const SliceInfo dstSliceInfo[], const SliceInfo srcSliceInfo[],
              const uint32_t dimValue = 1, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::copySlices(false, src.handle, dst.handle(), d::elementOf<T>(), dstSliceInfo, srcSliceInfo, dimValue, where);
}

/// UB to GM, from fractal order to rows: row r, column c of a matrix is at c / 16 * srcNStride * 16 + r * 16 + c % 16.
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const Nz2NdParamsFull &intriParams,
              unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::copyNz2Nd(dst.handle(), src.handle, d::elementOf<T>(), intriParams, where);
}

// The enhanced forms do what the plain ones do.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &intriParams,
              const DataCopyEnhancedParams &enhancedParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::checkEnhanced("DataCopy GM->local", PIPE_MTE2, enhancedParams, where);
  DataCopy(dst, src, intriParams, where);
}
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &intriParams,
              const DataCopyEnhancedParams &enhancedParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::checkEnhanced("DataCopy UB->GM", PIPE_MTE3, enhancedParams, where);
  DataCopy(dst, src, intriParams, where);
}
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &intriParams,
              const DataCopyEnhancedParams &enhancedParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::checkEnhanced("DataCopy UB->UB", PIPE_V, enhancedParams, where);
  DataCopy(dst, src, intriParams, where);
}

}  // namespace AscendC
