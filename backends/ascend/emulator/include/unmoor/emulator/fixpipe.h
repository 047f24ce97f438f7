// Fixpipe: out of L0C to GM or L1, with cast and relu on the way.
#pragma once
#include <cmath>

#include "atomic.h"
#include "params.h"

namespace unmoor::ascend::detail {

/// Whether a mode takes a factor for each column, from a tensor in L1.
inline bool perColumn(QuantMode_t mode) { return mode == VDEQF16 || mode == VQF322B8_PRE || mode == VREQ8; }

/// Refuses a quantPre that does not fit the types, and a tensor of factors where there should be none or one.
template <class T, class U> inline void checkQuant(const Call &call, QuantMode_t mode, bool factors) {
  constexpr Dtype from = dtypeOf<U>(), to = dtypeOf<T>();
  constexpr bool bytes = to == Dtype::I8 || to == Dtype::U8;
  const char *needed = nullptr, *orElse = nullptr;
  bool fits = false;
  if (from == Dtype::F32 && to == Dtype::F16) needed = "F322F16", fits = mode == F322F16;
  else if (from == Dtype::F32 && to == Dtype::Bf16) needed = "F322BF16", fits = mode == F322BF16;
  else if (from == Dtype::I32 && to == Dtype::F16) needed = "DEQF16", orElse = "VDEQF16", fits = mode == DEQF16 || mode == VDEQF16;
  else if (from == Dtype::F32 && bytes) needed = "QF322B8_PRE", orElse = "VQF322B8_PRE", fits = mode == QF322B8_PRE || mode == VQF322B8_PRE;
  else if (from == Dtype::I32 && bytes) needed = "REQ8", orElse = "VREQ8", fits = mode == REQ8 || mode == VREQ8;
  else if (from == to && (from == Dtype::F32 || from == Dtype::I32)) needed = "NoQuant", fits = mode == NoQuant;
  const std::string pair = std::string(nameOf(from)) + " to " + nameOf(to);
  if (needed == nullptr)
    call.fail("dtype", "", "float to float, half, bfloat16_t or 8 bits, or int32_t to int32_t, half or 8 bits", pair,
              "let Fixpipe write float and cast on a vector core");
  if (!fits)
    call.fail("quant-mode", "quantPre", std::string(needed) + (orElse == nullptr ? "" : std::string(" or ") + orElse) + " for " + pair,
              "another mode", std::string("set quantPre = QuantMode_t::") + needed);
  call.require(perColumn(mode) == factors, "quant-mode", "cbufWorkspace",
               factors ? "a mode with a factor for each column (VDEQF16, VQF322B8_PRE, VREQ8)" : "a tensor of factors in L1 (C1)",
               factors ? "a mode with one factor in deqScalar" : "none",
               factors ? "leave the tensor out, or change the mode" : "pass the factors, 8 bytes each, or use a mode with deqScalar");
}

/// One factor as the hardware reads its 64 bits: a float of 10 bits' precision, a shift, an offset, and the sign of the result.
struct QuantFactor {
  float scale;
  uint32_t shift;
  bool shifts, isSigned;
  int32_t offset;
  explicit QuantFactor(uint64_t bits)
      : scale(bitsAs<float>(static_cast<uint32_t>(bits) & ~0x1fffu)), shift((bits >> 32 & 15) + 1), shifts((bits >> 36 & 1) != 0),
        isSigned((bits >> 46 & 1) != 0), offset(static_cast<int32_t>(bits >> 37 & 511)) {
    if (offset >= 256) offset -= 512;
  }
};

template <class T, class U> inline T fixValue(U value, const AscendC::FixpipeParamsV220 &p, const QuantFactor &factor) {
  if constexpr (std::is_same_v<T, U>) return p.reluEn && value < U(0) ? U(0) : value;
  else if constexpr (isFloating<T>()) {
    float wide = static_cast<float>(value);
    if (p.quantPre == DEQF16 || p.quantPre == VDEQF16) {
      if constexpr (std::is_same_v<U, int32_t>)
        if (factor.shifts) wide = static_cast<float>(static_cast<int16_t>(value >> factor.shift));
      wide *= factor.scale;
    }
    return T(p.reluEn && wide < 0.0f ? 0.0f : wide);
  } else if constexpr (sizeof(T) == 1) {
    float wide = static_cast<float>(value);
    if constexpr (std::is_same_v<U, int32_t>)
      if (factor.shifts) wide = static_cast<float>(static_cast<int16_t>(value >> factor.shift));
    wide *= factor.scale;
    if (p.reluEn && wide < 0.0f) wide = 0.0f;
    const float rounded = std::nearbyint(wide) + static_cast<float>(factor.offset);
    constexpr float low = std::is_signed_v<T> ? -128.0f : 0.0f, high = std::is_signed_v<T> ? 127.0f : 255.0f;
    return static_cast<T>(static_cast<int32_t>(rounded < low ? low : rounded > high ? high : rounded));
  } else return T{};
}

/// The result's sign has to be said in the factor too.
template <class T> inline void checkSign(const Call &call, uint64_t bits) {
  if constexpr (sizeof(T) == 1)
    call.require(QuantFactor(bits).isSigned == std::is_signed_v<T>, "quant-sign", "deqScalar",
                 std::is_signed_v<T> ? "bit 46 set for int8_t" : "bit 46 clear for uint8_t", "the other", "set the factor's sign bit");
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

/// The factors of the columns, in place when this returns; one for all without a tensor.
template <class T>
inline std::vector<uint64_t> quantFactors(const Call &call, const AscendC::LocalTensor<uint64_t> *tensor,
                                          const AscendC::FixpipeParamsV220 &p) {
  std::vector<uint64_t> out(p.nSize, p.deqScalar);
  if (tensor != nullptr) {
    call.operand(*tensor, "cbufWorkspace", Space::L1);
    call.issue({call.range(*tensor, "cbufWorkspace", Access::Read, p.nSize * 8u)}, {}, [] {});
    call.c.settle(PIPE_FIX);
    std::memcpy(out.data(), call.data(tensor->handle), out.size() * 8);
  }
  for (const uint64_t one : out)
    if (p.quantPre != NoQuant) checkSign<T>(call, one);
  return out;
}

/// Writes strips of 16 columns; `cell` says where row r of strip n1 goes.
template <class T, class U, class Cell>
inline void fixpipeWrite(const uint8_t *from, const AscendC::FixpipeParamsV220 &p, const std::vector<uint64_t> &factors,
                         Registers::Atomic atomic, Cell &&cell) {
  for (uint32_t n1 = 0; n1 * 16 < p.nSize; n1++) {
    const uint32_t width = std::min(16u, p.nSize - n1 * 16u);
    for (uint32_t row = 0; row < p.mSize; row++) {
      const uint8_t *in = from + (uint64_t{n1} * p.srcStride + row) * 16 * sizeof(U);
      T strip[16];
      for (uint32_t j = 0; j < width; j++)
        strip[j] = fixValue<T, U>(loadAs<U>(in + j * sizeof(U)), p, QuantFactor(factors[n1 * 16 + j]));
      store<T>(cell(n1, row), reinterpret_cast<const uint8_t *>(strip), width * sizeof(T), atomic);
    }
  }
}

template <class T, class U>
inline void checkFixpipe(const Call &call, const AscendC::LocalTensor<U> &src, const AscendC::FixpipeParamsV220 &p,
                         bool rowMajor, bool factors) {
  call.operand(src, "src", Space::L0C);
  checkQuant<T, U>(call, p.quantPre, factors);
  call.limit("nSize", p.nSize, 0, 4095, "split the columns");
  call.limit("mSize", p.mSize, 0, rowMajor ? 8192 : 65535, "split the rows");
  call.limit("dstStride", p.dstStride, 1, UINT32_MAX, "give the elements of a destination row");
  call.require(!p.isChannelSplit, "not-modelled", "isChannelSplit", "false", "true", "write float strips of 16");
  call.require(rowMajor || p.nSize % 16 == 0, "limit", "nSize", "a multiple of 16 for CFG_NZ",
               std::to_string(p.nSize), "round nSize up to 16, or use CFG_ROW_MAJOR");
  call.require(rowMajor || p.ndNum == 1, "limit", "ndNum", "1 for CFG_NZ", std::to_string(p.ndNum), "call it per matrix");
}

}  // namespace unmoor::ascend::detail

namespace unmoor::ascend::detail {

template <class T, class U, const AscendC::FixpipeConfig &config>
inline void fixpipeToGlobal(const Call &call, const AscendC::GlobalTensor<T> &dst, const AscendC::LocalTensor<U> &src,
                            const AscendC::LocalTensor<uint64_t> *factorTensor, const AscendC::FixpipeParamsV220 &p) {
  using AscendC::CO2Layout;
  static_assert(config.format != CO2Layout::COLUMN_MAJOR, "column major needs a later architecture");
  constexpr bool rowMajor = config.format == CO2Layout::ROW_MAJOR;
  checkFixpipe<T, U>(call, src, p, rowMajor, factorTensor != nullptr);
  if (p.mSize == 0 || p.nSize == 0) return;
  const Access access = storeAccess<T>(call);
  const std::vector<uint64_t> factors = quantFactors<T>(call, factorTensor, p);
  for (uint32_t nd = 0; nd < p.ndNum; nd++) {
    const uint64_t srcAt = uint64_t{nd} * p.srcNdStride * 16 * 16 * sizeof(U);
    const uint64_t dstAt = uint64_t{nd} * p.dstNdStride * sizeof(T);
    const std::vector<Range> reads = fixpipeReads(call, src, p, srcAt);
    // One row of the result, or one strip with all its rows.
    const uint64_t stripStep = uint64_t{p.dstStride} * 32, rowStep = uint64_t{p.dstStride} * sizeof(T);
    const Range to = rowMajor ? dst.range(call.at, "dst", access, p.nSize * sizeof(T), dstAt, p.mSize, rowStep)
                              : dst.range(call.at, "dst", access, uint64_t{p.mSize} * 16 * sizeof(T), dstAt, p.nSize / 16,
                                          stripStep);
    call.issue({reads.data(), reads.size()}, {to}, [=, atomic = call.c.registers.atomic] {
      auto *out = reinterpret_cast<uint8_t *>(to.begin);
      fixpipeWrite<T, U>(call.data(src.handle) + srcAt, p, factors, atomic, [&](uint32_t n1, uint32_t row) {
        return rowMajor ? out + row * rowStep + n1 * 16 * sizeof(T) : out + n1 * stripStep + row * 16 * sizeof(T);
      });
    });
  }
}

template <class T, class U, const AscendC::FixpipeConfig &config>
inline void fixpipeToL1(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<U> &src,
                        const AscendC::LocalTensor<uint64_t> *factorTensor, const AscendC::FixpipeParamsV220 &p) {
  static_assert(config.format == AscendC::CO2Layout::NZ, "L1 takes NZ");
  call.dtype<T>("dst", Dtypes{{Dtype::F16, Dtype::Bf16}}, "write half or bfloat16_t to L1");
  call.operand(dst, "dst", Space::L1);
  checkFixpipe<T, U>(call, src, p, false, factorTensor != nullptr);
  if (p.mSize == 0 || p.nSize == 0) return;
  const std::vector<uint64_t> factors = quantFactors<T>(call, factorTensor, p);
  const std::vector<Range> reads = fixpipeReads(call, src, p, 0);
  Range to = call.range(dst, "dst", Access::Write, uint64_t{p.mSize} * 32);
  to.inner = p.nSize / 16;
  to.innerStride = int64_t{p.dstStride} * 32;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    fixpipeWrite<T, U>(call.data(src.handle), p, factors, Registers::Atomic::None, [&](uint32_t n1, uint32_t row) {
      return call.data(dst.handle) + uint64_t{n1} * p.dstStride * 32 + uint64_t{row} * 32;
    });
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// L0C to GM, row major (the default) or as strips of 16 columns (CFG_NZ).
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToGlobal<T, U, config>(d::Call("Fixpipe L0C->GM", PIPE_FIX, where), dst, src, nullptr, p);
}
/// With a factor for each column in L1 (C1).
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<uint64_t> &cbufWorkspace,
                    const FixpipeParamsV220 &p, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToGlobal<T, U, config>(d::Call("Fixpipe L0C->GM", PIPE_FIX, where), dst, src, &cbufWorkspace, p);
}

/// L0C to L1 as strips of C0 columns, ready to be the next product's operand; 2-byte results only.
template <typename T, typename U, const FixpipeConfig &config = CFG_NZ>
inline void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToL1<T, U, config>(d::Call("Fixpipe L0C->L1", PIPE_FIX, where), dst, src, nullptr, p);
}
template <typename T, typename U, const FixpipeConfig &config = CFG_NZ>
inline void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<uint64_t> &cbufWorkspace,
                    const FixpipeParamsV220 &p, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToL1<T, U, config>(d::Call("Fixpipe L0C->L1", PIPE_FIX, where), dst, src, &cbufWorkspace, p);
}

}  // namespace AscendC
