// One wrong operand or number per case: each instruction asks for alignment, memory, element type and limits itself.
#include "kernels.h"

namespace {

/// A vector kernel with two filled tensors of 512 bytes, 512 bytes apart.
template <class T, class Body> std::function<void()> full(Body body) {
  return vec<T>([=](LocalTensor<T> a, LocalTensor<T> b) {
    DataCopy(b, input<T>(), 512 / sizeof(T));
    body(a, b);
  });
}
template <class Body> std::function<void()> floats(Body body) { return full<float>(body); }
template <class Body> std::function<void()> bfloats(Body body) { return full<bfloat16_t>(body); }
template <class Body> std::function<void()> integers(Body body) { return full<int32_t>(body); }

/// A cube kernel after a product, with its parameters still to break.
std::function<void()> fixpipe(std::function<void(FixpipeParamsV220 &)> change) {
  return cube([=](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    FixpipeParamsV220 p(16, 16, 16, 16, false);
    change(p);
    Fixpipe(output<float>(), c.l0c, p);
  });
}
std::function<void()> nd2nz(std::function<void(Nd2NzParams &)> change) {
  return cube([=](Cube &c) {
    Nd2NzParams p(1, 16, 16, 0, 16, 16, 1, 0);
    change(p);
    DataCopy(c.l1, input<half>(), p);
  });
}
std::function<void()> mmad(std::function<void(MmadParams &)> change) {
  return cube([=](Cube &c) {
    c.load();
    MmadParams p(16, 16, 16, 0, false, true);
    change(p);
    Mmad(c.l0c, c.l0a, c.l0b, p);
  });
}

template <class T> LocalTensor<uint8_t> bits(LocalTensor<T> t) { return t.template ReinterpretCast<uint8_t>(); }
template <class T> LocalTensor<uint32_t> words(LocalTensor<T> t) { return t.template ReinterpretCast<uint32_t>(); }
template <class T> LocalTensor<half> halves(LocalTensor<T> t) { return t.template ReinterpretCast<half>(); }

void copies(Cases &all) {
  all["copy too long"] = floats([](auto a, auto) { DataCopy(a, input<float>(), 65536 * 8); });
  all["copy of empty blocks"] = floats([](auto a, auto) { DataCopy(a, input<float>(), DataCopyParams(1, 0, 0, 0)); });
  all["copy to nothing"] = aiv([] { DataCopy(LocalTensor<float>(), input<float>(), 8); });
  all["copy in, dst"] = floats([](auto a, auto) { DataCopy(a[1], input<float>(), 8); });
  all["copy out, src"] = floats([](auto a, auto) { DataCopy(output<float>(), a[1], 8); });
  all["copy out, blocks"] = floats([](auto a, auto) { DataCopy(output<float>(), a, DataCopyParams(0, 1, 0, 0)); });
  all["copy within, dst"] = floats([](auto a, auto b) { DataCopy(b[1], a, 8); });
  all["copy within, src"] = floats([](auto a, auto b) { DataCopy(b, a[1], 8); });
  all["copy within, blocks"] = floats([](auto a, auto b) { DataCopy(b, a, DataCopyParams(0, 1, 0, 0)); });
  all["copy within, shifted"] = floats([](auto a, auto) { DataCopy(a[8], a, 64); });
  all["pad of nothing"] = floats([](auto a, auto) {
    DataCopyPad(output<float>(), a, DataCopyExtParams{1, 0, 0, 0, 0});
  });
  all["pad in, dst"] = floats([](auto a, auto) {
    DataCopyPad(a[1], input<float>(), DataCopyExtParams{1, 4, 0, 0, 0}, DataCopyPadExtParams<float>{});
  });
  all["pad in, left"] = floats([](auto a, auto) {
    DataCopyPad(a, input<float>(), DataCopyExtParams{1, 4, 0, 0, 0}, DataCopyPadExtParams<float>{true, 9, 0, 0});
  });
  all["pad out, src"] = floats([](auto a, auto) {
    DataCopyPad(output<float>(), a[1], DataCopyExtParams{1, 4, 0, 0, 0});
  });
  all["nd2nz, dst"] = cube([](Cube &c) { DataCopy(c.l1[1], input<half>(), Nd2NzParams(1, 16, 16, 0, 16, 16, 1, 0)); });
  all["nd2nz, ndNum"] = nd2nz([](auto &p) { p.ndNum = 4096; });
  all["nd2nz, nValue"] = nd2nz([](auto &p) { p.nValue = 16385; });
  all["nd2nz, dstNzC0Stride"] = nd2nz([](auto &p) { p.dstNzC0Stride = 0; });
  all["nd2nz, dstNzNStride"] = nd2nz([](auto &p) { p.dstNzNStride = 0; });
  all["nd2nz, dstNzMatrixStride"] = nd2nz([](auto &p) { p.dstNzMatrixStride = 16385; });
}

void products(Cases &all) {
  const auto one = LoadData2DParams(0, 1, 1, 0, 0, false, 0);
  all["load to nothing"] = cube([=](Cube &c) { LoadData(LocalTensor<half>(), c.l1, one); });
  all["load, dst"] = cube([=](Cube &c) { LoadData(c.l1, c.l1, one); });
  all["load, src"] = cube([=](Cube &c) { LoadData(c.l0a, c.l0b, one); });
  all["load, src alignment"] = cube([=](Cube &c) { LoadData(c.l0a, c.l1[1], one); });
  all["load, addrMode"] = cube([](Cube &c) { LoadData(c.l0a, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 1)); });
  all["mmad, A"] = cube([](Cube &c) {
    Mmad(c.l0c, c.l0a.ReinterpretCast<int16_t>(), c.l0b.ReinterpretCast<int16_t>(), MmadParams());
  });
  all["mmad, B"] = cube([](Cube &c) { Mmad(c.l0c, c.l0a, c.l0b.ReinterpretCast<bfloat16_t>(), MmadParams()); });
  all["mmad, dst"] = cube([](Cube &c) { Mmad(c.l0c[16], c.l0a, c.l0b, MmadParams()); });
  all["mmad, A in L0A"] = cube([](Cube &c) { Mmad(c.l0c, c.l0b, c.l0b, MmadParams()); });
  all["mmad, B in L0B"] = cube([](Cube &c) { Mmad(c.l0c, c.l0a, c.l0a, MmadParams()); });
  all["mmad, n"] = mmad([](auto &p) { p.n = 4096; });
  all["mmad, k"] = mmad([](auto &p) { p.k = 4096; });
  all["fixpipe, nSize"] = fixpipe([](auto &p) { p.nSize = 4096; });
  all["fixpipe, mSize"] = fixpipe([](auto &p) { p.mSize = 8193; });
  all["fixpipe, dstStride"] = fixpipe([](auto &p) { p.dstStride = 0; });
  all["fixpipe, channel split"] = fixpipe([](auto &p) { p.isChannelSplit = true; });
  all["fixpipe, types"] = cube([](Cube &c) {
    Fixpipe(output<int32_t>(), c.l0c, FixpipeParamsV220(16, 16, 16, 16, false));
  });
  all["fixpipe, strips"] = cube([](Cube &c) {
    Fixpipe<float, float, CFG_NZ>(output<float>(), c.l0c, FixpipeParamsV220(10, 16, 16, 32, false));
  });
  all["fixpipe, strips of matrices"] = cube([](Cube &c) {
    Fixpipe<float, float, CFG_NZ>(output<float>(), c.l0c,
                                  FixpipeParamsV220(16, 16, 16, 32, false, NoQuant, 0, 2, 0, 0, 0));
  });
  all["fixpipe to L1, type"] = cube([](Cube &c) {
    Fixpipe(c.l1.ReinterpretCast<float>(), c.l0c, FixpipeParamsV220(16, 16, 16, 16, false));
  });
  all["fixpipe to L1, dst"] = cube([](Cube &c) { Fixpipe(c.l0a, c.l0c, FixpipeParamsV220(16, 16, 16, 16, false)); });
}

