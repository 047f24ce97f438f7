// What a Matmul object does: the cube core works on blocks of C, and hands them out.
#pragma once
#include <algorithm>
#include <deque>

#include "matmul_view.h"
#include "pipe.h"

namespace unmoor::ascend::detail {

/// One operand, as SetTensorA, SetTensorB or SetBias gave it.
struct MatmulOperand {
  bool set = false;
  MatrixView view{};
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
    view.step = view.fractal ? roundedUp(storedRows, 16) : storedColumns;
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
    if (onto) waiting.clear();
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
    return block;
  }

  /// A block into global memory; `alone` at its beginning, row by row.
  UNMOOR_COMMON void storeGlobal(const char *name, const GlobalHandle &gm, uint8_t atomic, bool alone, SourceLoc where) {
    const Call call = onCube(name, where);
    const MatmulBlock block = take(call);
    call.limit("enAtomic", atomic, 0, 3, "0: none, 1: add, 2: max, 3: min");
    MatrixView view = resultView(call, block.part, alone);
    view.global = gm;
    const Registers::Atomic how = static_cast<Registers::Atomic>(atomic);
    const MatrixPart to = placed(block.part, alone);
    std::vector<Range> writes;
    pushMatrix(writes, call, view, "c", how == Registers::Atomic::None ? Access::Write : Access::Atomic, to);
    follow(call.c, PIPE_FIX);
    call.c.issue(call.at, {}, {writes.data(), writes.size()}, [=, sums = block.sums] {
      storeBlock(*sums, to, reinterpret_cast<uint8_t *>(view.global.at), view, to.row, to.column, how);
    });
    if (call.c.kind == CoreKind::Cube) order(call.c, PIPE_FIX, PIPE_MTE2);
  }

  /// A block into UB: the scalar unit waits for the cube core, MTE2 copies, and the vector unit waits for MTE2.
  UNMOOR_COMMON void storeLocal(const LocalHandle &local, bool alone, bool wait, SourceLoc where) {
    const Call call("Matmul::GetTensorC", PIPE_MTE2, where);
    const MatmulBlock block = take(call);
    call.operand(local, "co2Local", Space::UB);
    call.require(alone || blocks() == 1, "not-modelled", "enSequentialWrite", "true where C has several blocks",
                 "false, which leaves gaps in UB", "GetTensorC(c, 0, true)");
    MatrixView view = resultView(call, block.part, true);
    view.local = true;
    view.here = local;
    if (!view.fractal) whole(call, "C in UB", "bytes of a row", static_cast<uint32_t>(view.step * view.element.size), 32);
    const MatrixPart to = placed(block.part, true);
    std::vector<Range> writes;
    pushMatrix(writes, call, view, "co2Local", Access::Write, to);
    order(call.c, PIPE_FIX, PIPE_S);
    call.c.issue(call.at, {}, {writes.data(), writes.size()}, [=, sums = block.sums] {
      storeBlock(*sums, to, call.data(view.here), view, 0, 0, Registers::Atomic::None);
    });
    if (wait) order(call.c, PIPE_MTE2, PIPE_V);
  }

  /// The scalar unit waits for the cube core.
  UNMOOR_COMMON void settle(SourceLoc where) {
    const Call call("Matmul::WaitIterateAll", PIPE_S, where);
    if (call.c.kind == CoreKind::Vector && !call.c.leavesOut(call.at)) order(call.c, PIPE_FIX, PIPE_S);
  }

  UNMOOR_COMMON void end(SourceLoc where) {
    const Call call("Matmul::End", PIPE_S, where);
    if (call.c.matmulInUse == this) call.c.matmulInUse = nullptr;
    waiting.clear();
    first = true;
  }

  uint32_t blocks() const { return rowBlocks() * columnBlocks(); }

