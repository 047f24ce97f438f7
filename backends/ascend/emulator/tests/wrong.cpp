// Calls that Ascend C does not have. Each statement ends with WRONG and must be refused by the compiler; nothing else may be.
#include "kernel_operator.h"
#include "lib/matmul_intf.h"

using namespace AscendC;

void tensors(LocalTensor<float> f, LocalTensor<half> h, LocalTensor<bfloat16_t> b, GlobalTensor<float> gf, GlobalTensor<half> gh) {
  LocalTensor<half> other = f;                        // WRONG
  f.SetValue(0);                                      // WRONG
  f.GetValue();                                       // WRONG
  f.ReinterpretCast();                                // WRONG
  gf.SetGlobalBuffer(h);                              // WRONG
  gf = gh;                                            // WRONG
  b = f;                                              // WRONG
  f + 1.0f;                                           // WRONG
  f = f + f + f;                                      // WRONG
  f = f + h;                                          // WRONG
  LocalTensor<float> sum = f + f;                     // WRONG
  h = f * f;                                          // WRONG
  f += f;                                             // WRONG
  LocalTensor<uint8_t>() = LocalTensor<int32_t>() < LocalTensor<int32_t>();  // WRONG
  bfloat16_t x = 1.0f;                                // WRONG
  float y = b.GetValue(0);                            // WRONG
  bfloat16_t(1.0f) + bfloat16_t(2.0f);                // WRONG
}

void pipes(TPipe &pipe, LocalTensor<float> f) {
  TQue<TPosition::VECIN> noDepth;                     // WRONG
  TQue<TPosition::VECCALC, 1> scratch;                // WRONG
  TQue<TPosition::GM, 1> global;                      // WRONG
  TQue<TPosition::VECIN, 1> q;
  TBuf<TPosition::VECCALC> t;
  pipe.InitBuffer(q, 32);                             // WRONG
  pipe.InitBuffer(t, 2, 32);                          // WRONG
  pipe.InitBuffer(f, 32);                             // WRONG
  LocalTensor<half> h = q.AllocTensor<float>();       // WRONG
  q.AllocTensor();                                    // WRONG
  q.EnQue();                                          // WRONG
  q.DeQue();                                          // WRONG
  q.FreeTensor(q.DeQue<float>());                     // WRONG
  t.Get();                                            // WRONG
  pipe.FetchEventID(PIPE_V);                          // WRONG
}

void copies(LocalTensor<float> f, LocalTensor<half> h, GlobalTensor<float> gf, GlobalTensor<half> gh) {
  DataCopy(f, gh, 8);                                 // WRONG
  DataCopy(gf, gf, 8);                                // WRONG
  DataCopy(gf, gf, DataCopyParams());                 // WRONG
  DataCopy(f, h, 8);                                  // WRONG
  DataCopy(f, gf);                                    // WRONG
  DataCopy(gf, f, Nd2NzParams());                     // WRONG
  DataCopy(f, gf, Nz2NdParamsFull());                 // WRONG
  DataCopy(f, f, Nz2NdParamsFull());                  // WRONG
  const SliceInfo slice[] = {{0, 7, 0, 1, 8}};
  DataCopy(f, gf, slice);                             // WRONG
  DataCopy(f, gh, slice, slice);                      // WRONG
  DataCopy(f, f, slice, slice);                       // WRONG
  DataCopy(f, gf, DataCopyEnhancedParams());          // WRONG
  DataCopy(f, gf, 8, DataCopyEnhancedParams());       // WRONG
  DataCopy(f, gf, DataCopyExtParams());               // WRONG
  DataCopyPad(f, gf, DataCopyExtParams());            // WRONG
  DataCopyPad(f, gf, DataCopyExtParams(), DataCopyPadExtParams<half>());  // WRONG
  DataCopyPad(f, f, DataCopyExtParams());             // WRONG
  Nd2NzParams(1, 16, 16);                             // WRONG
}