void arithmetic(Cases &all) {
  all["binary, dst"] = floats([](auto a, auto b) { Add(b[1], a, a, 8); });
  all["binary, src0"] = floats([](auto a, auto b) { Add(b, a[1], a, 8); });
  all["binary, src1"] = floats([](auto a, auto b) { Add(b, a, a[1], 8); });
  all["binary, count"] = floats([](auto a, auto b) { Add(b, a, a, -1); });
  all["binary, shifted src0"] = floats([](auto a, auto b) { Add(a[8], a, b, 16); });
  all["binary, shifted src1"] = floats([](auto a, auto b) { Add(a[8], b, a, 16); });
  const BinaryRepeatParams binary;
  all["masked binary, type"] = bfloats([=](auto a, auto b) { Add(b, a, a, 16, 1, binary); });
  all["masked binary, dst"] = floats([=](auto a, auto b) { Add(b[1], a, a, 8, 1, binary); });
  all["masked binary, src0"] = floats([=](auto a, auto b) { Add(b, a[1], a, 8, 1, binary); });
  all["masked binary, src1"] = floats([=](auto a, auto b) { Add(b, a, a[1], 8, 1, binary); });
  all["bit-masked binary, type"] = bfloats([=](auto a, auto b) {
    uint64_t mask[2] = {1, 0};
    Add(b, a, a, mask, 1, binary);
  });
  all["bit mask of nothing"] = floats([=](auto a, auto b) {
    uint64_t mask[2] = {0, 1};
    Add(b, a, a, mask, 1, binary);
  });
  all["unary, type"] = bfloats([](auto a, auto b) { Exp(b, a, 8); });
  all["unary, dst"] = floats([](auto a, auto b) { Exp(b[1], a, 8); });
  all["unary, count"] = floats([](auto a, auto b) { Exp(b, a, -1); });
  all["masked unary, dst"] = floats([](auto a, auto b) { Exp(b[1], a, 8, 1, UnaryRepeatParams{}); });
  all["masked unary, src"] = floats([](auto a, auto b) { Exp(b, a[1], 8, 1, UnaryRepeatParams{}); });
  all["wider in place"] = floats([](auto a, auto) { Cast(a, halves(a), RoundMode::CAST_NONE, 16); });
  all["axpy, src type"] = full<bfloat16_t>([](auto a, auto b) { Axpy(b, a, bfloat16_t(1), 8); });
  all["axpy, dst type"] = floats([](auto a, auto b) { Axpy(halves(b), a, 1.0f, 8); });
  all["axpy, dst"] = floats([](auto a, auto b) { Axpy(b[1], a, 1.0f, 8); });
  all["axpy, src"] = floats([](auto a, auto b) { Axpy(b, a[1], 1.0f, 8); });
  all["axpy, count"] = floats([](auto a, auto b) { Axpy(b, a, 1.0f, -1); });
  all["axpy, shifted"] = floats([](auto a, auto) { Axpy(a[8], a, 1.0f, 16); });
  all["mul-add, src type"] = bfloats([](auto a, auto b) { MulAddDst(b, a, a, 8); });
  all["mul-add, dst type"] = floats([](auto a, auto b) { MulAddDst(halves(b), a, a, 8); });
  all["mul-add, dst"] = floats([](auto a, auto b) { MulAddDst(b[1], a, a, 8); });
  all["mul-add, src0"] = floats([](auto a, auto b) { MulAddDst(b, a[1], a, 8); });
  all["mul-add, src1"] = floats([](auto a, auto b) { MulAddDst(b, a, a[1], 8); });
  all["mul-add, count"] = floats([](auto a, auto b) { MulAddDst(b, a, a, -1); });
  all["mul-add, shifted src0"] = floats([](auto a, auto b) { MulAddDst(a[8], a, b, 16); });
  all["mul-add, shifted src1"] = floats([](auto a, auto b) { MulAddDst(a[8], b, a, 16); });
}

