// Fixpipe: out of L0C to GM or L1, with cast and relu on the way.
#pragma once
#include "call.h"
#include "params.h"

namespace unmoor::ascend::detail {

/// Refuses a quantPre that does not fit the types.
template <class T, class U> inline void checkQuant(const Call &call, QuantMode_t mode) {
  constexpr Dtype from = dtypeOf<U>(), to = dtypeOf<T>();
  const char *needed = nullptr;
  bool fits = false;
  if (from == Dtype::F32 && to == Dtype::F16) needed = "F322F16", fits = mode == F322F16;
  else if (from == Dtype::F32 && to == Dtype::Bf16) needed = "F322BF16", fits = mode == F322BF16;
  else if (from == Dtype::I32 && to == Dtype::F16) needed = "DEQF16", fits = mode == DEQF16;
  else if (from == to && (from == Dtype::F32 || from == Dtype::I32)) needed = "NoQuant", fits = mode == NoQuant;
  const std::string pair = std::string(nameOf(from)) + " to " + nameOf(to);
  if (needed == nullptr)
    call.fail("dtype", "", "float to float, half or bfloat16_t, or int32_t to int32_t or half", pair,
              "let Fixpipe write float and cast on a vector core");
  if (!fits)
    call.fail("quant-mode", "quantPre", std::string(needed) + " for " + pair, "another mode",
              std::string("set quantPre = QuantMode_t::") + needed);
}

template <class T, class U> inline T fixValue(U value, const AscendC::FixpipeParamsV220 &p) {
  if constexpr (std::is_same_v<T, U>) return p.reluEn && value < U(0) ? U(0) : value;
  else if constexpr (isFloating<T>()) {
    float wide = static_cast<float>(value);
    if (p.quantPre == DEQF16) wide *= bitsAs<float>(static_cast<uint32_t>(p.deqScalar));
    return T(p.reluEn && wide < 0.0f ? 0.0f : wide);
  } else return T{};
}

/// The parts of L0C that are read: nSize columns in strips of 16, mSize rows each.
template <class U>
inline std::vector<Range> fixpipeReads(const Call &call, const AscendC::LocalTensor<U> &src,
                                       const AscendC::FixpipeParamsV220 &p, uint64_t offset) {
  std::vector<Range> out;
  for (uint32_t n1 = 0; n1 * 16 < p.nSize; n1++) {
    const uint32_t bytes = std::min(16u, p.nSize - n1 * 16u) * static_cast<uint32_t>(sizeof(U));
    Range rows = call.range(src, "src", Access::Read, bytes, offset + uint64_t{n1} * p.srcStride * 16 * sizeof(U));
    rows.inner = p.mSize;
    rows.innerStride = 16 * sizeof(U);
    out.push_back(rows);
  }
  return out;
}

/// Writes strips of 16 columns; `cell` says where row r of strip n1 goes.
template <class T, class U, class Cell>
inline void fixpipeWrite(const uint8_t *from, const AscendC::FixpipeParamsV220 &p, Cell &&cell) {
  for (uint32_t n1 = 0; n1 * 16 < p.nSize; n1++) {
    const uint32_t width = std::min(16u, p.nSize - n1 * 16u);
    for (uint32_t row = 0; row < p.mSize; row++) {
      const uint8_t *in = from + (uint64_t{n1} * p.srcStride + row) * 16 * sizeof(U);
      uint8_t *out = cell(n1, row);
      for (uint32_t j = 0; j < width; j++)
        storeAs<T>(out + j * sizeof(T), fixValue<T, U>(loadAs<U>(in + j * sizeof(U)), p));
    }
  }
}

template <class T, class U>
inline void checkFixpipe(const Call &call, const AscendC::LocalTensor<U> &src, const AscendC::FixpipeParamsV220 &p,
                         bool rowMajor) {
  call.operand(src, "src", Space::L0C);
  checkQuant<T, U>(call, p.quantPre);
  call.limit("nSize", p.nSize, 0, 4095, "split the columns");
  call.limit("mSize", p.mSize, 0, rowMajor ? 8192 : 65535, "split the rows");
  call.limit("dstStride", p.dstStride, 1, UINT32_MAX, "give the elements of a destination row");
  call.require(!p.isChannelSplit, "not-modelled", "isChannelSplit", "false", "true", "write float strips of 16");
  call.require(rowMajor || p.nSize % 16 == 0, "limit", "nSize", "a multiple of 16 for CFG_NZ",
               std::to_string(p.nSize), "round nSize up to 16, or use CFG_ROW_MAJOR");
  call.require(rowMajor || p.ndNum == 1, "limit", "ndNum", "1 for CFG_NZ", std::to_string(p.ndNum), "call it per matrix");
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// L0C to GM, row major (the default) or as strips of 16 columns (CFG_NZ).
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(config.format != CO2Layout::COLUMN_MAJOR, "column major needs a later architecture");
  const d::Call call("Fixpipe L0C->GM", PIPE_FIX, where);
  constexpr bool rowMajor = config.format == CO2Layout::ROW_MAJOR;
  d::checkFixpipe<T, U>(call, src, p, rowMajor);
  if (p.mSize == 0 || p.nSize == 0) return;
  for (uint32_t nd = 0; nd < p.ndNum; nd++) {
    const uint64_t srcAt = uint64_t{nd} * p.srcNdStride * 16 * 16 * sizeof(U);
    const uint64_t dstAt = uint64_t{nd} * p.dstNdStride * sizeof(T);
    const std::vector<d::Range> reads = d::fixpipeReads(call, src, p, srcAt);
    // One row of the result, or one strip with all its rows.
    const uint64_t stripStep = uint64_t{p.dstStride} * 32, rowStep = uint64_t{p.dstStride} * sizeof(T);
    const d::Range to =
        rowMajor ? dst.range(call.at, "dst", d::Access::Write, p.nSize * sizeof(T), dstAt, p.mSize, rowStep)
                 : dst.range(call.at, "dst", d::Access::Write, uint64_t{p.mSize} * 16 * sizeof(T), dstAt,
                             p.nSize / 16, stripStep);
    call.issue({reads.data(), reads.size()}, {to}, [=] {
      auto *out = reinterpret_cast<uint8_t *>(to.begin);
      d::fixpipeWrite<T, U>(call.data(src.handle) + srcAt, p, [&](uint32_t n1, uint32_t row) {
        return rowMajor ? out + row * rowStep + n1 * 16 * sizeof(T) : out + n1 * stripStep + row * 16 * sizeof(T);
      });
    });
  }
}

/// L0C to L1 as strips of C0 columns, ready to be the next product's operand; 2-byte results only.
template <typename T, typename U, const FixpipeConfig &config = CFG_NZ>
inline void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(config.format == CO2Layout::NZ, "L1 takes NZ");
  const d::Call call("Fixpipe L0C->L1", PIPE_FIX, where);
  call.dtype<T>("dst", d::Dtypes{{d::Dtype::F16, d::Dtype::Bf16}}, "write half or bfloat16_t to L1");
  call.operand(dst, "dst", d::Space::L1);
  d::checkFixpipe<T, U>(call, src, p, false);
  if (p.mSize == 0 || p.nSize == 0) return;
  const std::vector<d::Range> reads = d::fixpipeReads(call, src, p, 0);
  d::Range to = call.range(dst, "dst", d::Access::Write, uint64_t{p.mSize} * 32);
  to.inner = p.nSize / 16;
  to.innerStride = int64_t{p.dstStride} * 32;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    d::fixpipeWrite<T, U>(call.data(src.handle), p, [&](uint32_t n1, uint32_t row) {
      return call.data(dst.handle) + uint64_t{n1} * p.dstStride * 32 + uint64_t{row} * 32;
    });
  });
}

}  // namespace AscendC
