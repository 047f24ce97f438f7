// Sorting, merging, gathering, transposing, activations: values against plain loops for several orders of the pipes, and
// wrong operands.
#include <algorithm>

#include "kernels.h"

namespace {

void done() { PipeBarrier<PIPE_ALL>(); }

/// Scratch of a core, handed out piece by piece.
struct Scratch {
  TPipe pipe;
  TBuf<TPosition::VECCALC> memory;
  uint32_t used = 0;
  Scratch() { pipe.InitBuffer(memory, 64 * 1024); }
  template <class T> LocalTensor<T> empty(uint32_t n) {
    const uint32_t at = used;
    used += (n * static_cast<uint32_t>(sizeof(T)) + 255) / 256 * 256;
    return memory.GetWithOffset<T>(n, at);
  }
  template <class T> LocalTensor<T> filled(const std::vector<T> &values) {
    auto out = empty<T>(static_cast<uint32_t>(values.size()));
    for (uint32_t i = 0; i < values.size(); i++) out.SetValue(i, values[i]);
    done();
    return out;
  }
};

std::function<void()> passes(std::function<void(Scratch &)> body) {
  return [=] {
    for (uint64_t seed = 0; seed < 6; seed++) {
      Device device;
      device.setSeed(seed);
      kernelBody = [&] {
        Scratch s;
        body(s);
      };
      device.launch("arrange", KERNEL_TYPE_AIV_ONLY, 1, kernel);
    }
  };
}

template <class T> std::vector<T> values(uint32_t n, uint32_t seed) {
  std::vector<T> out;
  for (float one : randoms(n, seed)) out.push_back(T(one * 8));
  return out;
}
std::vector<uint32_t> indices(uint32_t n, uint32_t first = 0) {
  std::vector<uint32_t> out(n);
  for (uint32_t i = 0; i < n; i++) out[i] = first + i;
  return out;
}

/// The order that a sort has to find: larger values first, of equal ones the earlier.
template <class T> std::vector<uint32_t> ranking(const std::vector<T> &of) {
  auto order = indices(static_cast<uint32_t>(of.size()));
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return float(of[a]) > float(of[b]); });
  return order;
}

template <class T> void expectSorted(const LocalTensor<T> &pairs, const std::vector<T> &of, uint32_t from, uint32_t n) {
  const auto order = ranking(of);
  auto ids = pairs.template ReinterpretCast<uint32_t>();
  for (uint32_t i = from; i < n; i++) {
    expectNear("value", i, double(pairs.GetValue(i * (8 / sizeof(T)))), double(of[order[i]]), 0);
    expectNear("index", i, ids.GetValue(2 * i + 1), order[i], 0);
  }
}

/// Groups of 32 with Sort32, four of them with one MrgSort, and the rest with another.
template <class T> void merge(Scratch &s) {
  const uint32_t n = 160;
  const auto in = values<T>(n, 11);
  auto x = s.filled(in);
  auto ids = s.filled(indices(n));
  auto groups = s.empty<T>(n * 8 / sizeof(T)), four = s.empty<T>(n * 8 / sizeof(T)), all = s.empty<T>(n * 8 / sizeof(T));
  constexpr uint32_t list = 32 * 8 / sizeof(T);
  Sort32(groups, x, ids, n / 32);
  done();
  const uint16_t lengths[4] = {32, 32, 32, 32};
  MrgSort(four, MrgSortSrcList<T>(groups, groups[list], groups[2 * list], groups[3 * list]),
          MrgSort4Info(lengths, false, 15, 1));
  done();
  const uint16_t two[4] = {128, 32, 0, 0};
  MrgSort(all, MrgSortSrcList<T>(four, groups[4 * list], four, four), MrgSort4Info(two, false, 3, 1));
  done();
  expectSorted(all, in, 0, n);
  uint16_t taken[4];
  GetMrgSortResult(taken[0], taken[1], taken[2], taken[3]);
  expectNear("taken", 0, taken[0], 128, 0);
  expectNear("taken", 1, taken[1], 32, 0);
}

