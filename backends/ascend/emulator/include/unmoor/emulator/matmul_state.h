// What a Matmul object does: the cube core works on blocks of C, and hands them out.
#pragma once
#include <algorithm>
#include <deque>

#include "launch.h"
#include "matmul_batch.h"
#include "matmul_view.h"

namespace unmoor::ascend::detail {

/// One operand, as SetTensorA, SetTensorB, SetBias or SetQuantVector gave it.
struct MatmulOperand {
  bool set = false;
  MatrixView view{};
};

/// Where C of one product of a batch lies, in elements.
struct MatmulPlace {
  uint64_t first = 0, step = 0;  // 0: the step of a matrix by itself
};

/// Elements before the matrices of a batch.
struct MatmulStart {
  uint64_t a = 0, b = 0, bias = 0, c = 0;
};

/// A Matmul object without its types. On a vector core its work is done by the cube core of the group, which MTE3 tells of it: it comes
/// after what MTE3 has written. On a cube core it comes after what MTE2 knows, and MTE2 after it.
class MatmulState {
 public:
  MatmulTypes types{};
  TCubeTiling tiling{};

  /// Takes a tiling over. On a cube core its memory comes from the TPipe's.
  UNMOOR_COMMON void init(const TCubeTiling *given, SourceLoc where) {
    const Call call("Matmul::Init", PIPE_S, where);
    call.require(given != nullptr, "matmul-order", "cubeTiling", "a tiling", "a null pointer", "give the address of a TCubeTiling");
    checkTypes(call);
    checkMatmulTiling(call, *given, types, arch2201::MOST_CORES);
    tiling = *given;
    if (!ready && call.c.kind == CoreKind::Cube) takeMemory(call);
    if (!ready) number = call.c.matmulInits++;
    ready = true;
    setOrgShape(tiling.M, tiling.N, tiling.Ka, tiling.Kb, 0);
    setSingleShape(tiling.singleCoreM, tiling.singleCoreN, tiling.singleCoreK);
    useBias = tiling.isBias != 0;
  }

  void setOrgShape(int m, int n, int ka, int kb, int kc) {
    orgM = m, orgN = n, orgKa = ka, orgKb = kb, orgNc = kc > 0 ? kc : n;
  }
  /// -1 leaves a size as it is.
  void setSingleShape(int m, int n, int k) {
    if (m != -1) singleM = m;
    if (n != -1) singleN = n;
    if (k != -1) singleK = k;
    first = true;
  }

  UNMOOR_COMMON void setOperand(bool left, MatrixView view, bool turned, TPosition expected, const char *name, SourceLoc where) {
    const Call call(name, PIPE_S, where);
    checkReady(call);
    const bool mayTurn = left ? types.mayTurnA : types.mayTurnB;
    call.require(!turned || mayTurn, "matmul-shape", left ? "isTransposeA" : "isTransposeB", "false, as ISTRANS of the MatmulType says", "true",
                 "declare the MatmulType with ISTRANS = true");
    checkPlace(call, view, expected, left ? "A" : "B");
    view.element = left ? types.a : types.b;
    view.turned = turned;
    const CubeFormat format = left ? types.formatA : types.formatB;
    const int rows = left ? orgM : orgKb, columns = left ? orgKa : orgN;
    view.fractal = format == CubeFormat::NZ;
    view.c0 = 32 / view.element.size;
    const auto storedRows = static_cast<uint32_t>(turned ? columns : rows), storedColumns = static_cast<uint32_t>(turned ? rows : columns);
    view.step = view.fractal ? roundedUp(storedRows, 16) : axes(left).rowStep(storedColumns);
    if (view.fractal) {
      const char *matrix = left ? "A in NZ" : "B in NZ";
      whole(call, matrix, "rows as they are stored", storedRows, 16);
      whole(call, matrix, "columns as they are stored", storedColumns, view.c0);
    }
    (left ? a : b) = {true, view};
    first = true;
  }