void movement(Cases &all) {
  all["duplicate, type"] = floats([](auto a, auto) { Duplicate(bits(a), uint8_t(1), 8); });
  all["duplicate, dst"] = floats([](auto a, auto) { Duplicate(a[1], 1.0f, 8); });
  all["duplicate, count"] = floats([](auto a, auto) { Duplicate(a, 1.0f, -1); });
  all["masked duplicate, type"] = floats([](auto a, auto) { Duplicate(bits(a), uint8_t(1), 8, 1, 1, 8); });
  all["masked duplicate, dst"] = floats([](auto a, auto) { Duplicate(a[1], 1.0f, 8, 1, 1, 8); });
  all["index, type"] = floats([](auto a, auto) { CreateVecIndex(words(a), 0u, 8); });
  all["gather, type"] = floats([](auto a, auto b) { Gather(bits(b), bits(a), words(a), 0, 8); });
  all["gather, dst"] = floats([](auto a, auto b) { Gather(b[1], a, words(a), 0, 8); });
  all["gather, src"] = floats([](auto a, auto b) { Gather(b, a[1], words(a), 0, 8); });
  all["gather, offsets"] = floats([](auto a, auto b) { Gather(b, a, words(a[1]), 0, 8); });
  all["gather in place"] = floats([](auto a, auto b) {
    Duplicate(words(b), 0u, 8);
    Gather(a, a, words(b), 0, 8);
  });
  all["gather out of range"] = floats([](auto a, auto b) {
    Duplicate(words(b), 4096u, 8);
    Gather(b[64], a, words(b), 0, 8);
  });
  all["brcb, type"] = floats([](auto a, auto b) { Brcb(bits(b), bits(a), 1, BrcbRepeatParams{}); });
  all["brcb, dst"] = floats([](auto a, auto b) { Brcb(b[1], a, 1, BrcbRepeatParams{}); });
  all["brcb, src"] = floats([](auto a, auto b) { Brcb(b, a[1], 1, BrcbRepeatParams{}); });
  all["sort, type"] = integers([](auto a, auto b) { Sort32(b, a, words(a), 1); });
  all["sort, dst"] = floats([](auto a, auto b) { Sort32(b[1], a, words(a), 1); });
  all["sort, src0"] = floats([](auto a, auto b) { Sort32(b, a[1], words(a), 1); });
  all["sort, src1"] = floats([](auto a, auto b) { Sort32(b, a, words(a[1]), 1); });
  all["sort, repeatTime"] = floats([](auto a, auto b) { Sort32(b, a, words(a), 256); });
  all["compare, type"] = full<int16_t>([](auto a, auto b) { Compare(bits(b), a, a, CMPMODE::LT, 128); });
  all["compare, integers"] = integers([](auto a, auto b) { CompareScalar(bits(b), a, 0, CMPMODE::LT, 64); });
  all["compare, dst"] = floats([](auto a, auto b) { Compare(bits(b)[1], a, a, CMPMODE::LT, 64); });
  all["compare, src0"] = floats([](auto a, auto b) { Compare(bits(b), a[1], a, CMPMODE::LT, 64); });
  all["compare, src1"] = floats([](auto a, auto b) { Compare(bits(b), a, a[1], CMPMODE::LT, 64); });
  const auto two = SELMODE::VSEL_TENSOR_TENSOR_MODE;
  all["select, type"] = integers([=](auto a, auto b) { Select(b, bits(a), a, a, two, 8); });
  all["select, dst"] = floats([=](auto a, auto b) { Select(b[1], bits(a), a, a, two, 8); });
  all["select, mask"] = floats([=](auto a, auto b) { Select(b, bits(a)[1], a, a, two, 8); });
  all["select, src0"] = floats([=](auto a, auto b) { Select(b, bits(a), a[1], a, two, 8); });
  all["select, src1"] = floats([=](auto a, auto b) { Select(b, bits(a), a, a[1], two, 8); });
  all["select, shifted"] = floats([=](auto a, auto b) { Select(a[8], bits(b), a, b, two, 16); });
  all["select, mode"] = floats([](auto a, auto b) {
    Select(b, bits(a), a, a, SELMODE::VSEL_TENSOR_SCALAR_MODE, 8);
  });
}