/// Two repeats of four short lists that follow each other.
void mergeRepeats(Scratch &s) {
  const auto in = values<float>(256, 12);
  auto x = s.filled(in);
  auto ids = s.filled(indices(256));
  auto groups = s.empty<float>(512), out = s.empty<float>(512);
  Sort32(groups, x, ids, 8);
  done();
  const uint16_t lengths[4] = {32, 32, 32, 32};
  MrgSort(out, MrgSortSrcList<float>(groups, groups[64], groups[128], groups[192]), MrgSort4Info(lengths, false, 15, 2));
  done();
  for (uint32_t half : {0u, 1u})
    for (uint32_t i = 1; i < 128; i++) {
      const uint32_t at = half * 256 + 2 * i;
      if (out.GetValue(at) > out.GetValue(at - 2)) throw Mismatch("a repeat does not descend");
    }
}

/// Merging stops where the first list ends, and what lies behind is unwritten.
void mergeSuspended(Scratch &s) {
  const auto a = s.filled<float>({9, 0, 8, 0}), b = s.filled<float>({8.5f, 0, 1, 0, 0.5f, 0, 0.25f, 0});
  auto out = s.empty<float>(12);
  const uint16_t lengths[4] = {2, 4, 0, 0};
  MrgSort(out, MrgSortSrcList<float>(a, b, a, a), MrgSort4Info(lengths, true, 3, 1));
  uint16_t taken[4];
  GetMrgSortResult(taken[0], taken[1], taken[2], taken[3]);
  done();
  expectNear("taken", 0, taken[0], 2, 0);
  expectNear("taken", 1, taken[1], 1, 0);
  const double want[] = {9, 8.5, 8};
  for (uint32_t i = 0; i < 3; i++) expectNear("merged", i, out.GetValue(2 * i), want[i], 0);
}

template <class T> void sortWhole(Scratch &s) {
  const uint32_t n = 96;
  const auto in = values<T>(n, 13);
  auto x = s.filled(in);
  auto ids = s.filled(indices(n));
  auto sorted = s.empty<T>(n * 8 / sizeof(T)), work = s.empty<T>(n * 8 / sizeof(T)), best = s.empty<T>(n);
  auto order = s.empty<uint32_t>(n);
  LocalTensor<T> together;
  Concat(together, x, work, n / 32);
  Sort<T, true>(sorted, together, ids, work, n / 32);
  done();
  expectSorted(sorted, in, 0, n);
  Extract(best, order, sorted, n / 32);
  done();
  const auto want = ranking(in);
  for (uint32_t i = 0; i < n; i++) {
    expectNear("value", i, double(best.GetValue(i)), double(in[want[i]]), 0);
    expectNear("index", i, order.GetValue(i), want[i], 0);
  }
  Sort<T, false>(sorted, together, ids, work, n / 32);
  done();
  const auto third = ranking(std::vector<T>(in.begin() + 32, in.begin() + 64));
  auto pairs = sorted.template ReinterpretCast<uint32_t>();
  for (uint32_t i = 0; i < 32; i++) expectNear("index in a group", i, pairs.GetValue(64 + 2 * i + 1), 32 + third[i], 0);
}

void gathered(Scratch &s) {
  const auto in = values<float>(128, 14);
  auto x = s.filled(in), out = s.empty<float>(128);
  uint64_t count = 0;
  GatherMask(out, x, 2, false, 0, GatherMaskParams(1, 2, 8, 0), count);
  done();
  expectNear("odd ones", 0, static_cast<double>(count), 64, 0);
  for (uint32_t i = 0; i < 64; i++) expectNear("odd ones", i, out.GetValue(i), in[2 * i + 1], 0);
  // The pairs of a sort: every second of 70 elements.
  done();
  GatherMask(out, x, 1, true, 70, GatherMaskParams(1, 1, 8, 0), count);
  done();
  expectNear("values", 0, static_cast<double>(count), 35, 0);
  for (uint32_t i = 0; i < 35; i++) expectNear("values", i, out.GetValue(i), in[2 * i], 0);
  done();
  GatherMask(out, x, 6, false, 0, GatherMaskParams(1, 1, 8, 0), count);
  done();
  for (uint32_t i = 0; i < 16; i++) expectNear("fourth of four", i, out.GetValue(i), in[4 * i + 3], 0);
  // Bits in a tensor, from a comparison that the scalar unit never waits for.
  auto bits = s.empty<uint32_t>(16);
  done();
  CompareScalar(bits.ReinterpretCast<uint8_t>(), x, 1.0f, CMPMODE::GT, 128);
  PipeBarrier<PIPE_V>();
  GatherMask(out, x, bits, true, 128, GatherMaskParams(1, 1, 8, 8), count);
  done();
  uint32_t n = 0;
  for (float one : in)
    if (one > 1) expectNear("larger than one", n, out.GetValue(n), one, 0), n++;
  expectNear("larger than one", 0, static_cast<double>(count), n, 0);
}