  UNMOOR_COMMON void setBias(MatrixView view, TPosition expected, SourceLoc where) {
    const Call call("Matmul::SetBias", PIPE_S, where);
    checkReady(call);
    call.require(tiling.isBias != 0, "matmul-tiling", "isBias", "1 in the tiling of a Matmul object with a bias", "0",
                 "set isBias on the host (EnableBias), or leave SetBias out");
    checkPlace(call, view, expected, "bias");
    view.element = types.bias;
    view.step = static_cast<uint64_t>(orgN);
    bias = {true, view};
    useBias = true;
    first = true;
  }
  void disableBias() { useBias = false; }

  /// Factors by which Fixpipe scales sums: one for all, or one for each column of C.
  UNMOOR_COMMON void setFactor(uint64_t factor, SourceLoc where) {
    const Call call("Matmul::SetQuantScalar", PIPE_S, where);
    checkScales(call);
    checkFactor(call, types.c.type, factor);
    quantScalar = {true, factor};
    quantVector.set = false;
    first = true;
  }
  UNMOOR_COMMON void setFactors(MatrixView view, SourceLoc where) {
    const Call call("Matmul::SetQuantVector", PIPE_S, where);
    checkScales(call);
    if (view.local) call.operand(view.here, "quantTensor", Space::L1);
    view.element = elementOf<uint64_t>();
    view.step = static_cast<uint64_t>(orgN);
    quantVector = {true, view};
    quantScalar.first = false;
    first = true;
  }

  /// The next block of C, or with `ahead` all that are left. False: there is none.
  UNMOOR_COMMON bool iterate(const char *name, bool ahead, bool onto, SourceLoc where) {
    const Call call = onCube(name, where);
    if (first) begin(call);
    call.require(waiting.empty() || onto || asynchronous, "matmul-order", "", "GetTensorC after each Iterate", "a block that nobody fetched",
                 "call GetTensorC in the loop over Iterate");
    if (asynchronous) return next++ < blocks();
    if (next == blocks() && !onto) return false;
    asynchronous = ahead;
    call.require(!onto || blocks() == 1, "matmul-shape", "enPartialSum", "one block: singleCoreM <= baseM and singleCoreN <= baseN",
                 std::to_string(blocks()) + " blocks", "add up in global memory with enAtomic = 1");
    const std::shared_ptr<MatmulSums> before = onto && !waiting.empty() ? waiting.back().sums : nullptr;
    if (onto) drop(call.c);
    const uint32_t end = ahead ? blocks() : onto ? 1 : next + 1;
    for (uint32_t block = onto ? 0 : next; block < end; block++) multiply(call, partOf(block), before);
    next = ahead ? 1 : end;
    return true;
  }

  /// The block that is next to be fetched.
  MatmulBlock take(const Call &call) {
    call.require(!waiting.empty(), "matmul-order", "", "an Iterate that returned true, for each GetTensorC", "no block",
                 "call Iterate first; after SetTensorA, SetTensorB or SetBias it begins anew");
    const MatmulBlock block = waiting.front();
    waiting.pop_front();
    pay(call.c, MatmulDebt::Block);
    return block;
  }

  /// A block into global memory; `alone` at its beginning, row by row.
  UNMOOR_COMMON void storeGlobal(const char *name, const GlobalHandle &gm, uint8_t atomic, bool alone, SourceLoc where);

  /// A block into UB: the scalar unit waits for the cube core, MTE2 copies, and the vector unit waits for MTE2.
  UNMOOR_COMMON void storeLocal(const LocalHandle &local, bool alone, bool wait, SourceLoc where);

  /// The scalar unit waits for the cube core, which has done all that it was asked for before.
  UNMOOR_COMMON void settle(const char *name, SourceLoc where) {
    const Call call(name, PIPE_S, where);
    if (call.c.kind != CoreKind::Vector || call.c.leavesOut(call.at)) return;
    if (followsOther()) call.c.launch->waitShare(call.c, call.at, number);
    order(call.c, PIPE_FIX, PIPE_S);
    payAll(call.c, MatmulDebt::Open);
  }