 private:
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
    if (bytes) call.dtype(types.c.type, "C", Dtypes{{Dtype::I32}}, "take int32_t sums: dequantisation in Fixpipe is not modelled here");
    else call.dtype(types.c.type, "C", Dtypes{{Dtype::F32, Dtype::F16, Dtype::Bf16}}, "take float, half or bfloat16_t");
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
    const auto inside = [&](const char *what, int single, int org) {
      call.require(single >= 1 && single <= org, "matmul-shape", what, "a size in 1.." + std::to_string(org) + ", the whole matrix",
                   std::to_string(single), "correct SetSingleShape, SetTail or SetOrgShape");
    };
    inside("singleCoreM", singleM, orgM);
    inside("singleCoreN", singleN, orgN);
    inside("singleCoreK", singleK, std::min(orgKa, orgKb));
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
  UNMOOR_COMMON void multiply(const Call &whole, const MatrixPart &part, const std::shared_ptr<MatmulSums> &before) {
    Call call = whole;
    const auto k = static_cast<uint32_t>(singleK);
    call.at.multiplies = uint64_t{roundedUp(part.rows, 16)} * roundedUp(part.columns, 16) * roundedUp(k, 32 / types.a.size);
    auto sums = std::make_shared<MatmulSums>();
    std::vector<Range> reads;
    pushMatrix(reads, call, a.view, "A", Access::Read, {part.row, 0, part.rows, k});
    pushMatrix(reads, call, b.view, "B", Access::Read, {0, part.column, k, part.columns});
    if (useBias) pushMatrix(reads, call, bias.view, "bias", Access::Read, {0, part.column, 1, part.columns});
    follow(call.c, call.c.kind == CoreKind::Cube ? PIPE_MTE2 : PIPE_MTE3);
    // The object itself copies operands out of UB, after what the vector unit wrote.
    if (a.view.local || b.view.local || (useBias && bias.view.local)) follow(call.c, PIPE_V);
    const MatrixView left = a.view, right = b.view, start = bias.view;
    const bool fromBias = useBias;
    call.c.issue(call.at, {reads.data(), reads.size()}, {}, [=] {
      sums->assign(size_t{part.rows} * part.columns, 0);
      if (before) *sums = *before;
      else if (fromBias)
        for (size_t i = 0; i < sums->size(); i++)
          (*sums)[i] = numberAt(start.element.type, start.bytes(call) + start.at(0, part.column + i % part.columns));
      const uint8_t *const x = left.bytes(call), *const w = right.bytes(call);
      switch (left.element.type) {
        case Dtype::F16: return addProduct<Half, float>(*sums, x, left, w, right, part, k);
        case Dtype::Bf16: return addProduct<Bfloat16, float>(*sums, x, left, w, right, part, k);
        case Dtype::F32: return addProduct<float, float>(*sums, x, left, w, right, part, k);
        default: return addProduct<int8_t, int32_t>(*sums, x, left, w, right, part, k);
      }
    });
    waiting.push_back({part, sums});
  }

  /// Where C has a block: in the whole matrix, or by itself.
  UNMOOR_COMMON MatrixView resultView(const Call &call, const MatrixPart &part, bool alone) const {
    MatrixView view;
    view.element = types.c;
    view.fractal = types.formatC == CubeFormat::NZ;
    view.c0 = view.element.size == 4 ? 16 : 32 / view.element.size;
    const auto rows = static_cast<uint32_t>(alone ? static_cast<int>(part.rows) : orgM);
    const auto columns = static_cast<uint32_t>(alone ? static_cast<int>(part.columns) : orgNc);
    const uint32_t unit = 32 / view.element.size;
    view.step = view.fractal ? roundedUp(rows, 16) : types.formatC == CubeFormat::ND_ALIGN ? roundedUp(columns, unit) : columns;
    if (view.fractal && !alone) {
      whole(call, "C in NZ", "rows", rows, 16);
      whole(call, "C in NZ", "columns", columns, view.c0);
    }
    return view;
  }

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
  uint32_t next = 0;  // the block that Iterate makes next; ahead: how often it said that there is one
  MatmulOperand a, b, bias;
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