void transposed(Scratch &s) {
  const auto in = values<half>(256, 15);
  auto x = s.filled(in), out = s.empty<half>(256);
  Transpose(out, x);
  Transpose(x, x);
  done();
  for (uint32_t i = 0; i < 256; i++) {
    expectNear("transposed", i, out.GetValue(i), in[i % 16 * 16 + i / 16], 0);
    expectNear("in place", i, x.GetValue(i), in[i % 16 * 16 + i / 16], 0);
  }
}

void pairs(Scratch &s) {
  const auto in = values<float>(128, 16);
  auto x = s.filled(in), out = s.empty<float>(64);
  PairReduceSum(out, x, 2, 64, 1, 1, 8);
  done();
  for (uint32_t i = 0; i < 64; i++) expectNear("pair", i, out.GetValue(i), in[2 * i] + in[2 * i + 1], 1e-6);
}

void shifted(Scratch &s) {
  auto x = s.filled<int32_t>({1, -8, 7, 1 << 30, 5, 6, 7, 8});
  auto bits = s.filled<uint16_t>({0, 1, 0xff00, 0xffff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  auto left = s.empty<int32_t>(8), right = s.empty<int32_t>(8);
  ShiftLeft(left, x, 2, 8);
  ShiftRight(right, x, 2, 8);
  Not(bits, bits, 16);
  done();
  const int32_t doubled[] = {4, -32, 28, 0}, halved[] = {0, -2, 1, 1 << 28};
  const uint16_t turned[] = {0xffff, 0xfffe, 0x00ff, 0};
  for (uint32_t i = 0; i < 4; i++) {
    expectNear("left", i, left.GetValue(i), doubled[i], 0);
    expectNear("right", i, right.GetValue(i), halved[i], 0);
    expectNear("not", i, bits.GetValue(i), turned[i], 0);
  }
}

void activations(Scratch &s) {
  const uint32_t n = 40;
  const auto in = values<float>(n, 17), gate = values<float>(n, 18);
  auto x = s.filled(in), g = s.filled(gate), out = s.empty<float>(n);
  auto work = s.empty<uint8_t>(256);
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto same = [&](const char *what, auto want) {
    done();
    for (uint32_t i = 0; i < n; i++) expectNear(what, i, out.GetValue(i), want(in[i], gate[i]), 1e-6);
    done();
  };
  Sigmoid(out, x, work, n), same("Sigmoid", [&](double p, double) { return sigmoid(p); });
  Silu(out, x, n), same("Silu", [&](double p, double) { return p * sigmoid(p); });
  SwiGLU(out, x, g, 1.5f, n), same("SwiGLU", [&](double p, double q) { return p * q * sigmoid(1.5 * q); });
  const auto gelu = [](double v) { return v * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v))) / 2; };
  Tanh(out, x, work, n), same("Tanh", [](double p, double) { return std::tanh(p); });
  Gelu(out, x, n), same("Gelu", [&](double p, double) { return gelu(p); });
  GeGLU(out, x, g, work, n), same("GeGLU", [&](double p, double q) { return p * gelu(q); });
  ReGlu(out, x, g, n), same("ReGlu", [](double p, double q) { return p * std::max(q, 0.0); });
  LeakyRelu(out, x, 0.125f, n), same("LeakyRelu", [&](double p, double) { return p < 0 ? p / 8 : p; });
}

