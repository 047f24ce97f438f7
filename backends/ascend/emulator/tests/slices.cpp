// DataCopy of slices, from fractals to rows, and with enhanced parameters.
#include "kernels.h"

namespace {

constexpr uint32_t ROWS = 3, COLUMNS = 87;

/// A kernel on UB of 4096 bytes, a matrix x of 3 x 87 floats (0, 1, 2, …) and a result y of as many, of which all bytes are written.
Numbers onMatrix(const std::function<void(LocalTensor<float>, GlobalTensor<float>, GlobalTensor<float>)> &body) {
  Numbers x(ROWS * COLUMNS), y(ROWS * COLUMNS, -1);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i);
  for (uint64_t seed = 0; seed < 5; seed++) {
    Device device;
    device.setSeed(seed);
    device.registerBuffer(x.data(), x.size() * 4, "x", true);
    device.registerBuffer(y.data(), y.size() * 4, "y", true);
    kernelBody = [&] {
      TPipe pipe;
      TBuf<TPosition::VECCALC> memory;
      pipe.InitBuffer(memory, 4096);
      GlobalTensor<float> in, out;
      in.SetGlobalBuffer(x.data(), x.size()), out.SetGlobalBuffer(y.data(), y.size());
      body(memory.Get<float>(), in, out);
    };
    device.launch("matrix", KERNEL_TYPE_AIV_ONLY, 1, kernel);
  }
  return y;
}

void filled() {
  SetFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
  WaitFlag<HardEvent::MTE2_MTE3>(EVENT_ID0);
}

/// Two pieces of 24 in rows 0 and 2, into UB side by side, and out again to other places.
void slices() {
  const Numbers y = onMatrix([](auto local, auto in, auto out) {
    const SliceInfo from[] = {{16, 70, 7, 3, COLUMNS}, {0, 2, 1, 1, ROWS}}, to[] = {{0, 47, 0, 3, 48}, {0, 1, 0, 1, 2}},
                    back[] = {{1, 51, 3, 3, COLUMNS}, {1, 2, 0, 1, ROWS}};
    DataCopy(local, in, to, from, 2);
    filled();
    DataCopy(out, local, back, to, 2);
  });
  expectAll("slices", y, [](size_t i) {
    const size_t row = i / COLUMNS, column = i % COLUMNS;
    if (row == 0 || column < 1 || column > 51 || (column > 24 && column < 28)) return -1.0;
    const size_t piece = column < 28 ? column - 1 : column - 28 + 31;
    return static_cast<double>((row - 1) * 2 * COLUMNS + 16 + piece);
  });
}

/// One axis is the default.
void line() {
  const Numbers y = onMatrix([](auto local, auto in, auto out) {
    const SliceInfo from[] = {{3, 34, 16, 1, 261}}, to[] = {{8, 31, 8, 1, 64}}, back[] = {{100, 131, 16, 1, 261}};
    DataCopy(local, in, to, from);
    filled();
    DataCopy(out, local, back, to);
  });
  expectAll("line", y, [](size_t i) { return (i >= 100 && i < 108) || (i >= 124 && i < 132) ? static_cast<double>(i - 97) : -1.0; });
}

/// Two matrices of 3 x 32, as fractals hold them, side by side into rows.
void fractals() {
  const Numbers y = onMatrix([](auto local, auto in, auto out) {
    // [matrix][block of 16 columns][row of 4][16]
    for (uint32_t block = 0; block < 4; block++)
      DataCopy(local[block / 2 * 256 + block % 2 * 64], in[block * 48], DataCopyParams(3, 2, 0, 0));
    filled();
    DataCopy(out, local, Nz2NdParamsFull(2, 3, 32, 1, 4, COLUMNS, 40));
  });
  expectAll("fractals", y, [](size_t i) {
    const size_t row = i / COLUMNS, column = i % COLUMNS, matrix = column / 40, at = column % 40;
    return matrix < 2 && at < 32 ? static_cast<double>(matrix * 96 + at / 16 * 48 + row * 16 + at % 16) : -1.0;
  });
}

/// The enhanced forms on all three ways do what the plain ones do.
void enhanced() {
  const Numbers y = onMatrix([](auto local, auto in, auto out) {
    const DataCopyParams blocks(2, 1, 1, 0);
    DataCopy(local, in, blocks, DataCopyEnhancedParams());
    SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
    const DataCopyEnhancedParams plain(BlockMode::BLOCK_MODE_NORMAL, DeqScale::DEQ_NONE, 0, 0, false, pad_t::PAD_NONE, 0);
    DataCopy(local[64], local, DataCopyParams(1, 2, 0, 0), plain);
    SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
    WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
    DataCopy(out, local[64], DataCopyParams(1, 2, 0, 0), DataCopyEnhancedParams());
  });
  expectAll("enhanced", y, [](size_t i) { return i < 8 ? i : i < 16 ? i + 8.0 : -1.0; });
}