  /// Results that the vector core did not wait for; `answer`: the cube core tells when they are there.
  void owe(const char *name, bool answer, SourceLoc where) {
    if (Core &c = core(); c.kind == CoreKind::Vector)
      c.matmulDebts.push_back({this, answer ? MatmulDebt::Flag : MatmulDebt::Open, {name, PIPE_S, where}});
  }
  /// Waits for that answer.
  UNMOOR_COMMON void settleAnswer(const char *name, SourceLoc where) {
    const Call call(name, PIPE_S, where);
    if (call.c.kind == CoreKind::Vector && !call.c.leavesOut(call.at))
      call.require(pay(call.c, MatmulDebt::Flag), "matmul-order", "", "a call before it with sync = false that is to be waited for",
                   "none whose answer is still to come", "hardware would wait for ever: pass true after enSequentialWrite, or leave the wait out");
    settle(name, where);
  }

  /// All blocks of a batch of products, to global memory or (one block each, one behind the other) to UB.
  void batch(const MatmulBatch &of, const GlobalHandle *gm, const LocalHandle *local, SourceLoc where) {
    batchFrom("Matmul::IterateBatch", of, {}, gm, local, where);
  }
  /// That many batches, one behind the other, into the work space.
  UNMOOR_COMMON void batches(uint32_t loops, const MatmulBatch &of, SourceLoc where);
  void setWorkspace(const GlobalHandle &gm) { workspace = gm; }
  /// What the next of those batches has made, and its elements; the scalar unit waits for it.
  UNMOOR_COMMON std::pair<uint64_t, uint64_t> takeBatch(uint32_t batchA, uint32_t batchB, SourceLoc where);

  /// Before IterateAll: the vector cores of a group that share operands call it equally often, with the same addresses.
  UNMOOR_COMMON void share(bool fake, SourceLoc where) {
    const Call call("Matmul::IterateAll", PIPE_S, where);
    const bool shares = types.sharedA || types.sharedB;
    call.require(shares || !fake, "matmul-share", "fakeMsg", "false where no operand is shared (IBSHARE of a MatmulType)", "true", "leave fakeMsg out");
    if (!shares || call.c.kind != CoreKind::Vector) return;
    checkReady(call);
    call.require(!fake || !(types.sharedA && types.sharedB), "matmul-share", "fakeMsg", "false where both operands are shared", "true",
                 "let both vector cores make the same call");
    const auto at = [](bool shared, const MatmulOperand &operand) { return shared ? operand.view.global.at : 0; };
    call.c.launch->share(call.c, call.at, number, {at(types.sharedA, a), at(types.sharedB, b)}, fake);
  }
  /// Whether this core waits for what the other one asks the cube core for: both operands are shared, and it is the second.
  bool followsOther() const {
    const Core &c = core();
    return types.sharedA && types.sharedB && c.kind == CoreKind::Vector && c.taskRatio == 2 && c.sub == 1;
  }
  /// The cube core was asked for all of a product that the other core waits for too.
  void tellOther() {
    if (Core &c = core(); types.sharedA && types.sharedB && c.kind == CoreKind::Vector && c.taskRatio == 2) c.launch->shareMade(c, number);
  }

  UNMOOR_COMMON void end(SourceLoc where) {
    const Call call("Matmul::End", PIPE_S, where);
    checkMatmulDebts(call.c, this);
    if (call.c.matmulInUse == this) call.c.matmulInUse = nullptr;
    first = true;
  }

  uint32_t blocks() const { return rowBlocks() * columnBlocks(); }

 private:
  UNMOOR_COMMON void batchFrom(const char *name, const MatmulBatch &of, const MatmulStart &start, const GlobalHandle *gm,
                               const LocalHandle *local, SourceLoc where);
  uint32_t rowBlocks() const { return static_cast<uint32_t>((singleM + tiling.baseM - 1) / tiling.baseM); }
  uint32_t columnBlocks() const { return static_cast<uint32_t>((singleN + tiling.baseN - 1) / tiling.baseN); }

  MatrixPart partOf(uint32_t block) const {
    const bool rowsFirst = tiling.iterateOrder == 0;
    const uint32_t i = rowsFirst ? block % rowBlocks() : block / columnBlocks(), j = rowsFirst ? block / rowBlocks() : block % columnBlocks();
    const auto m = static_cast<uint32_t>(tiling.baseM), n = static_cast<uint32_t>(tiling.baseN);
    return {i * m, j * n, std::min(m, static_cast<uint32_t>(singleM) - i * m), std::min(n, static_cast<uint32_t>(singleN) - j * n)};
  }
  static MatrixPart placed(const MatrixPart &part, bool alone) {
    return alone ? MatrixPart{0, 0, part.rows, part.columns} : part;
  }

