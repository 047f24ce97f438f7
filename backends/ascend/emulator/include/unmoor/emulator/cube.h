// The cube unit: fractals from L1 to L0A and L0B, and the matrix product into L0C.
// Layouts: L0A [m1][k1][16 m][C0 k], L0B [k1][n1][16 n][C0 k], L0C [n1][m][16 n]; C0 is 32 bytes of elements.
#pragma once
#include "call.h"
#include "params.h"

namespace unmoor::ascend::detail {

inline constexpr uint32_t FRACTAL = arch2201::FRACTAL;
inline uint32_t ceilDiv(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/// Bytes of an operand that a product uses: `rows` of 16-row fractals by `k` elements. Both L0A and L0B store a row
/// of C0 elements along k; they differ in the order of the fractals.
struct FractalWalk {
  uint32_t k1Step;    // bytes between fractals along k
  uint32_t rowStep;   // bytes between fractals along m or n
};

/// Ranges of the valid elements only: what lies beyond m, n or k is ignored by the hardware.
UNMOOR_COMMON void pushFractals(std::vector<Range> &out, const Range &base, FractalWalk walk, uint32_t rows, uint32_t k,
                         uint32_t size) {
  const uint32_t c0 = 32 / size;
  for (uint32_t k1 = 0; k1 * c0 < k; k1++) {
    const uint32_t bytes = std::min(c0, k - k1 * c0) * size;
    for (uint32_t r1 = 0; r1 * 16 < rows; r1++) {
      Range run = base;
      run.begin += uint64_t{k1} * walk.k1Step + uint64_t{r1} * walk.rowStep;
      run.bytes = bytes;
      run.inner = std::min(16u, rows - r1 * 16);
      run.innerStride = 32;
      out.push_back(run);
    }
  }
}

/// An operand as wide values, row by row along k, zero beyond k: plain [row][kPadded].
template <class T, class W>
void unpack(std::vector<W> &out, const uint8_t *from, FractalWalk walk, uint32_t rows, uint32_t k,
                   uint32_t kPadded) {
  constexpr uint32_t c0 = 32 / sizeof(T);
  out.resize(size_t{rows} * kPadded);
  for (uint32_t row = 0; row < rows; row++)
    for (uint32_t k1 = 0; k1 * c0 < kPadded; k1++) {
      const uint8_t *cell = from + uint64_t{k1} * walk.k1Step + uint64_t{row / 16} * walk.rowStep + row % 16 * 32;
      W *to = out.data() + size_t{row} * kPadded + k1 * c0;
      const uint32_t valid = k1 * c0 < k ? std::min(c0, k - k1 * c0) : 0;
      for (uint32_t i = 0; i < c0; i++) to[i] = 0;
      for (uint32_t i = 0; i < valid; i++) to[i] = static_cast<W>(widen(loadAs<T>(cell + i * sizeof(T))));
    }
}

/// C[n1][m][16] += A * B^T on unpacked operands; the 16 columns of a fractal are the inner loop.
template <class W>
void multiply(uint8_t *c, const std::vector<W> &a, const std::vector<W> &b, uint32_t m, uint32_t n, uint32_t k,
                     bool accumulate, const uint8_t *bias) {
  const uint32_t mPadded = ceilDiv(m, 16) * 16;
  std::vector<W> columns(size_t{k} * 16);
  for (uint32_t n1 = 0; n1 * 16 < n; n1++) {
    const uint32_t width = std::min(16u, n - n1 * 16);
    for (uint32_t kk = 0; kk < k; kk++)
      for (uint32_t j = 0; j < 16; j++)
        columns[size_t{kk} * 16 + j] = j < width ? b[size_t{n1 * 16 + j} * k + kk] : W{0};
    for (uint32_t row = 0; row < m; row++) {
      uint8_t *out = c + (size_t{n1} * mPadded + row) * 16 * sizeof(W);
      W sum[16] = {};
      if (bias != nullptr) std::memcpy(sum, bias + n1 * 16 * sizeof(W), width * sizeof(W));
      else if (accumulate) std::memcpy(sum, out, width * sizeof(W));
      const W *left = a.data() + size_t{row} * k;
      const W *right = columns.data();
      for (uint32_t kk = 0; kk < k; kk++, right += 16) {
        const W value = left[kk];
        for (uint32_t j = 0; j < 16; j++) sum[j] += value * right[j];
      }
      std::memcpy(out, sum, width * sizeof(W));
    }
  }
}

/// See LoadData.
UNMOOR_COMMON void loadFractals(const LocalHandle &dst, const LocalHandle &src, Element element, const AscendC::LoadData2DParams &p,
                                SourceLoc where) {
  const Call call("LoadData", PIPE_MTE1, where);
  liveRegion(call.c, call.at, dst, "dst");
  const Space space = dst.space();
  call.require(space == Space::L0A || space == Space::L0B, "position", "dst", "a tensor in A2 or B2",
               nameOf(dst.position), "load into a tensor of TQue<TPosition::A2> or TQue<TPosition::B2>");
  call.operand(dst, "dst", space);
  call.operand(src, "src", Space::L1);
  call.require(!p.ifTranspose || element.size == 2, "dtype", "src", "a 2-byte type for ifTranspose",
               nameOf(element.type), "store the matrix transposed, or use half or bfloat16_t");
  call.require(p.addrMode == 0, "limit", "addrMode", "0 (growing addresses)", std::to_string(p.addrMode), "use 0");
  Range from = call.range(src, "src", Access::Look, FRACTAL, uint64_t{p.startIndex} * FRACTAL);
  from.inner = p.repeatTimes;
  from.innerStride = int64_t{p.srcStride} * FRACTAL;
  Range to = call.range(dst, "dst", Access::Touch, FRACTAL);
  to.inner = p.repeatTimes;
  to.innerStride = (int64_t{p.dstGap} + 1) * FRACTAL;
  const auto eachFractal = [=](auto &&move) {
    for (uint32_t i = 0; i < p.repeatTimes; i++)
      move(to.begin + static_cast<uint64_t>(i * to.innerStride), from.begin + static_cast<uint64_t>(i * from.innerStride));
  };
  LocalMemory *const target = &call.c.local(space), *const source = &call.c.local(Space::L1);
  const auto moveAll = [=](std::vector<uint8_t> LocalMemory::*bytes) {
    eachFractal([&](uint64_t out, uint64_t in) {
      uint8_t *const into = (target->*bytes).data() + out, *const origin = (source->*bytes).data() + in;
      if (p.ifTranspose) transposeFractal(into, origin);
      else std::memcpy(into, origin, FRACTAL);
    });
  };
  call.issue({from}, {to}, [=] { moveAll(&LocalMemory::data); });
  moveAll(&LocalMemory::state);
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Copies fractals startIndex, startIndex + srcStride, ... from L1; ifTranspose turns each 16x16 fractal.
/// The order of the fractals is the caller's business, and decides what a product computes.
template <typename T>
void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2DParams &p,
                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  unmoor::ascend::detail::loadFractals(dst.handle, src.handle, unmoor::ascend::detail::elementOf<T>(), p, where);
}

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// Loads a part of the matrix that windows of a picture make: row = window, column = place in the window, then channel.
template <class T>
void loadWindows(const Call &call, const AscendC::LocalTensor<T> &dst, const AscendC::LocalTensor<T> &src,
                        const AscendC::LoadData3DParamsV2<T> &p) {
  constexpr uint32_t c0 = 32 / sizeof(T);
  liveRegion(call.c, call.at, dst.handle, "dst");
  const Space space = dst.handle.space();
  call.require(space == Space::L0A || space == Space::L0B, "position", "dst", "a tensor in A2 or B2",
               nameOf(dst.handle.position), "load into a tensor of TQue<TPosition::A2> or TQue<TPosition::B2>");
  const bool turned = space == Space::L0B;  // each fractal lies the other way there
  call.require(!turned || sizeof(T) == 2, "dtype", "src", "a 2-byte type for B2", nameOf(dtypeOf<T>()), "use half or bfloat16_t");
  call.require(!p.enSmallK && !p.fMatrixCtrl, "not-modelled", "enSmallK, fMatrixCtrl", "false", "true", "leave them false");
  const bool whole = !turned && p.enTranspose;  // into A2 the matrix turns, and each of its fractals
  call.require(!whole || sizeof(T) != 1, "dtype", "src", "a type of 2 or 4 bytes for enTranspose", nameOf(dtypeOf<T>()),
               "use LoadDataWithTranspose for bytes");
  call.require(!whole || sizeof(T) != 4 || ceilDiv(p.kExtension, c0) % 2 == 0, "limit", "kExtension",
               "a multiple of 16 for enTranspose of 4-byte types: the rows of a fractal", std::to_string(p.kExtension), "load more columns");
  call.operand(dst, "dst", space);
  call.operand(src, "src", Space::L1);
  const uint32_t filterW = p.filterW + (p.filterSizeW ? 256u : 0u), filterH = p.filterH + (p.filterSizeH ? 256u : 0u);
  if (p.l1H == 0 || p.l1W == 0 || p.channelSize == 0 || p.kExtension == 0 || p.mExtension == 0 || filterW == 0 || filterH == 0)
    return;
  for (const auto &[name, stride] : {std::pair<const char *, uint8_t>{"strideW", p.strideW}, {"strideH", p.strideH}})
    call.limit(name, stride, 1, 63, "move the window by 1 to 63");
  call.limit("kStartPt modulo the columns of a fractal", p.kStartPt % c0, 0, 0, "begin at a fractal");
  const auto windows = [](uint32_t size, uint32_t before, uint32_t after, uint32_t filter, uint32_t dilation, uint32_t stride) {
    const uint32_t span = dilation * (filter - 1) + 1, whole = size + before + after;
    return whole < span ? 0u : (whole - span) / stride + 1;
  };
  const uint32_t across = windows(p.l1W, p.padList[0], p.padList[1], filterW, p.dilationFilterW, p.strideW);
  const uint32_t down = windows(p.l1H, p.padList[2], p.padList[3], filterH, p.dilationFilterH, p.strideH);
  const uint32_t c1 = ceilDiv(p.channelSize, c0), columns = c1 * filterH * filterW * c0;
  call.limit("mStartPt + mExtension, rounded up to 16", ceilDiv(p.mExtension, 16) * 16, 1, 65520, "load fewer rows");
  call.limit("kStartPt + kExtension", p.kStartPt + ceilDiv(p.kExtension, c0) * c0, 1, columns,
             "the matrix has channels, rounded up to 32 bytes, times places of the window as columns");
  // Where 32 bytes of a row come from: a pixel's C0 channels, or padding.
  struct Piece {
    uint64_t to;
    int64_t from;
  };
  std::vector<Piece> pieces;
  std::vector<Range> reads;
  const uint32_t m1 = ceilDiv(p.mExtension, 16), k1 = ceilDiv(p.kExtension, c0);
  for (uint32_t row = 0; row < m1 * 16; row++)
    for (uint32_t k = 0; k < k1; k++) {
      const uint32_t window = p.mStartPt + row, place = p.kStartPt / c0 + k;
      const uint32_t channel = place / (filterH * filterW), inside = place % (filterH * filterW);
      const int64_t y = int64_t{window / std::max(across, 1u)} * p.strideH + int64_t{inside / filterW} * p.dilationFilterH - p.padList[2];
      const int64_t x = int64_t{window % std::max(across, 1u)} * p.strideW + int64_t{inside % filterW} * p.dilationFilterW - p.padList[0];
      const bool padding = window >= across * down || y < 0 || x < 0 || y >= p.l1H || x >= p.l1W;
      const uint64_t to = (uint64_t{row / 16} * k1 + k) * FRACTAL + row % 16 * 32;
      const int64_t from = padding ? -1 : ((int64_t{channel} * p.l1H + y) * p.l1W + x) * 32;
      pieces.push_back({to, from});
      if (!padding) reads.push_back(call.range(src, "src", Access::Look, 32, static_cast<uint64_t>(from)));
    }
  const Range out = call.range(dst, "dst", Access::Touch, uint64_t{m1} * k1 * FRACTAL);
  const auto place = [=](uint8_t *into, const uint8_t *from, const uint8_t *padding) {
    if (whole) {
      std::vector<uint8_t> plain(uint64_t{m1} * k1 * FRACTAL);
      for (const Piece &piece : pieces) std::memcpy(plain.data() + piece.to, piece.from < 0 ? padding : from + piece.from, 32);
      const auto at = [](uint32_t row, uint32_t column, uint32_t across) {
        return (uint64_t{row / 16} * across + column / c0) * FRACTAL + (row % 16 * c0 + column % c0) * sizeof(T);
      };
      for (uint32_t row = 0; row < m1 * 16; row++)
        for (uint32_t column = 0; column < k1 * c0; column++)
          std::memcpy(into + at(column, row, m1 * 16 / c0), plain.data() + at(row, column, k1), sizeof(T));
      return;
    }
    for (const Piece &piece : pieces) std::memcpy(into + piece.to, piece.from < 0 ? padding : from + piece.from, 32);
    if (!turned) return;
    for (uint64_t at = 0; at < uint64_t{m1} * k1 * FRACTAL; at += FRACTAL) {
      uint8_t fractal[FRACTAL];
      transposeFractal(fractal, into + at);
      std::memcpy(into + at, fractal, FRACTAL);
    }
  };
  call.issue({reads.data(), reads.size()}, {out}, [=] {
    uint8_t padding[32];
    for (uint32_t i = 0; i < 32; i += sizeof(T)) storeAs<T>(padding + i, p.padValue);
    place(call.data(dst.handle), call.data(src.handle), padding);
  });
  uint8_t known[32];
  std::memset(known, Ready, 32);
  place(call.state(dst.handle), call.state(src.handle), known);
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Windows of a picture in L1 as rows of a matrix (img2col). With a filter of 1 x 1 the picture itself: a matrix in NZ with
/// l1H * l1W rows and channelSize columns, in L0A as A, in L0B as B with the rows along k.
template <typename T>
void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData3DParamsV2<T> &loadDataParams,
                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::loadWindows(d::Call("LoadData", PIPE_MTE1, where), dst, src, loadDataParams);
}

/// Fills blocks of L1 (32 bytes), L0A or L0B (512 bytes) with one value.
template <typename T>
void Fill(const LocalTensor<T> &dst, const InitConstValueParams<T> &p,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Space space = dst.handle.space();
  const d::Call call("Fill", space == d::Space::L1 ? PIPE_MTE2 : PIPE_MTE1, where);
  d::liveRegion(call.c, call.at, dst.handle, "dst");
  call.require(space == d::Space::L1 || space == d::Space::L0A || space == d::Space::L0B, "position", "dst",
               "a tensor in L1 (A1, B1), A2 or B2", d::nameOf(dst.handle.position), "use Duplicate in UB");
  call.operand(dst, "dst", space);
  call.limit("repeatTimes", p.repeatTimes, 0, 32767, "split the call");
  call.limit("blockNum", p.blockNum, 0, 32767, "split the call");
  const uint64_t block = space == d::Space::L1 ? 32 : d::FRACTAL, bytes = p.blockNum * block, step = bytes + p.dstGap * block;
  d::Range to = call.range(dst, "dst", d::Access::Write, bytes);
  to.inner = p.repeatTimes;
  to.innerStride = static_cast<int64_t>(step);
  call.issue({}, {to}, [=] {
    for (uint64_t repeat = 0; repeat < p.repeatTimes; repeat++)
      for (uint64_t at = 0; at < bytes; at += sizeof(T))
        d::storeAs<T>(call.data(dst.handle) + repeat * step + at, p.initValue);
  });
}
template <typename T>
void InitConstValue(const LocalTensor<T> &dst, const InitConstValueParams<T> &initConstValueParams,
                           unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  Fill(dst, initConstValueParams, where);
}

}  // namespace AscendC

namespace unmoor::ascend::detail {

/// How a product walks its operands.
struct CubeWalk {
  FractalWalk a, b;
  uint32_t m, n, k, kPadded;
};
struct CubeOperands {
  Dtype dst, filter;
  Element fm;
};

/// The product of elements of type T, in numbers of type W.
template <class T, class W>
void product(uint8_t *c, const uint8_t *left, const uint8_t *right, const CubeWalk &walk, bool accumulate, const uint8_t *bias) {
  std::vector<W> a, b;
  unpack<T>(a, left, walk.a, walk.m, walk.k, walk.kPadded);
  unpack<T>(b, right, walk.b, walk.n, walk.k, walk.kPadded);
  multiply(c, a, b, walk.m, walk.n, walk.kPadded, accumulate, bias);
}

/// C = A * B; without cmatrixInitVal (or with cmatrixSource) what C begins with is in L0C (in the BiasTable).
/// Only the first m, n and k rows, columns and products count. With m = 1 the hardware reads A as k elements in a row.
UNMOOR_COMMON void multiplyCube(const CubeOperands &types, const LocalHandle &dst, const LocalHandle &fm, const LocalHandle &filter,
                                const LocalHandle *bias, const AscendC::MmadParams &p, SourceLoc where) {
  Call call("Mmad", PIPE_M, where);
  const Dtype source = types.fm.type;
  const uint32_t size = types.fm.size;
  call.dtype(source, "fm", Dtypes{{Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::I8}}, "convert A first");
  call.dtype(types.filter, "filter", Dtypes{{source}}, "give A and B the same type");
  call.dtype(types.dst, "dst", Dtypes{{source == Dtype::I8 ? Dtype::I32 : Dtype::F32}},
             "use a float accumulator (int32_t for int8_t), cast in Fixpipe");
  call.operand(dst, "dst", Space::L0C, 1024);
  call.operand(fm, "fm", Space::L0A);
  call.operand(filter, "filter", Space::L0B);
  call.limit("m", p.m, 0, 4095, "split the rows");
  call.limit("n", p.n, 0, 4095, "split the columns");
  call.limit("k", p.k, 0, 4095, "split k and accumulate with cmatrixInitVal = false");
  call.require(bias != nullptr || !p.cmatrixSource || p.cmatrixInitVal, "bias", "cmatrixSource", "false without a bias",
               "true", "call Mmad(c, a, b, bias, params)");
  if (bias != nullptr) call.operand(*bias, "bias", Space::BT);
  if (p.m == 0 || p.n == 0 || p.k == 0) return;
  const uint32_t c0 = 32 / size;
  const bool vector = p.m == 1;
  const uint32_t kStep = source == Dtype::F32 && p.kDirectionAlign ? 2 * c0 : c0;
  const uint32_t kPadded = ceilDiv(p.k, kStep) * kStep, k1 = kPadded / c0;
  const uint32_t m1 = ceilDiv(p.m, 16), n1 = ceilDiv(p.n, 16);
  const FractalWalk aWalk = vector ? FractalWalk{32, 32} : FractalWalk{FRACTAL, k1 * FRACTAL};
  const FractalWalk bWalk{n1 * FRACTAL, FRACTAL};
  const bool accumulate = bias == nullptr && (!p.cmatrixInitVal || p.isBias);

  constexpr uint32_t side = 16;
  call.at.multiplies = uint64_t{m1} * n1 * side * side * kPadded * (size == 4 ? 4 : 2) / 2;
  std::vector<Range> reads, writes;
  pushFractals(reads, call.range(fm, "fm", Access::Read, 32), aWalk, p.m, p.k, size);
  pushFractals(reads, call.range(filter, "filter", Access::Read, 32), bWalk, p.n, p.k, size);
  for (uint32_t column = 0; column < n1; column++) {
    const uint32_t bytes = std::min(16u, p.n - column * 16u) * 4;
    Range rows = call.range(dst, "dst", Access::Write, bytes, uint64_t{column} * m1 * 16 * 16 * 4);
    rows.inner = p.m;
    rows.innerStride = 64;
    writes.push_back(rows);
    rows.access = Access::Read;
    if (accumulate) reads.push_back(rows);
  }
  if (bias != nullptr) reads.push_back(call.range(*bias, "bias", Access::Read, p.n * 4u));
  const LocalHandle first = bias == nullptr ? LocalHandle{} : *bias;
  const bool fromBias = bias != nullptr;
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    const CubeWalk walk{aWalk, bWalk, p.m, p.n, p.k, kPadded};
    uint8_t *const out = call.data(dst);
    const uint8_t *const left = call.data(fm), *const right = call.data(filter), *const start = fromBias ? call.data(first) : nullptr;
    switch (source) {
      case Dtype::F16: return product<Half, float>(out, left, right, walk, accumulate, start);
      case Dtype::Bf16: return product<Bfloat16, float>(out, left, right, walk, accumulate, start);
      case Dtype::F32: return product<float, float>(out, left, right, walk, accumulate, start);
      default: return product<int8_t, int32_t>(out, left, right, walk, accumulate, start);
    }
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

template <typename T, typename U, typename S>
void Mmad(const LocalTensor<T> &dst, const LocalTensor<U> &fm, const LocalTensor<S> &filter,
                 const MmadParams &mmadParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::multiplyCube({d::dtypeOf<T>(), d::dtypeOf<S>(), d::elementOf<U>()}, dst.handle, fm.handle, filter.handle, nullptr, mmadParams, where);
}
/// C = A * B + bias: one number for each column, from the BiasTable (C2).
template <typename T, typename U, typename S, typename V>
void Mmad(const LocalTensor<T> &dst, const LocalTensor<U> &fm, const LocalTensor<S> &filter,
                 const LocalTensor<V> &bias, const MmadParams &mmadParams,
                 unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  static_assert(std::is_same_v<T, V>, "the bias has the accumulator's type: float, or int32_t for int8_t");
  d::multiplyCube({d::dtypeOf<T>(), d::dtypeOf<S>(), d::elementOf<U>()}, dst.handle, fm.handle, filter.handle, &bias.handle, mmadParams,
                  where);
}

}  // namespace AscendC