/// A slice of x, of 3 x 87 floats here too, into UB.
std::function<void()> in(std::vector<SliceInfo> dst, std::vector<SliceInfo> src) {
  return [=] { onMatrix([&](auto local, auto x, auto) { DataCopy(local, x, dst.data(), src.data(), static_cast<uint32_t>(src.size())); }); };
}
std::function<void()> nz2nd(Nz2NdParamsFull params) {
  return vec<float>([=](auto a, auto) { DataCopy(output<float>(), a, params); });
}

Cases cases() {
  const SliceInfo piece(0, 7, 0, 1, 8), rows(0, 1, 0, 1, 2);
  DataCopyEnhancedParams matrix, scaled, relu;
  matrix.blockMode = BlockMode::BLOCK_MODE_MATRIX;
  scaled.deqScale = DeqScale::DEQ16;
  relu.isRelu = true;
  return {
      {"slices", slices},
      {"line", line},
      {"fractals-out", fractals},
      {"enhanced", enhanced},
      {"slice-end", in({piece}, {SliceInfo(0, 8, 0, 1, 87)})},
      {"slice-pieces", in({SliceInfo(0, 15, 0, 1, 16)}, {SliceInfo(0, 16, 8, 1, 87)})},
      {"slice-shape", in({piece}, {SliceInfo(80, 88, 0, 1, 87)})},
      {"slice-one-row", in({piece, SliceInfo(0, 0, 0, 1, 1)}, {SliceInfo(0, 7, 0, 1, 87), SliceInfo(1, 1, 0, 1, 3)})},
      {"slice-burst", in({piece, rows}, {SliceInfo(0, 7, 0, 1, 87), SliceInfo(0, 1, 0, 2, 3)})},
      {"slice-rows-burst", in({piece, SliceInfo(0, 1, 0, 2, 2)}, {SliceInfo(0, 7, 0, 1, 87), SliceInfo(0, 1, 0, 2, 3)})},
      {"slice-counts", in({piece, rows}, {SliceInfo(0, 7, 0, 1, 87), SliceInfo(0, 2, 0, 1, 3)})},
      {"slice-no-shape", in({piece}, {SliceInfo(0, 7, 0, 1)})},
      {"slice-start", in({SliceInfo(4, 11, 0, 1, 16)}, {SliceInfo(0, 7, 0, 1, 87)})},
      {"slice-gap", in({SliceInfo(0, 19, 4, 1, 24)}, {SliceInfo(0, 19, 4, 1, 87)})},
      {"slice-axes", in(std::vector<SliceInfo>(9, piece), std::vector<SliceInfo>(9, piece))},
      {"slice-many", in({piece, SliceInfo(0, 1999, 0, 1, 2000)}, {piece, SliceInfo(0, 1999, 0, 1, 2000)})},
      {"slice-range", in({piece, rows}, {SliceInfo(79, 86, 0, 1, 87), SliceInfo(2, 3, 0, 1, 4)})},
      {"slice-dtype", vec<int64_t>([=](auto a, auto) { DataCopy(a, input<int64_t>(), &piece, &piece); })},
      {"slice-place", vec<float>([=](auto a, auto) { DataCopy(a[4], input<float>(), &piece, &piece); })},
      {"slice-order", [=] {
         onMatrix([=](auto local, auto x, auto y) {
           DataCopy(local, x, &piece, &piece);
           DataCopy(y, local, &piece, &piece);  // HERE slice-order
         });
       }},
      {"fractals-columns", nz2nd(Nz2NdParamsFull(1, 4, 24, 1, 4, 24, 1))},
      {"fractals-rows", nz2nd(Nz2NdParamsFull(1, 0, 16, 1, 4, 16, 1))},
      {"fractals-step", nz2nd(Nz2NdParamsFull(1, 4, 16, 1, 4, 0, 1))},
      {"fractals-unwritten", nz2nd(Nz2NdParamsFull(2, 4, 16, 1, 4, 16, 64))},
      {"fractals-dtype", vec<int8_t>([](auto a, auto) { DataCopy(output<int8_t>(), a, Nz2NdParamsFull(1, 4, 16, 1, 4, 16, 1)); })},
      {"enhanced-matrix", vec<half>([=](auto a, auto) { DataCopy(a, input<half>(), DataCopyParams(1, 1, 0, 0), matrix); })},
      {"enhanced-scale", vec<half>([=](auto a, auto b) { DataCopy(b, a, DataCopyParams(1, 1, 0, 0), scaled); })},
      {"enhanced-relu", vec<half>([=](auto a, auto) { DataCopy(output<half>(), a, DataCopyParams(1, 1, 0, 0), relu); })},
  };
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