void vectors(LocalTensor<float> f, LocalTensor<half> h, LocalTensor<int32_t> i, LocalTensor<uint32_t> u, LocalTensor<uint8_t> bits) {
  Add(f, f, 8);                                       // WRONG
  Add(f, f, h, 8);                                    // WRONG
  Add(f, f, f);                                       // WRONG
  Add(f, f, f, 64, 1, UnaryRepeatParams());           // WRONG
  Adds(f, f, f, 8);                                   // WRONG
  Adds(f, f, 1.0, 8);                                 // WRONG
  Adds(f, f, 1.0f, 64, 1, BinaryRepeatParams());      // WRONG
  Muls(h, f, half(1), 8);                             // WRONG
  Exp(f, h, 8);                                       // WRONG
  Axpy(h, f, half(1), 8);                             // WRONG
  FusedMulAdd(f, h, h, 8);                            // WRONG
  Cast(f, h, 8);                                      // WRONG
  Cast(f, h, RoundMode::CAST_UP, 8);                  // WRONG
  Duplicate(f, 1, 8);                                 // WRONG
  Gather(f, f, i, 0, 8);                              // WRONG
  GatherMask(f, f, i, true, 8, GatherMaskParams(), 0);  // WRONG
  Compare(i, f, f, CMPMODE::LT, 64);                  // WRONG
  Compare(bits, f, f, 64);                            // WRONG
  Select(f, bits, f, f, 64);                          // WRONG
  Select(f, f, f, 1, BinaryRepeatParams());           // WRONG
  Select<float, SELMODE::VSEL_TENSOR_SCALAR_MODE>(f, f, f, 1, BinaryRepeatParams());  // WRONG
  Compare(f, f, CMPMODE::LT, 64);                     // WRONG
  Sort32(f, f, i, 1);                                 // WRONG
  MrgSort(f, MrgSortSrcList<half>(), MrgSort4Info());  // WRONG
  ReduceSum(f, f, 8);                                 // WRONG
  WholeReduceMax(f, f, 64);                           // WRONG
  Brcb(f, f, 1);                                      // WRONG
  SoftMax(f, f, f, f, SoftMaxShapeInfo());            // WRONG
  TopK<float, false, true, false, TopKMode::TOPK_NSMALL>(f, i, f, i, LocalTensor<bool>(), bits, 3, TopkTiling(), TopKInfo());  // WRONG
  Broadcast<float, 3, 1>(f, f, nullptr, nullptr);     // WRONG
  AscendDequant(f, f, 1.0f, {1, 8, 8});               // WRONG
}

void cubes(LocalTensor<half> h, LocalTensor<float> c, LocalTensor<half> bias, GlobalTensor<float> gf) {
  LoadData(h, c, LoadData2DParams());                 // WRONG
  LoadData(h, h, LoadData3DParamsV2<float>());        // WRONG
  Mmad(c, h, h);                                      // WRONG
  Mmad(c, h, h, bias, MmadParams());                  // WRONG
  MmadParams(16, 16);                                 // WRONG
  Fixpipe<float, float, CFG_COLUMN_MAJOR>(gf, c, FixpipeParamsV220());  // WRONG
  Fixpipe(gf, c, bias, FixpipeParamsV220());          // WRONG
  Fixpipe<half, float, CFG_ROW_MAJOR>(h, c, FixpipeParamsV220());  // WRONG
}

void orders() {
  SetFlag(HardEvent::MTE2_V, 0);                      // WRONG
  SetFlag<HardEvent::V_MTE9>(0);                      // WRONG
  SetFlag<PIPE_V>(0);                                 // WRONG
  PipeBarrier(PIPE_V);                                // WRONG
  CrossCoreSetFlag<3, PIPE_FIX>(0);                   // WRONG
  CrossCoreSetFlag<2>(0);                             // WRONG
  SyncAll<true, true>();                              // WRONG
  TQueSync<PIPE_M, PIPE_MTE3>().SetFlag(0);           // WRONG
  SetVectorMask(8);                                   // WRONG
  SetAtomicAdd();                                     // WRONG
}

template <LayoutMode L = LayoutMode::NONE, bool SHARE = false, CubeFormat F = CubeFormat::ND>
using Half = MatmulType<TPosition::GM, F, half, false, L, SHARE>;
constexpr MatmulConfig blocksOnly = [] {
  MatmulConfig out = CFG_NORM;
  out.doBasicBlock = true;
  return out;
}();

constexpr MatmulConfig MANY = GetNormalConfig(false, true);
template <LayoutMode L, const auto &CONFIG> using Batched = Matmul<Half<L>, Half<L>, Half<L>, Half<>, CONFIG>;

void products(GlobalTensor<half> gh, GlobalTensor<float> gf, Batched<LayoutMode::NORMAL, CFG_MDL> &mdl,
              Batched<LayoutMode::BSNGD, CFG_NORM> &one, Batched<LayoutMode::NORMAL, MANY> &normal, Batched<LayoutMode::BSNGD, MANY> &many,
              Matmul<Half<LayoutMode::NONE, true>, Half<LayoutMode::NONE, true>, Half<>> &both) {
  Matmul<Half<LayoutMode::NORMAL>, Half<LayoutMode::BSNGD>, Half<>> layouts;  // WRONG
  Matmul<Half<LayoutMode::BSNGD, false, CubeFormat::NZ>, Half<LayoutMode::BSNGD>, Half<LayoutMode::BSNGD>> fractals;  // WRONG
  both.Iterate();                                     // WRONG
  one.IterateNBatch(2, 2, 2, false);                  // WRONG
  normal.IterateNBatch(2, 2, 2, false);               // WRONG
  many.GetBatchTensorC(2, 2);                         // WRONG
  Matmul<Half<>, Half<>, Half<>, Half<>, blocksOnly> blocks;  // WRONG
  mdl.IterateBatch(gh, 2, 2, false);                  // WRONG
  mdl.IterateBatch(gf, 2, 2, false);                  // WRONG
  mdl.SetAntiQuantScalar(half(0), half(1));           // WRONG
  mdl.SetQuantScalar();                               // WRONG
  mdl.SetQuantVector(gf);                             // WRONG
  mdl.SetBatchNum(2, 2);                              // WRONG
}