  BatchAxes axes(bool left) const {
    const TCubeTiling &t = tiling;
    return left ? axesOf(types.layoutA, t.ALayoutInfoB, t.ALayoutInfoS, t.ALayoutInfoN, t.ALayoutInfoG, t.ALayoutInfoD)
                : axesOf(types.layoutB, t.BLayoutInfoB, t.BLayoutInfoS, t.BLayoutInfoN, t.BLayoutInfoG, t.BLayoutInfoD);
  }
  BatchAxes resultAxes() const {
    const TCubeTiling &t = tiling;
    return axesOf(types.layoutC, t.CLayoutInfoB, t.CLayoutInfoS1, t.CLayoutInfoN, t.CLayoutInfoG, t.CLayoutInfoS2);
  }
  /// Elements of a whole matrix as it is stored.
  uint64_t elementsOf(const MatrixView &view, bool left) const {
    const int rows = left ? orgM : orgKb, columns = left ? orgKa : orgN;
    return sizeOf(view, view.turned ? columns : rows, view.turned ? rows : columns);
  }
  static uint64_t sizeOf(const MatrixView &view, int rows, int columns) {
    return view.fractal ? view.step * roundedUp(static_cast<uint32_t>(columns), view.c0) : view.step * static_cast<uint64_t>(rows);
  }

  bool owedHere(const MatmulDebt &debt, MatmulDebt::Kind kind) const { return debt.object == this && debt.kind == kind; }
  /// The oldest debt of a kind; false where there is none.
  bool pay(Core &c, MatmulDebt::Kind kind) const {
    const auto debt = std::find_if(c.matmulDebts.begin(), c.matmulDebts.end(), [&](const MatmulDebt &one) { return owedHere(one, kind); });
    if (debt == c.matmulDebts.end()) return false;
    c.matmulDebts.erase(debt);
    return true;
  }
  /// The cube core works in order, so that waiting for it once pays for all objects.
  static void payAll(Core &c, MatmulDebt::Kind kind) {
    c.matmulDebts.erase(std::remove_if(c.matmulDebts.begin(), c.matmulDebts.end(), [&](const MatmulDebt &one) { return one.kind == kind; }),
                        c.matmulDebts.end());
  }
  /// Blocks that go on as the start of others.
  void drop(Core &c) {
    for (; !waiting.empty(); waiting.pop_front()) pay(c, MatmulDebt::Block);
  }

  UNMOOR_COMMON void checkScales(const Call &call) const {
    checkReady(call);
    call.require(types.scales(), "quant-mode", "C", "int8_t sums that become half or int8_t, or others that become int8_t",
                 std::string(nameOf(types.a.type)) + " to " + nameOf(types.c.type), "leave the factors out, or change the type of C");
  }
  /// The sign bit of a factor is that of the result.
  UNMOOR_COMMON static void checkFactor(const Call &call, Dtype to, uint64_t factor) {
    call.require(to != Dtype::I8 || QuantFactor(factor).isSigned, "quant-sign", "factor", "bit 46 set for int8_t", "bit 46 clear",
                 "set the factor's sign bit");
  }

  static void whole(const Call &call, const char *matrix, const char *what, uint32_t value, uint32_t of) {
    call.require(value % of == 0, "matmul-shape", matrix, std::string(what) + ": a multiple of " + std::to_string(of), std::to_string(value),
                 "pad the matrix, or use CubeFormat::ND (ND_ALIGN for C in UB)");
  }

  UNMOOR_COMMON void checkReady(const Call &call) const {
    call.require(ready, "matmul-order", "", "a Matmul object with a tiling", "one without",
                 "call REGIST_MATMUL_OBJ with the tiling, or Init, before all else");
  }