void reductions(Cases &all) {
  all["max, dst"] = floats([](auto a, auto b) { ReduceMax(b[1], a, b[64], 8, true); });
  all["max, src"] = floats([](auto a, auto b) { ReduceMax(b, a[1], b[64], 8); });
  all["max, work"] = floats([](auto a, auto b) { ReduceMax(b, a, b[65], 8); });
  all["max, count"] = floats([](auto a, auto b) { ReduceMax(b, a, b[64], -1); });
  all["max, index of a half"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> memory;
    pipe.InitBuffer(memory, 140000);
    auto a = memory.Get<half>();
    Duplicate(a, half(1), 70000);
    ReduceMax(a, a, a, 66000, true);
  });
  all["repeat sum, type"] = integers([](auto a, auto b) { WholeReduceSum(b, a, 8, 1, 1, 1, 8); });
  all["repeat sum, src"] = floats([](auto a, auto b) { WholeReduceSum(b, a[1], 8, 1, 1, 1, 8); });
  all["repeat max, dst"] = floats([](auto a, auto b) { WholeReduceMax(b[1], a, 8, 1, 1, 1, 8); });
  all["block sum, type"] = integers([](auto a, auto b) { BlockReduceSum(b, a, 1, 8, 1, 1, 8); });
  all["block sum, dst"] = floats([](auto a, auto b) { BlockReduceSum(b[1], a, 1, 8, 1, 1, 8); });
  all["block sum, src"] = floats([](auto a, auto b) { BlockReduceSum(b, a[1], 1, 8, 1, 1, 8); });
  all["block sum, repeat"] = floats([](auto a, auto b) { BlockReduceSum(b, a, 256, 8, 0, 1, 0); });
}

