// The cube core's work for a Matmul object: products of blocks, and where they leave to. Included by matmul_state.h.
#pragma once
#include "matmul_state.h"

namespace unmoor::ascend::detail {

void MatmulState::multiply(const Call &whole, const MatrixPart &part, const std::shared_ptr<MatmulSums> &before) {
  Call call = whole;
  const auto k = static_cast<uint32_t>(singleK);
  call.at.multiplies = uint64_t{roundedUp(part.rows, 16)} * roundedUp(part.columns, 16) * roundedUp(k, 32 / types.a.size);
  auto sums = std::make_shared<MatmulSums>();
  auto factors = std::make_shared<MatmulFactors>(quantScalar.first ? part.columns : 0, quantScalar.second);
  std::vector<Range> reads;
  pushMatrix(reads, call, a.view, "A", Access::Read, {part.row, 0, part.rows, k});
  pushMatrix(reads, call, b.view, "B", Access::Read, {0, part.column, k, part.columns});
  if (useBias) pushMatrix(reads, call, bias.view, "bias", Access::Read, {0, part.column, 1, part.columns});
  if (quantVector.set) pushMatrix(reads, call, quantVector.view, "quantTensor", Access::Read, {0, part.column, 1, part.columns});
  follow(call.c, call.c.kind == CoreKind::Cube ? PIPE_MTE2 : PIPE_MTE3);
  // The object itself copies operands out of UB, after what the vector unit wrote.
  if (a.view.local || b.view.local || (useBias && bias.view.local)) follow(call.c, PIPE_V);
  const MatrixView left = a.view, right = b.view, start = bias.view;
  const bool fromBias = useBias;
  const MatmulOperand scaling = quantVector;
  const Dtype to = types.c.type;
  call.c.issue(call.at, {reads.data(), reads.size()}, {}, [=] {
    sums->assign(size_t{part.rows} * part.columns, 0);
    if (before) *sums = *before;
    else if (fromBias)
      for (size_t i = 0; i < sums->size(); i++)
        (*sums)[i] = numberAt(start.element.type, start.bytes(call) + start.at(0, part.column + i % part.columns));
    for (uint32_t j = 0; scaling.set && j < part.columns; j++) {
      factors->push_back(loadAs<uint64_t>(scaling.view.bytes(call) + scaling.view.at(0, part.column + j)));
      checkFactor(call, to, factors->back());
    }
    const uint8_t *const x = left.bytes(call), *const w = right.bytes(call);
    switch (left.element.type) {
      case Dtype::F16: return addProduct<Half, float>(*sums, x, left, w, right, part, k);
      case Dtype::Bf16: return addProduct<Bfloat16, float>(*sums, x, left, w, right, part, k);
      case Dtype::F32: return addProduct<float, float>(*sums, x, left, w, right, part, k);
      default: return addProduct<int8_t, int32_t>(*sums, x, left, w, right, part, k);
    }
  });
  waiting.push_back({part, sums, factors});
  call.c.matmulDebts.push_back({this, MatmulDebt::Block, whole.at});
}

MatrixView MatmulState::resultView(const Call &call, const MatrixPart &part, bool alone) const {
  MatrixView view;
  view.element = types.c;
  view.fractal = types.formatC == CubeFormat::NZ;
  view.c0 = view.element.size == 4 ? 16 : 32 / view.element.size;
  const auto rows = static_cast<uint32_t>(alone ? static_cast<int>(part.rows) : orgM);
  const auto columns = static_cast<uint32_t>(alone ? static_cast<int>(part.columns) : orgNc);
  const uint32_t unit = 32 / view.element.size;
  view.step = view.fractal ? roundedUp(rows, 16) : types.formatC == CubeFormat::ND_ALIGN ? roundedUp(columns, unit) : columns;
  if (!alone && place.step != 0) view.step = place.step;
  view.first = place.first;
  if (view.fractal && !alone) {
    whole(call, "C in NZ", "rows", rows, 16);
    whole(call, "C in NZ", "columns", columns, view.c0);
  }
  return view;
}

void MatmulState::storeGlobal(const char *name, const GlobalHandle &gm, uint8_t atomic, bool alone, SourceLoc where) {
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
  call.c.issue(call.at, {}, {writes.data(), writes.size()}, [=, bytes = types.a.type == Dtype::I8] {
    storeBlock(block, bytes, to, reinterpret_cast<uint8_t *>(view.global.at), view, how);
  });
  if (call.c.kind == CoreKind::Cube) order(call.c, PIPE_FIX, PIPE_MTE2);
}

void MatmulState::storeLocal(const LocalHandle &local, bool alone, bool wait, SourceLoc where) {
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
  call.c.issue(call.at, {}, {writes.data(), writes.size()}, [=, bytes = types.a.type == Dtype::I8] {
    storeBlock(block, bytes, to, call.data(view.here), view, Registers::Atomic::None);
  });
  payAll(call.c, MatmulDebt::Open);
  if (wait) order(call.c, PIPE_MTE2, PIPE_V);
}

void MatmulState::batchFrom(const char *name, const MatmulBatch &of, const MatmulStart &start, const GlobalHandle *gm,
                            const LocalHandle *local, SourceLoc where) {
  const Call call = onCube(name, where);
  checkReady(call);
  const BatchAxes axesA = axes(true), axesB = axes(false), axesC = resultAxes();
  const auto aligned = [](int rows, int columns, Element element) {
    return uint64_t{roundedUp(static_cast<uint32_t>(rows), 16)} * roundedUp(static_cast<uint32_t>(columns), 32 / element.size) * element.size;
  };
  checkBatch(call, of, axesA, axesB, axesC, types.batchMode, tiling.BatchNum, aligned(singleM, singleK, types.a), aligned(singleK, singleN, types.b));
  const uint64_t added = addedUp(axesA, axesB, axesC);
  call.require(added == 1 || (!useBias && local == nullptr), "not-modelled", "CLayoutInfoG", "no bias and C in global memory with sums over G",
               local != nullptr ? "C in UB" : "a bias", "add the bias on a vector core, or let C be in global memory");
  call.require(!types.scales(), "matmul-batch", "C", "sums as they are: batches take no factors", nameOf(types.c.type), "let C be int32_t or float");
  call.require(of.alone == (local != nullptr), "matmul-batch", "enSequentialWrite", local != nullptr ? "true for C in UB" : "false for C in global memory",
               of.alone ? "true" : "false", "change the argument");
  call.require(local == nullptr || blocks() == 1, "not-modelled", "C", "one block for each product where C is in UB", std::to_string(blocks()) + " blocks",
               "use a larger baseM or baseN, or global memory");
  const MatmulOperand wholeA = a, wholeB = b, wholeBias = bias;
  for (uint32_t i = 0; i < of.count(); i++) {
    a.view.first = start.a + axesA.before(batchIndex(i, of.count(), of.a, axesA, axesB), of.strideA, elementsOf(wholeA.view, true));
    b.view.first = start.b + axesB.before(batchIndex(i, of.count(), of.b, axesB, axesA), of.strideB, elementsOf(wholeB.view, false));
    bias.view.first = start.bias + (types.biasPerBatch ? uint64_t{i} * static_cast<uint64_t>(orgN) : 0);
    first = true;
    while (iterate(name, false, false, where)) {
      const MatmulBlock &block = waiting.front();
      const MatrixView view = resultView(call, block.part, of.alone);
      const uint64_t alone = sizeOf(view, of.alone ? static_cast<int>(block.part.rows) : orgM, of.alone ? static_cast<int>(block.part.columns) : orgNc);
      place = of.alone ? MatmulPlace{i * alone, 0}
                       : MatmulPlace{start.c + axesC.before(i / added, 0, alone), axesC.hasAxes() ? axesC.rowStep(0) : 0};
      if (local != nullptr) storeLocal(*local, true, true, where);
      else storeGlobal(name, *gm, added > 1 ? 1 : of.atomic, false, where);
      place = {};
    }
  }
  a = wholeA, b = wholeB, bias = wholeBias;
  first = true;
}

void MatmulState::batches(uint32_t loops, const MatmulBatch &of, SourceLoc where) {
  static constexpr const char *NAME = "Matmul::IterateNBatch";
  const Call call = onCube(NAME, where);
  checkReady(call);
  call.require(workspace.at != 0, "matmul-order", "workspace", "SetWorkspace before IterateNBatch, which leaves C there", "no memory",
               "call SetWorkspace with global memory for all matrices of C");
  const BatchAxes axesA = axes(true), axesB = axes(false), axesC = resultAxes();
  const uint64_t results = of.count() / addedUp(axesA, axesB, axesC);
  for (uint64_t i = 0; i < loops; i++) {
    const MatmulStart start{axesA.beforeAll(i * of.a), axesB.beforeAll(i * of.b), i * results * axesC.d, axesC.beforeAll(i * results)};
    batchFrom(NAME, of, start, &workspace, nullptr, where);
  }
  batchesMade = loops, batchesTaken = 0;
}

std::pair<uint64_t, uint64_t> MatmulState::takeBatch(uint32_t batchA, uint32_t batchB, SourceLoc where) {
  const Call call("Matmul::GetBatchTensorC", PIPE_S, where);
  call.require(batchesTaken < batchesMade, "matmul-order", "", "an IterateNBatch<false> before it, with as many batches as are fetched",
               std::to_string(batchesMade) + " made, " + std::to_string(batchesTaken) + " fetched", "fetch each batch once");
  const BatchAxes axesC = resultAxes();
  call.require(batchesMade == 1 || axesC.layout == LayoutMode::BNGS1S2, "not-modelled", "C", "BNGS1S2 where several batches are fetched", "another layout",
               "read C out of the memory given to SetWorkspace");
  const uint64_t elements = std::max(batchA, batchB) * static_cast<uint64_t>(singleM) * static_cast<uint64_t>(singleN);
  order(call.c, PIPE_FIX, PIPE_S);
  if (++batchesTaken == batchesMade) payAll(call.c, MatmulDebt::Open);
  return {workspace.at + (batchesTaken - 1) * elements * types.c.size, elements};
}

}  // namespace unmoor::ascend::detail