  UNMOOR_COMMON static void checkPlace(const Call &call, const MatrixView &view, TPosition expected, const char *operand) {
    const bool local = expected != TPosition::GM;
    call.require(view.local == local, "matmul-shape", operand, std::string("a tensor at ") + nameOf(expected) + ", as its MatmulType says",
                 view.local ? "a LocalTensor" : "a GlobalTensor", "change the position in the MatmulType, or give the other tensor");
    if (local) call.operand(view.here, operand, spaceOf(expected));
  }

  UNMOOR_COMMON void checkTypes(const Call &call) const {
    const bool bytes = types.a.type == Dtype::I8;
    call.dtype(types.a.type, "A", Dtypes{{Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::I8}}, "convert A first");
    call.dtype(types.b.type, "B", Dtypes{{types.a.type}}, "give A and B one type");
    if (bytes) call.dtype(types.c.type, "C", Dtypes{{Dtype::I32, Dtype::F16, Dtype::I8}}, "take int32_t sums, or half or int8_t with factors");
    else if (types.a.type == Dtype::F32) call.dtype(types.c.type, "C", Dtypes{{Dtype::F32, Dtype::F16, Dtype::Bf16}}, "take float, half or bfloat16_t");
    else call.dtype(types.c.type, "C", Dtypes{{Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8}}, "take float, half, bfloat16_t, or int8_t with factors");
    if (bytes) call.dtype(types.bias.type, "bias", Dtypes{{Dtype::I32}}, "int8_t products have an int32_t bias");
    else call.dtype(types.bias.type, "bias", Dtypes{{Dtype::F32, Dtype::F16}}, "take float or half");
  }

  /// L1 and L0 of a cube core, from the same TPipe as the kernel's own buffers.
  UNMOOR_COMMON void takeMemory(const Call &call) const {
    const MatmulMemory memory = matmulMemory(tiling, types);
    const std::pair<Space, uint64_t> wanted[] = {
        {Space::L1, memory.l1}, {Space::L0A, memory.l0a}, {Space::L0B, memory.l0b}, {Space::L0C, memory.l0c}};
    for (const auto &[space, bytes] : wanted) {
      LocalMemory &local = call.c.local(space);
      const uint32_t capacity = call.c.capacity(space);
      if (local.used + bytes > capacity)
        call.fail("capacity", "the Matmul object", "at most " + std::to_string(capacity) + " bytes of " + nameOf(space) + " per core",
                  std::to_string(local.used) + " bytes in use and " + std::to_string(bytes) + " more for the blocks of the tiling",
                  "use smaller blocks, or fewer buffers beside the Matmul object");
      local.used += static_cast<uint32_t>(bytes);
    }
  }

  /// Before the first block after SetTensorA, SetTensorB, SetBias or new sizes.
  UNMOOR_COMMON void begin(const Call &call) {
    checkReady(call);
    call.require(a.set && b.set, "matmul-order", a.set ? "B" : "A", "SetTensorA and SetTensorB before Iterate", "no tensor", "set both");
    call.require(!useBias || bias.set, "matmul-order", "bias", "SetBias where the tiling has isBias = 1", "no tensor",
                 "call SetBias, or DisableBias");
    call.require(!types.scales() || quantScalar.first || quantVector.set, "quant-mode", "C",
                 std::string("SetQuantScalar or SetQuantVector before Iterate: sums become ") + nameOf(types.c.type), "neither", "set the factors");
    const auto inside = [&](const char *what, int single, int org) {
      call.require(single >= 1 && single <= org, "matmul-shape", what, "a size in 1.." + std::to_string(org) + ", the whole matrix",
                   std::to_string(single), "correct SetSingleShape, SetTail or SetOrgShape");
    };
    inside("singleCoreM", singleM, orgM);
    inside("singleCoreN", singleN, orgN);
    inside("singleCoreK", singleK, std::min(orgKa, orgKb));
    const auto kept = [&](bool shared, const char *field, int32_t depth, int single, int32_t base) {
      const int needed = ((single + base - 1) / base) * ((singleK + tiling.baseK - 1) / tiling.baseK);
      call.require(!shared || depth >= needed, "matmul-tiling", field, "at least " + std::to_string(needed) + ": all of the shared operand in L1",
                   std::to_string(depth), "raise the depth and the steps, or split the matrix");
    };
    kept(types.sharedA, "depthA1", tiling.depthA1, singleM, tiling.baseM);
    kept(types.sharedB, "depthB1", tiling.depthB1, singleN, tiling.baseN);
    call.require(types.formatA != CubeFormat::VECTOR || singleM == 1, "matmul-shape", "singleCoreM", "1 with CubeFormat::VECTOR",
                 std::to_string(singleM), "use CubeFormat::ND");
    Core &c = call.c;
    call.require(c.matmulInUse == nullptr || c.matmulInUse == this, "matmul-order", "", "End of one Matmul object before the next works",
                 "another object at work", "call End after the last block");
    c.matmulInUse = this;
    next = 0;
    asynchronous = false;
    first = false;
  }