void buffers(Cases &all) {
  all["reset with a tensor out"] = aiv([] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 1, 32);
    q.AllocTensor<float>();
    pipe.Reset();
  });
  all["use after reset"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a;
    pipe.InitBuffer(a, 32);
    auto t = a.Get<float>();
    Duplicate(t, 1.0f, 8);
    pipe.Reset();
    pipe.InitBuffer(a, 32);
    t.GetValue(0);
  });
  all["no buffers"] = aiv([] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 0, 32);
  });
  all["empty buffer"] = aiv([] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 1, 0);
  });
  all["buffer without memory"] = aiv([] { TBuf<TPosition::VECCALC>().Get<float>(); });
  all["flag id, set"] = aiv([] { CrossCoreSetFlag<0, PIPE_V>(11); });
  all["flag id, wait"] = aiv([] { CrossCoreWaitFlag(11); });
  all["negative event id"] = aiv([] { WaitFlag<HardEvent::V_S>(-1); });
  all["result nobody registered"] = [] { Device().requireWritten("elsewhere"); };
  all["stale data"] = queue(1, [](InQueue &q) {
    auto t = q.AllocTensor<float>();
    Duplicate(t, 1.0f, 8);
    q.FreeTensor(t);
    q.AllocTensor<float>().GetValue(0);
  });
}

}  // namespace

int main(int argc, char **argv) {
  Cases all;
  copies(all);
  products(all);
  arithmetic(all);
  movement(all);
  reductions(all);
  buffers(all);
  return runCase(all, argc, argv);
}
