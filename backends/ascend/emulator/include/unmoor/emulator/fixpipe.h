// Fixpipe: out of L0C to GM or L1, with cast and relu on the way.
#pragma once
#include <cmath>

#include "atomic.h"
#include "params.h"

namespace unmoor::ascend::detail {

/// Whether a mode takes a factor for each column, from a tensor in L1.
inline bool perColumn(QuantMode_t mode) { return mode == VDEQF16 || mode == VQF322B8_PRE || mode == VREQ8; }

/// Refuses a quantPre that does not fit the types, and a tensor of factors where there should be none or one.
UNMOOR_COMMON void checkQuant(const Call &call, Dtype from, Dtype to, QuantMode_t mode, bool factors) {
  const bool bytes = to == Dtype::I8 || to == Dtype::U8;
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

template <class T, class U> T fixValue(U value, const AscendC::FixpipeParamsV220 &p, const QuantFactor &factor) {
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

/// Elements of a row of a strip, out of L0C; each has its column's factor.
template <class T, class U>
void fixStrip(uint8_t *to, const uint8_t *from, uint32_t width, const AscendC::FixpipeParamsV220 &p, const uint64_t *factors) {
  for (uint32_t j = 0; j < width; j++)
    storeAs<T>(to + j * sizeof(T), fixValue<T, U>(loadAs<U>(from + j * sizeof(U)), p, QuantFactor(factors[j])));
}

/// What a Fixpipe converts: 4-byte sums to elements.
struct FixpipeTypes {
  Dtype from;
  Element to;
  void (*strip)(uint8_t *, const uint8_t *, uint32_t, const AscendC::FixpipeParamsV220 &, const uint64_t *);
};
template <class T, class U> FixpipeTypes fixpipeTypes() { return {dtypeOf<U>(), elementOf<T>(), fixStrip<T, U>}; }
inline constexpr uint32_t SUM = 4;  // bytes of an element of L0C

/// The parts of L0C that are read: nSize columns in strips of 16, mSize rows each.
inline std::vector<Range> fixpipeReads(const Call &call, const LocalHandle &src, const AscendC::FixpipeParamsV220 &p, uint64_t offset) {
  std::vector<Range> out;
  for (uint32_t n1 = 0; n1 * 16 < p.nSize; n1++) {
    const uint32_t bytes = std::min(16u, p.nSize - n1 * 16u) * SUM;
    Range rows = call.range(src, "src", Access::Read, bytes, offset + uint64_t{n1} * p.srcStride * 16 * SUM);
    rows.inner = p.mSize;
    rows.innerStride = 16 * SUM;
    out.push_back(rows);
  }
  return out;
}

/// The factors of the columns, in place when this returns; one for all without a tensor. They have to say the result's sign too.
inline std::vector<uint64_t> quantFactors(const Call &call, Dtype to, const LocalHandle *tensor, const AscendC::FixpipeParamsV220 &p) {
  std::vector<uint64_t> out(p.nSize, p.deqScalar);
  if (tensor != nullptr) {
    call.operand(*tensor, "cbufWorkspace", Space::L1);
    call.issue({call.range(*tensor, "cbufWorkspace", Access::Read, p.nSize * 8u)}, {}, [] {});
    call.c.settle(PIPE_FIX);
    std::memcpy(out.data(), call.data(*tensor), out.size() * 8);
  }
  if (p.quantPre != NoQuant && (to == Dtype::I8 || to == Dtype::U8))
    for (const uint64_t one : out)
      call.require(QuantFactor(one).isSigned == (to == Dtype::I8), "quant-sign", "deqScalar",
                   to == Dtype::I8 ? "bit 46 set for int8_t" : "bit 46 clear for uint8_t", "the other", "set the factor's sign bit");
  return out;
}

/// Where results go: row r of strip n1 lies n1 * strip + r * row bytes from the start.
struct FixpipeSteps {
  uint64_t strip, row;
};

inline void fixpipeWrite(const FixpipeTypes &types, uint8_t *to, FixpipeSteps steps, const uint8_t *from,
                         const AscendC::FixpipeParamsV220 &p, const std::vector<uint64_t> &factors, Registers::Atomic atomic) {
  for (uint32_t n1 = 0; n1 * 16 < p.nSize; n1++) {
    const uint32_t width = std::min(16u, p.nSize - n1 * 16u);
    for (uint32_t row = 0; row < p.mSize; row++) {
      uint8_t strip[16 * SUM];
      types.strip(strip, from + (uint64_t{n1} * p.srcStride + row) * 16 * SUM, width, p, &factors[n1 * 16]);
      store(types.to.type, to + n1 * steps.strip + row * steps.row, strip, width * types.to.size, atomic);
    }
  }
}

inline void checkFixpipe(const Call &call, const FixpipeTypes &types, const LocalHandle &src, const AscendC::FixpipeParamsV220 &p,
                         bool rowMajor, bool factors) {
  call.operand(src, "src", Space::L0C);
  checkQuant(call, types.from, types.to.type, p.quantPre, factors);
  call.limit("nSize", p.nSize, 0, 4095, "split the columns");
  call.limit("mSize", p.mSize, 0, rowMajor ? 8192 : 65535, "split the rows");
  call.limit("dstStride", p.dstStride, 1, UINT32_MAX, "give the elements of a destination row");
  call.require(!p.isChannelSplit, "not-modelled", "isChannelSplit", "false", "true", "write float strips of 16");
  call.require(rowMajor || p.nSize % 16 == 0, "limit", "nSize", "a multiple of 16 for CFG_NZ",
               std::to_string(p.nSize), "round nSize up to 16, or use CFG_ROW_MAJOR");
  call.require(rowMajor || p.ndNum == 1, "limit", "ndNum", "1 for CFG_NZ", std::to_string(p.ndNum), "call it per matrix");
}

UNMOOR_COMMON void fixpipeToGlobal(const FixpipeTypes &types, bool rowMajor, const GlobalHandle &dst, const LocalHandle &src,
                                   const LocalHandle *factorTensor, const AscendC::FixpipeParamsV220 &p, SourceLoc where) {
  const Call call("Fixpipe L0C->GM", PIPE_FIX, where);
  checkFixpipe(call, types, src, p, rowMajor, factorTensor != nullptr);
  if (p.mSize == 0 || p.nSize == 0) return;
  const Access access = storeAccess(call, types.to.type);
  const std::vector<uint64_t> factors = quantFactors(call, types.to.type, factorTensor, p);
  const uint64_t size = types.to.size, stripStep = uint64_t{p.dstStride} * 32, rowStep = uint64_t{p.dstStride} * size;
  const FixpipeSteps steps = rowMajor ? FixpipeSteps{16 * size, rowStep} : FixpipeSteps{stripStep, 16 * size};
  for (uint32_t nd = 0; nd < p.ndNum; nd++) {
    const uint64_t srcAt = uint64_t{nd} * p.srcNdStride * 16 * 16 * SUM;
    const uint64_t dstAt = uint64_t{nd} * p.dstNdStride * size;
    const std::vector<Range> reads = fixpipeReads(call, src, p, srcAt);
    // One row of the result, or one strip with all its rows.
    const Range to = rowMajor ? globalRange(dst, call.at, "dst", access, p.nSize * size, dstAt, p.mSize, rowStep)
                              : globalRange(dst, call.at, "dst", access, p.mSize * 16 * size, dstAt, p.nSize / 16, stripStep);
    call.issue({reads.data(), reads.size()}, {to}, [=, atomic = call.c.registers.atomic] {
      fixpipeWrite(types, reinterpret_cast<uint8_t *>(to.begin), steps, call.data(src) + srcAt, p, factors, atomic);
    });
  }
}

UNMOOR_COMMON void fixpipeToL1(const FixpipeTypes &types, const LocalHandle &dst, const LocalHandle &src, const LocalHandle *factorTensor,
                               const AscendC::FixpipeParamsV220 &p, SourceLoc where) {
  const Call call("Fixpipe L0C->L1", PIPE_FIX, where);
  call.dtype(types.to.type, "dst", Dtypes{{Dtype::F16, Dtype::Bf16}}, "write half or bfloat16_t to L1");
  call.operand(dst, "dst", Space::L1);
  checkFixpipe(call, types, src, p, false, factorTensor != nullptr);
  if (p.mSize == 0 || p.nSize == 0) return;
  const std::vector<uint64_t> factors = quantFactors(call, types.to.type, factorTensor, p);
  const std::vector<Range> reads = fixpipeReads(call, src, p, 0);
  Range to = call.range(dst, "dst", Access::Write, uint64_t{p.mSize} * 32);
  to.inner = p.nSize / 16;
  to.innerStride = int64_t{p.dstStride} * 32;
  call.issue({reads.data(), reads.size()}, {to}, [=] {
    fixpipeWrite(types, call.data(dst), {uint64_t{p.dstStride} * 32, 32}, call.data(src), p, factors, Registers::Atomic::None);
  });
}

/// Formats that the memory at the other end takes.
template <const AscendC::FixpipeConfig &config> constexpr bool rowMajorToGlobal() {
  static_assert(config.format != AscendC::CO2Layout::COLUMN_MAJOR, "column major needs a later architecture");
  return config.format == AscendC::CO2Layout::ROW_MAJOR;
}
template <const AscendC::FixpipeConfig &config> constexpr void onlyNz() {
  static_assert(config.format == AscendC::CO2Layout::NZ, "L1 takes NZ");
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// L0C to GM, row major (the default) or as strips of 16 columns (CFG_NZ).
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToGlobal(d::fixpipeTypes<T, U>(), d::rowMajorToGlobal<config>(), dst.handle(), src.handle, nullptr, p, where);
}
/// With a factor for each column in L1 (C1).
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<uint64_t> &cbufWorkspace,
                    const FixpipeParamsV220 &p, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::fixpipeToGlobal(d::fixpipeTypes<T, U>(), d::rowMajorToGlobal<config>(), dst.handle(), src.handle, &cbufWorkspace.handle, p, where);
}

/// L0C to L1 as strips of C0 columns, ready to be the next product's operand; 2-byte results only.
template <typename T, typename U, const FixpipeConfig &config = CFG_NZ>
void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::onlyNz<config>();
  d::fixpipeToL1(d::fixpipeTypes<T, U>(), dst.handle, src.handle, nullptr, p, where);
}
template <typename T, typename U, const FixpipeConfig &config = CFG_NZ>
void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<uint64_t> &cbufWorkspace,
                    const FixpipeParamsV220 &p, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::onlyNz<config>();
  d::fixpipeToL1(d::fixpipeTypes<T, U>(), dst.handle, src.handle, &cbufWorkspace.handle, p, where);
}

}  // namespace AscendC