/// Columns and rows spread over a matrix, and one row of sums scaled by column.
void spread(Scratch &s) {
  const auto in = values<float>(8, 19);
  auto x = s.filled(in), out = s.empty<float>(8 * 24);
  auto work = s.empty<uint8_t>(256);
  const uint32_t column[] = {8, 1}, row[] = {1, 8}, all[] = {8, 24}, down[] = {3, 8};
  Broadcast<float, 2, 1>(out, x, all, column, work);
  done();
  for (uint32_t i = 0; i < 8 * 24; i++) expectNear("column", i, out.GetValue(i), in[i / 24], 0);
  done();
  Broadcast<float, 2, 0>(out, x, down, row);
  done();
  for (uint32_t i = 0; i < 3 * 8; i++) expectNear("row", i, out.GetValue(i), in[i % 8], 0);
  std::vector<int32_t> sums(4 * 8);
  for (int32_t i = 0; i < 32; i++) sums[static_cast<size_t>(i)] = (i - 11) * 100;
  std::vector<uint64_t> bits(8);
  for (size_t i = 0; i < 8; i++) std::memcpy(&bits[i], &in[i], 4);
  auto sum = s.filled(sums);
  auto factors = s.filled(bits);
  auto halves = s.empty<half>(4 * 16);
  done();
  AscendDequant(out, sum, x, work, {4, 8, 5});
  AscendDequant(halves, sum, factors, {4, 8, 8});
  done();
  for (uint32_t i = 0; i < 32; i++) {
    if (i % 8 < 5) expectNear("scaled", i, out.GetValue(i), double(sums[i]) * in[i % 8], 1e-6);
    expectNear("halves", i, static_cast<float>(halves.GetValue(i / 8 * 16 + i % 8)), double(sums[i]) * in[i % 8], 1e-3);
  }
  done();
  // One row of 32 stands for four of 8.
  AscendDequant(out, sum, x, {1, 32, 8});
  done();
  for (uint32_t i = 0; i < 32; i++) expectNear("rows", i, out.GetValue(i), double(sums[i]) * in[i % 8], 1e-6);
  done();
  AscendDequant(out, sum, 0.5f, {4, 8, 8});
  done();
  for (uint32_t i = 0; i < 32; i++) expectNear("one factor", i, out.GetValue(i), sums[i] / 2.0, 0);
}

std::function<void()> refused(std::function<void(Scratch &)> body) {
  return aiv([=] {
    Scratch s;
    body(s);
  });
}