  /// The sums of one block, ordered after what the operands' writers are known to have done.
  UNMOOR_COMMON void multiply(const Call &whole, const MatrixPart &part, const std::shared_ptr<MatmulSums> &before);

  /// Where C has a block: in the whole matrix, or by itself.
  UNMOOR_COMMON MatrixView resultView(const Call &call, const MatrixPart &part, bool alone) const;

  /// Work of the cube core.
  static Call onCube(const char *name, SourceLoc where) {
    Call call(name, PIPE_FIX, where);
    call.at.onCube = call.c.kind == CoreKind::Vector;
    return call;
  }

  /// The cube core's next work comes after all that a pipe was given so far.
  static void follow(Core &c, pipe_t pipe) { order(c, pipe, PIPE_FIX); }

  /// One pipe goes on when another has done what it was given so far.
  UNMOOR_COMMON static void order(Core &c, pipe_t from, pipe_t to) {
    join(c.known[to], c.toldBy(from));
    c.busyUntil[to] = std::max(c.busyUntil[to], c.busyUntil[from]);
    if (from == to || c.synchronisation == Synchronisation::Automatic) return;
    const Scheduler::Token token = c.scheduler.flag();
    c.scheduler.raise(from, token, from == PIPE_S);
    c.scheduler.await(to, token, to == PIPE_S);
  }

  bool ready = false, first = true, useBias = false, asynchronous = false;
  int orgM = 0, orgN = 0, orgKa = 0, orgKb = 0, orgNc = 0, singleM = 0, singleN = 0, singleK = 0;
  uint32_t number = 0;  // among the objects of the core
  uint32_t next = 0;  // the block that Iterate makes next; ahead: how often it said that there is one
  MatmulOperand a, b, bias, quantVector;
  std::pair<bool, uint64_t> quantScalar{};
  MatmulPlace place;
  GlobalHandle workspace{};
  uint32_t batchesMade = 0, batchesTaken = 0;  // by IterateNBatch with sync = false
  std::deque<MatmulBlock> waiting;
};

/// A Matmul object on the running core: at most four, in a MIX kernel before the first buffer of the TPipe.
UNMOOR_COMMON void registerMatmul(bool cubeOnly, SourceLoc where) {
  const Call call("REGIST_MATMUL_OBJ", PIPE_S, where);
  Core &c = call.c;
  const bool cube = c.kind == CoreKind::Cube;
  call.require(cube || !cubeOnly, "core-kind", "", "a cube core, as ASCENDC_CUBE_ONLY says", nameOf(c.kind),
               "guard the code with ASCEND_IS_AIC, or leave ASCENDC_CUBE_ONLY out");
  call.require(cubeOnly || c.type == KERNEL_TYPE_MIX_AIC_1_1 || c.type == KERNEL_TYPE_MIX_AIC_1_2, "kernel-type", "",
               "a MIX kernel (KERNEL_TYPE_MIX_AIC_1_1 or _1_2), in which vector cores give their cube core work", nameOf(c.type),
               "change the kernel type, or define ASCENDC_CUBE_ONLY before lib/matmul_intf.h for a kernel of cube cores");
  call.require(cubeOnly || c.regions.empty(), "matmul-order", "", "REGIST_MATMUL_OBJ before the first InitBuffer", "buffers made before",
               "move it to the beginning of the kernel");
  call.require(++c.matmulObjects <= 4, "matmul-order", "", "at most 4 Matmul objects", "a fifth", "use one object for several products");
}

}  // namespace unmoor::ascend::detail

#include "matmul_work.h"  // the members declared above
