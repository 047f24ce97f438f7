// Matmul objects of the high-level interface. ASCENDC_CUBE_ONLY, defined before, says that cube cores run the kernel's code; else vector
// cores do, and their cube core works for them. Results are made at once for a block of C; buffers and pipes inside the cube core, and so
// its speed, are not modelled beyond what the tiling has to keep to.
#pragma once
#include "kernel_operator.h"
#include "matmul_state.h"

namespace AscendC {

/// The place, format and element type of an operand; how a batch of them lies; whether the vector cores of a group share it.
template <TPosition POSITION, CubeFormat FORMAT, typename TYPE, bool ISTRANS = false, LayoutMode LAYOUT = LayoutMode::NONE,
          bool IBSHARE = false>
struct MatmulType {
  static constexpr TPosition pos = POSITION;
  static constexpr CubeFormat format = FORMAT;
  using T = TYPE;
  static constexpr bool isTrans = ISTRANS;
  static constexpr LayoutMode layout = LAYOUT;
  static constexpr bool ibShare = IBSHARE;
};

/// C = A * B + bias, in parts of singleCoreM x singleCoreN for each core, which it makes block by block.
template <class A, class B, class C, class BIAS = C, const auto &CONFIG = CFG_NORM> class Matmul {
  using Where = unmoor::ascend::SourceLoc;
  using SrcA = typename A::T;
  using SrcB = typename B::T;
  using Dst = typename C::T;
  using Bias = typename BIAS::T;
  static constexpr bool isPlace(TPosition p) { return p == TPosition::GM || p == TPosition::VECOUT || p == TPosition::TSCM; }
  static constexpr bool isFormat(CubeFormat f) { return f == CubeFormat::ND || f == CubeFormat::NZ; }
  static_assert(isPlace(A::pos) && isPlace(B::pos), "A and B are at GM, VECOUT or TSCM");
  static_assert(C::pos == TPosition::GM || C::pos == TPosition::VECIN, "C is at GM or VECIN; CO1 is not modelled");
  static_assert(isFormat(A::format) || A::format == CubeFormat::VECTOR, "A is ND, NZ or VECTOR");
  static_assert(isFormat(B::format), "B is ND or NZ");
  static_assert(isFormat(C::format) || C::format == CubeFormat::ND_ALIGN, "C is ND, NZ or ND_ALIGN");
  static_assert(BIAS::format == CubeFormat::ND, "a bias is ND");
  static constexpr bool isWoven(LayoutMode l) { return l == LayoutMode::BSNGD || l == LayoutMode::SBNGD; }
  static_assert(A::layout == B::layout, "A and B of a batch have one layout");
  static_assert((!isWoven(A::layout) || (A::format == CubeFormat::ND && B::format == CubeFormat::ND)) &&
                    (!isWoven(C::layout) || C::format == CubeFormat::ND),
                "matrices of layout BSNGD and SBNGD are ND");
  static constexpr bool sharesBoth = A::ibShare && B::ibShare;
  static_assert((!A::ibShare || A::pos == TPosition::GM) && (!B::ibShare || B::pos == TPosition::GM), "a shared operand is at GM");
  static_assert(!CONFIG.doBasicBlock && !CONFIG.doSpecialBasicBlock && !CONFIG.doSpecialMDL && !CONFIG.intraBlockPartSum &&
                    !CONFIG.isPartialOutput && !CONFIG.enableMixDualMaster && !CONFIG.isEnableChannelSplit,
                "this template of MatmulConfig is not modelled: Norm, MDL and IBShare are");
#ifdef ASCENDC_CUBE_ONLY
  static_assert(!CONFIG.doIBShareNorm, "the IBShare template is for MIX kernels");
#endif

 public:
  Matmul() {
    using unmoor::ascend::detail::elementOf;
    state.types = {elementOf<SrcA>(), elementOf<SrcB>(), elementOf<Dst>(), elementOf<Bias>(), A::format, B::format,
                   C::format,         A::isTrans,        B::isTrans,        A::layout,         B::layout, C::layout,
                   A::ibShare,        B::ibShare,        CONFIG.batchMode,  CONFIG.isBiasBatch};
  }
  Matmul(const Matmul &) = delete;
  Matmul &operator=(const Matmul &) = delete;

  void Init(const TCubeTiling *cubeTiling, TPipe * = nullptr, Where where = Where::here()) { state.init(cubeTiling, where); }

  void SetOrgShape(int orgM, int orgN, int orgK) { state.setOrgShape(orgM, orgN, orgK, orgK, 0); }
  void SetOrgShape(int orgM, int orgN, int orgKa, int orgKb, int orgKc = 0) { state.setOrgShape(orgM, orgN, orgKa, orgKb, orgKc); }
  void SetSingleShape(int singleM, int singleN, int singleK) { state.setSingleShape(singleM, singleN, singleK); }
  void SetTail(int tailM = -1, int tailN = -1, int tailK = -1) { state.setSingleShape(tailM, tailN, tailK); }

  void SetTensorA(const GlobalTensor<SrcA> &gm, bool isTransposeA = false, Where where = Where::here()) {
    state.setOperand(true, viewOf(gm), isTransposeA, A::pos, "Matmul::SetTensorA", where);
  }
  void SetTensorA(const LocalTensor<SrcA> &leftMatrix, bool isTransposeA = false, Where where = Where::here()) {
    state.setOperand(true, viewOf(leftMatrix), isTransposeA, A::pos, "Matmul::SetTensorA", where);
  }
  void SetTensorB(const GlobalTensor<SrcB> &gm, bool isTransposeB = false, Where where = Where::here()) {
    state.setOperand(false, viewOf(gm), isTransposeB, B::pos, "Matmul::SetTensorB", where);
  }
  void SetTensorB(const LocalTensor<SrcB> &rightMatrix, bool isTransposeB = false, Where where = Where::here()) {
    state.setOperand(false, viewOf(rightMatrix), isTransposeB, B::pos, "Matmul::SetTensorB", where);
  }
  void SetBias(const GlobalTensor<Bias> &biasGlobal, Where where = Where::here()) { state.setBias(viewOf(biasGlobal), BIAS::pos, where); }
  void SetBias(const LocalTensor<Bias> &inputBias, Where where = Where::here()) { state.setBias(viewOf(inputBias), BIAS::pos, where); }
  /// One factor for all elements of C, or one for each column (in global memory, or in L1), as Fixpipe reads their 64 bits.
  void SetQuantScalar(const uint64_t quantScalar, Where where = Where::here()) { state.setFactor(quantScalar, where); }
  void SetQuantVector(const GlobalTensor<uint64_t> &quantTensor, Where where = Where::here()) { state.setFactors(viewOf(quantTensor), where); }
  void SetQuantVector(const LocalTensor<uint64_t> &quantTensor, Where where = Where::here()) { state.setFactors(viewOf(quantTensor), where); }
  void DisableBias() { state.disableBias(); }
  void ClearBias() { state.disableBias(); }
  /// Where IterateNBatch leaves C, and blocks wait between Iterate<false> and GetTensorC<false>; those wait inside the emulator.
  template <class T> void SetWorkspace(GlobalTensor<T> &addr) { state.setWorkspace(addr.handle()); }
  template <class T> void SetWorkspace(__gm__ const T *addr, int size) {
    GlobalTensor<T> memory;
    memory.SetGlobalBuffer(const_cast<T *>(addr), static_cast<uint64_t>(size));
    state.setWorkspace(memory.handle());
  }

  /// Makes the next block of C, baseM x baseN or what is left. With sync = false it makes all of them at the first call.
  template <bool sync = true> bool Iterate(bool enPartialSum = false, Where where = Where::here()) {
    static_assert(!sharesBoth, "where both operands are shared (IBSHARE), IterateAll makes C");
    return state.iterate("Matmul::Iterate", !sync, enPartialSum, where);
  }

  /// Fetches the block: to its place in C, or with enSequentialWrite to the beginning, row by row.
  template <bool sync = true>
  void GetTensorC(const GlobalTensor<Dst> &gm, uint8_t enAtomic = 0, bool enSequentialWrite = false, Where where = Where::here()) {
    state.storeGlobal("Matmul::GetTensorC", gm.handle(), enAtomic, enSequentialWrite, where);
    if constexpr (sync) state.settle("Matmul::GetTensorC", where);
  }
  template <bool sync = true>
  void GetTensorC(const LocalTensor<Dst> &co2Local, uint8_t enAtomic = 0, bool enSequentialWrite = false, Where where = Where::here()) {
    static_assert(C::pos == TPosition::VECIN, "C goes to a LocalTensor where its MatmulType says VECIN");
    const unmoor::ascend::detail::Call call("Matmul::GetTensorC", PIPE_S, where);
    call.limit("enAtomic", enAtomic, 0, 0, "atomic stores go to global memory");
    state.storeLocal(co2Local.handle, enSequentialWrite, true, where);
  }

  /// Makes all blocks. With sync = false the vector core goes on; with waitIterateAll it waits later, with WaitIterateAll. A shared operand
  /// needs calls on both vector cores of a group: with fakeMsg, one that makes nothing. Where both operands are shared, the first core's call
  /// makes C, and the second's waits for it.
  template <bool sync = true>
  void IterateAll(const GlobalTensor<Dst> &gm, uint8_t enAtomic = 0, bool enSequentialWrite = false, bool waitIterateAll = false,
                  bool fakeMsg = false, Where where = Where::here()) {
    static_assert(C::pos == TPosition::GM || sharesBoth, "C goes to a GlobalTensor where its MatmulType says GM");
    const unmoor::ascend::detail::Call call("Matmul::IterateAll", PIPE_S, where);
    state.share(fakeMsg, where);
    if (fakeMsg) return;
    while (!state.followsOther() && state.iterate("Matmul::IterateAll", false, false, where)) {
      call.require(!enSequentialWrite || state.blocks() == 1, "not-modelled", "enSequentialWrite", "false where C has several blocks", "true",
                   "use Iterate and GetTensorC, which say where each block goes");
      state.storeGlobal("Matmul::IterateAll", gm.handle(), enAtomic, enSequentialWrite, where);
    }
    if (!state.followsOther()) state.tellOther();
    if constexpr (sync) state.settle("Matmul::IterateAll", where);
    else state.owe("Matmul::IterateAll", waitIterateAll, where);
  }
  void WaitIterateAll(Where where = Where::here()) { state.settleAnswer("Matmul::WaitIterateAll", where); }

#ifdef ASCENDC_CUBE_ONLY
  /// How many matrices of A and of B the next IterateBatch takes.
  void SetBatchNum(int32_t batchA, int32_t batchB) { batchNumA = static_cast<uint32_t>(batchA), batchNumB = static_cast<uint32_t>(batchB); }
  /// Makes as many products as the larger number of SetBatchNum.
  void IterateBatch(const GlobalTensor<Dst> &gm, bool enPartialSum, uint8_t enAtomic, bool enSequentialWrite, const uint32_t matrixStrideA = 0,
                    const uint32_t matrixStrideB = 0, const uint32_t matrixStrideC = 0, Where where = Where::here()) {
    batchTo(gm, {batchNumA, batchNumB, matrixStrideA, matrixStrideB, matrixStrideC, enSequentialWrite, enPartialSum, enAtomic}, where);
  }
#else
  /// Makes as many products as the larger of batchA and batchB. With sync = false the vector core goes on; with waitIterateBatch it waits
  /// later, with WaitIterateBatch.
  template <bool sync = true, bool waitIterateBatch = false>
  void IterateBatch(const GlobalTensor<Dst> &gm, uint32_t batchA, uint32_t batchB, bool enSequentialWrite, const uint32_t matrixStrideA = 0,
                    const uint32_t matrixStrideB = 0, const uint32_t matrixStrideC = 0, const bool enPartialSum = false,
                    const uint8_t enAtomic = 0, Where where = Where::here()) {
    batchTo(gm, {batchA, batchB, matrixStrideA, matrixStrideB, matrixStrideC, enSequentialWrite, enPartialSum, enAtomic}, where);
    if constexpr (sync) state.settle("Matmul::IterateBatch", where);
    else state.owe("Matmul::IterateBatch", waitIterateBatch, where);
  }
  /// The same to UB, one matrix behind the other.
  template <bool sync = true>
  void IterateBatch(const LocalTensor<Dst> &ubCmatrix, uint32_t batchA, uint32_t batchB, bool enSequentialWrite,
                    const uint32_t matrixStrideA = 0, const uint32_t matrixStrideB = 0, const uint32_t matrixStrideC = 0,
                    const bool enPartialSum = false, const uint8_t enAtomic = 0, Where where = Where::here()) {
    static_assert(sync, "a batch to UB is waited for");
    batchTo(ubCmatrix, {batchA, batchB, matrixStrideA, matrixStrideB, matrixStrideC, enSequentialWrite, enPartialSum, enAtomic}, where);
  }
  /// batchLoop batches, whose matrices follow each other, into the memory of SetWorkspace. With sync = false the vector core goes on, and
  /// fetches each by GetBatchTensorC, or with waitIterateBatch waits later, with WaitIterateBatch.
  template <bool sync = true, bool waitIterateBatch = false>
  void IterateNBatch(const uint32_t batchLoop, uint32_t batchA, uint32_t batchB, bool enSequentialWrite, const uint32_t matrixStrideA = 0,
                     const uint32_t matrixStrideB = 0, const uint32_t matrixStrideC = 0, const bool enPartialSum = false,
                     const uint8_t enAtomic = 0, Where where = Where::here()) {
    static_assert(CONFIG.isNBatch, "IterateNBatch does nothing without isNBatch in MatmulConfig");
    static_assert(CONFIG.doNorm, "batches need the Norm template");
    constexpr auto isBatch = [](LayoutMode l) { return l != LayoutMode::NONE && l != LayoutMode::NORMAL; };
    static_assert(isBatch(A::layout) && isBatch(C::layout), "IterateNBatch takes BSNGD, SBNGD and BNGS1S2");
    static_assert(!sharesBoth, "IterateNBatch does not go with IBSHARE of both operands");
    state.batches(batchLoop, {batchA, batchB, matrixStrideA, matrixStrideB, matrixStrideC, enSequentialWrite, enPartialSum, enAtomic}, where);
    if constexpr (sync) state.settle("Matmul::IterateNBatch", where);
    else state.owe("Matmul::IterateNBatch", waitIterateBatch, where);
  }
  /// What the next batch of IterateNBatch<false> made, in the memory of SetWorkspace.
  template <bool sync = true>
  GlobalTensor<Dst> GetBatchTensorC(uint32_t batchA, uint32_t batchB, bool enSequentialWrite = false, Where where = Where::here()) {
    static_assert(!sync, "GetBatchTensorC is asynchronous: GetBatchTensorC<false>");
    const unmoor::ascend::detail::Call call("Matmul::GetBatchTensorC", PIPE_S, where);
    call.require(!enSequentialWrite, "matmul-batch", "enSequentialWrite", "false: it is reserved", "true", "leave it out");
    const auto [at, elements] = state.takeBatch(batchA, batchB, where);
    GlobalTensor<Dst> c;
    c.SetGlobalBuffer(reinterpret_cast<__gm__ Dst *>(at), elements);
    return c;
  }
  void WaitIterateBatch(Where where = Where::here()) { state.settleAnswer("Matmul::WaitIterateBatch", where); }
#endif

  /// The object's memory in the cube core is free for another.
  void End(Where where = Where::here()) { state.end(where); }

  unmoor::ascend::detail::MatmulState state;  // emulator only

 private:
  template <class Tensor> void batchTo(const Tensor &c, const unmoor::ascend::detail::MatmulBatch &of, Where where) {
    static_assert(CONFIG.doNorm, "batches need the Norm template");
    static_assert(!sharesBoth, "IterateBatch does not go with IBSHARE of both operands");
    static_assert(A::layout != LayoutMode::NONE && C::layout != LayoutMode::NONE, "the MatmulTypes of a batch have a LayoutMode");
    constexpr bool toGlobal = std::is_same_v<Tensor, GlobalTensor<Dst>>;
    static_assert(toGlobal == (C::pos == TPosition::GM), "C goes where its MatmulType says");
    if constexpr (toGlobal) {
      const unmoor::ascend::detail::GlobalHandle gm = c.handle();
      state.batch(of, &gm, nullptr, where);
    } else {
      state.batch(of, nullptr, &c.handle, where);
    }
  }
#ifdef ASCENDC_CUBE_ONLY
  uint32_t batchNumA = 0, batchNumB = 0;
#endif

  template <class T> static unmoor::ascend::detail::MatrixView viewOf(const GlobalTensor<T> &tensor) {
    unmoor::ascend::detail::MatrixView view;
    view.global = tensor.handle();
    return view;
  }
  template <class T> static unmoor::ascend::detail::MatrixView viewOf(const LocalTensor<T> &tensor) {
    unmoor::ascend::detail::MatrixView view;
    view.local = true;
    view.here = tensor.handle;
    return view;
  }
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

template <class Object> void initMatmul(SourceLoc, Object &) {}
template <class Object, class Tiling, class... More> void initMatmul(SourceLoc where, Object &object, Tiling *tiling, More &&...more) {
  if (tiling != nullptr) object.Init(tiling, nullptr, where);
  if constexpr (sizeof...(More) > 0) {
    registerMatmul(core().matmulCubeOnly, where);
    initMatmul(where, more...);
  }
}

/// Takes objects into use; true on a cube core that works for its vector cores, where the kernel's code is over.
template <class... Objects> bool registerMatmuls(bool cubeOnly, SourceLoc where, Objects &&...objects) {
  Core &c = core();
  if (!cubeOnly && c.kind == CoreKind::Cube && (c.type == KERNEL_TYPE_MIX_AIC_1_1 || c.type == KERNEL_TYPE_MIX_AIC_1_2)) return true;
  c.matmulCubeOnly = cubeOnly;
  registerMatmul(cubeOnly, where);
  initMatmul(where, objects...);
  return false;
}

}  // namespace unmoor::ascend::detail

namespace matmul {
using namespace AscendC;
}

/// Takes one to four Matmul objects into use, each with the address of its tiling: (&pipe, GetSysWorkSpacePtr(), mm, &tiling).
#ifdef ASCENDC_CUBE_ONLY
#define REGIST_MATMUL_OBJ(tpipe, workspace, ...)                                                                       \
  (static_cast<void>(tpipe), static_cast<void>(workspace),                                                            \
   static_cast<void>(::unmoor::ascend::detail::registerMatmuls(true, ::unmoor::ascend::SourceLoc::here(), __VA_ARGS__)))
#else
#define REGIST_MATMUL_OBJ(tpipe, workspace, ...)                                                                       \
  do {                                                                                                                 \
    static_cast<void>(tpipe), static_cast<void>(workspace);                                                            \
    if (::unmoor::ascend::detail::registerMatmuls(false, ::unmoor::ascend::SourceLoc::here(), __VA_ARGS__)) return;    \
  } while (false)
#endif