Cases cases() {
  Cases all;
  all["merge"] = passes([](Scratch &s) { merge<float>(s), merge<half>(s), mergeRepeats(s), mergeSuspended(s); });
  all["sort"] = passes([](Scratch &s) { sortWhole<float>(s), sortWhole<half>(s); });
  all["gather"] = passes(gathered);
  all["transpose"] = passes(transposed);
  all["pairs"] = passes(pairs);
  all["shift"] = passes(shifted);
  all["activations"] = passes(activations);
  all["spread"] = passes(spread);

  const auto list = [](std::function<void(LocalTensor<float>, LocalTensor<float>)> body) {
    return refused([=](Scratch &s) {
      auto x = s.filled(std::vector<float>(64, 1.0f));
      body(x, s.empty<float>(64));
    });
  };
  static const uint16_t eight[4] = {8, 8, 8, 8};
  all["tanh in place"] = refused([](Scratch &s) {
    auto x = s.filled(values<float>(8, 1));
    Tanh(x, x, 8);
  });
  all["gated in place"] = refused([](Scratch &s) {
    auto x = s.filled(values<float>(8, 1)), g = s.filled(values<float>(8, 2));
    GeGLU(g, x, g, 8);
  });
  all["spread, another shape"] = refused([](Scratch &s) {
    auto x = s.filled(values<float>(8, 1)), out = s.empty<float>(64);
    const uint32_t from[] = {8, 1}, to[] = {4, 16};
    Broadcast<float, 2, 1>(out, x, to, from);
  });
  all["spread, rows not whole"] = refused([](Scratch &s) {
    auto x = s.filled(values<float>(8, 1)), out = s.empty<float>(64);
    const uint32_t from[] = {1, 5}, to[] = {4, 5};
    Broadcast<float, 2, 0>(out, x, to, from);
  });
  all["scaled, more columns than there are"] = refused([](Scratch &s) {
    auto sums = s.filled(std::vector<int32_t>(32, 1));
    auto x = s.filled(values<float>(16, 1)), out = s.empty<float>(64);
    AscendDequant(out, sums, x, {4, 8, 9});
  });
  all["scaled, the wrong factors"] = refused([](Scratch &s) {
    auto sums = s.filled(std::vector<int32_t>(32, 1));
    auto x = s.filled(values<float>(16, 1));
    auto out = s.empty<half>(64);
    AscendDequant(out, sums, x, {4, 8, 8});
  });
  all["scaled, read beyond"] = refused([](Scratch &s) {
    auto sums = s.filled(std::vector<int32_t>(32, 1));
    auto x = s.filled(values<float>(16, 1)), out = s.empty<float>(64);
    AscendDequant(out, sums, x, {4, 8, 5});
    done();
    Adds(out, out, 1.0f, 8);
  });
  all["merge of unsorted"] = refused([](Scratch &s) {
    auto x = s.filled<float>({1, 0, 2, 0});
    const uint16_t lengths[4] = {2, 2, 0, 0};
    MrgSort(s.empty<float>(8), MrgSortSrcList<float>(x, x, x, x), MrgSort4Info(lengths, false, 3, 1));  // HERE merge of unsorted
  });
  all["merge of one"] = list([](auto x, auto y) {
    MrgSort(y, MrgSortSrcList<float>(x, x, x, x), MrgSort4Info(eight, false, 1, 1));  // HERE merge of one
  });
  all["merge of nothing"] = list([](auto x, auto y) {
    const uint16_t lengths[4] = {8, 0, 0, 0};
    MrgSort(y, MrgSortSrcList<float>(x, x, x, x), MrgSort4Info(lengths, false, 3, 1));  // HERE merge of nothing
  });
  all["merge onto itself"] = list([](auto x, auto) {
    MrgSort(x, MrgSortSrcList<float>(x, x[16], x, x), MrgSort4Info(eight, false, 3, 1));  // HERE merge onto itself
  });
  all["merge of scattered repeats"] = list([](auto x, auto y) {
    MrgSort(y, MrgSortSrcList<float>(x, x, x, x), MrgSort4Info(eight, false, 15, 2));  // HERE merge of scattered repeats
  });
  all["merge of few repeats"] = list([](auto x, auto y) {
    MrgSort(y, MrgSortSrcList<float>(x, x[16], x, x), MrgSort4Info(eight, false, 3, 2));  // HERE merge of few repeats
  });
  all["merge of integers"] = list([](auto x, auto y) {
    auto i = x.template ReinterpretCast<int32_t>();
    MrgSort(y.template ReinterpretCast<int32_t>(), MrgSortSrcList<int32_t>(i, i, i, i), MrgSort4Info(eight, false, 3, 1));  // HERE merge of integers
  });
  all["merged, read beyond"] = refused([](Scratch &s) {
    const auto a = s.filled<float>({9, 0, 8, 0}), b = s.filled<float>({8.5f, 0, 1, 0});
    auto out = s.empty<float>(8);
    const uint16_t lengths[4] = {2, 2, 0, 0};
    MrgSort(out, MrgSortSrcList<float>(a, b, a, a), MrgSort4Info(lengths, true, 3, 1));
    done();
    out.GetValue(6);  // HERE merged, read beyond
  });
  all["sort, work"] = refused([](Scratch &s) {
    auto x = s.filled(std::vector<float>(64, 1.0f));
    auto ids = s.filled(indices(64));
    auto work = s.memory.GetWithOffset<float>(32, 64 * 1024 - 128);
    Sort<float, true>(s.empty<float>(128), x, ids, work, 2);  // HERE sort, work
  });
  all["gather pattern"] = list([](auto x, auto y) {
    uint64_t count = 0;
    GatherMask(y, x, static_cast<uint8_t>(8), false, 0, GatherMaskParams(1, 1, 8, 0), count);  // HERE gather pattern
  });
  all["gather of bytes"] = list([](auto x, auto y) {
    uint64_t count = 0;
    GatherMask(y.template ReinterpretCast<int8_t>(), x.template ReinterpretCast<int8_t>(), static_cast<uint8_t>(1), false, 0, GatherMaskParams(1, 1, 8, 0), count);  // HERE gather of bytes
  });
  all["transpose of floats"] = list([](auto x, auto y) {
    Transpose(y, x);  // HERE transpose of floats
  });
  all["shift of floats"] = list([](auto x, auto y) {
    ShiftLeft(y, x, 1.0f, 8);  // HERE shift of floats
  });
  all["activation of integers"] = list([](auto x, auto y) {
    Silu(y.template ReinterpretCast<int32_t>(), x.template ReinterpretCast<int32_t>(), 8);  // HERE activation of integers
  });
  return all;
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
