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
inline void pushFractals(std::vector<Range> &out, const Range &base, FractalWalk walk, uint32_t rows, uint32_t k,
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
inline void unpack(std::vector<W> &out, const uint8_t *from, FractalWalk walk, uint32_t rows, uint32_t k,
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
inline void multiply(uint8_t *c, const std::vector<W> &a, const std::vector<W> &b, uint32_t m, uint32_t n, uint32_t k,
                     bool accumulate) {
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
      if (accumulate) std::memcpy(sum, out, width * sizeof(W));
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

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Copies fractals startIndex, startIndex + srcStride, ... from L1; ifTranspose turns each 16x16 fractal.
/// The order of the fractals is the caller's business, and decides what a product computes.
template <typename T>
inline void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2DParams &p,
                     unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("LoadData", PIPE_MTE1, where);
  d::liveRegion(call.c, call.at, dst.handle, "dst");
  const d::Space space = dst.handle.space();
  call.require(space == d::Space::L0A || space == d::Space::L0B, "position", "dst", "a tensor in A2 or B2",
               d::nameOf(dst.handle.position), "load into a tensor of TQue<TPosition::A2> or TQue<TPosition::B2>");
  call.operand(dst, "dst", space);
  call.operand(src, "src", d::Space::L1);
  call.require(!p.ifTranspose || sizeof(T) == 2, "dtype", "src", "a 2-byte type for ifTranspose",
               d::nameOf(d::dtypeOf<T>()), "store the matrix transposed, or use half or bfloat16_t");
  call.require(p.addrMode == 0, "limit", "addrMode", "0 (growing addresses)", std::to_string(p.addrMode), "use 0");
  d::Range from = call.range(src, "src", d::Access::Look, d::FRACTAL, uint64_t{p.startIndex} * d::FRACTAL);
  from.inner = p.repeatTimes;
  from.innerStride = int64_t{p.srcStride} * d::FRACTAL;
  d::Range to = call.range(dst, "dst", d::Access::Touch, d::FRACTAL);
  to.inner = p.repeatTimes;
  to.innerStride = (int64_t{p.dstGap} + 1) * d::FRACTAL;
  const auto eachFractal = [=](auto &&move) {
    for (uint32_t i = 0; i < p.repeatTimes; i++)
      move(to.begin + static_cast<uint64_t>(i * to.innerStride), from.begin + static_cast<uint64_t>(i * from.innerStride));
  };
  d::LocalMemory *const target = &call.c.local(space), *const source = &call.c.local(d::Space::L1);
  const auto moveAll = [=](std::vector<uint8_t> d::LocalMemory::*bytes) {
    eachFractal([&](uint64_t out, uint64_t in) {
      uint8_t *const into = (target->*bytes).data() + out, *const origin = (source->*bytes).data() + in;
      if (p.ifTranspose) d::transposeFractal(into, origin);
      else std::memcpy(into, origin, d::FRACTAL);
    });
  };
  call.issue({from}, {to}, [=] { moveAll(&d::LocalMemory::data); });
  moveAll(&d::LocalMemory::state);
}

/// C = A * B, or C += A * B without cmatrixInitVal. Only the first m, n and k rows, columns and products count.
/// With m = 1 the hardware reads A as k elements in a row, not as fractals.
template <typename T, typename U, typename S>
inline void Mmad(const LocalTensor<T> &dst, const LocalTensor<U> &fm, const LocalTensor<S> &filter,
                 const MmadParams &p, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::Call call("Mmad", PIPE_M, where);
  constexpr bool integers = std::is_same_v<U, int8_t>;
  using W = std::conditional_t<integers, int32_t, float>;
  call.dtype<U>("fm", d::Dtypes{{d::Dtype::F16, d::Dtype::Bf16, d::Dtype::F32, d::Dtype::I8}}, "convert A first");
  call.dtype<S>("filter", d::Dtypes{{d::dtypeOf<U>()}}, "give A and B the same type");
  call.dtype<T>("dst", d::Dtypes{{d::dtypeOf<W>()}}, "use a float accumulator (int32_t for int8_t), cast in Fixpipe");
  call.operand(dst, "dst", d::Space::L0C, 1024);
  call.operand(fm, "fm", d::Space::L0A);
  call.operand(filter, "filter", d::Space::L0B);
  call.limit("m", p.m, 0, 4095, "split the rows");
  call.limit("n", p.n, 0, 4095, "split the columns");
  call.limit("k", p.k, 0, 4095, "split k and accumulate with cmatrixInitVal = false");
  call.require(!p.cmatrixSource, "not-modelled", "cmatrixSource", "false", "true (bias from the BiasTable)",
               "add the bias after the product");
  if (p.m == 0 || p.n == 0 || p.k == 0) return;
  constexpr uint32_t c0 = 32 / sizeof(U);
  const bool vector = p.m == 1;
  const uint32_t kStep = std::is_same_v<U, float> && p.kDirectionAlign ? 2 * c0 : c0;
  const uint32_t kPadded = d::ceilDiv(p.k, kStep) * kStep, k1 = kPadded / c0;
  const uint32_t m1 = d::ceilDiv(p.m, 16), n1 = d::ceilDiv(p.n, 16);
  const d::FractalWalk aWalk = vector ? d::FractalWalk{32, 32} : d::FractalWalk{d::FRACTAL, k1 * d::FRACTAL};
  const d::FractalWalk bWalk{n1 * d::FRACTAL, d::FRACTAL};
  const bool accumulate = !p.cmatrixInitVal || p.isBias;

  constexpr uint32_t side = 16;
  call.at.multiplies = uint64_t{m1} * n1 * side * side * kPadded * (sizeof(U) == 4 ? 4 : 2) / 2;
  std::vector<d::Range> reads, writes;
  d::pushFractals(reads, call.range(fm, "fm", d::Access::Read, 32), aWalk, p.m, p.k, sizeof(U));
  d::pushFractals(reads, call.range(filter, "filter", d::Access::Read, 32), bWalk, p.n, p.k, sizeof(S));
  for (uint32_t column = 0; column < n1; column++) {
    const uint32_t bytes = std::min(16u, p.n - column * 16u) * 4;
    d::Range rows = call.range(dst, "dst", d::Access::Write, bytes, uint64_t{column} * m1 * 16 * 16 * 4);
    rows.inner = p.m;
    rows.innerStride = 64;
    writes.push_back(rows);
    rows.access = d::Access::Read;
    if (accumulate) reads.push_back(rows);
  }
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    if constexpr (d::dtypeOf<U>() == d::dtypeOf<S>() && sizeof(T) == 4) {
      std::vector<W> a, b;
      d::unpack<U>(a, call.data(fm.handle), aWalk, p.m, p.k, kPadded);
      d::unpack<S>(b, call.data(filter.handle), bWalk, p.n, p.k, kPadded);
      d::multiply(call.data(dst.handle), a, b, p.m, p.n, kPadded, accumulate);
    }
  });
}

}  // namespace AscendC
