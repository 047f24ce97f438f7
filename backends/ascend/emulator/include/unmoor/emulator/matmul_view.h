// Where the elements of a Matmul object's matrices lie, and the product of two of them.
#pragma once
#include <memory>
#include <vector>

#include "fixpipe.h"
#include "matmul_tiling.h"

namespace unmoor::ascend::detail {

/// A matrix in global or local memory. Rows and columns are those of the product, also where it is stored turned.
struct MatrixView {
  bool local = false;
  GlobalHandle global{};
  LocalHandle here{};
  Element element{};
  bool fractal = false;     // NZ: [columns / c0][rows, whole sixteens][c0]
  bool turned = false;      // stored with rows and columns exchanged
  uint64_t step = 0;        // elements from one stored row to the next; NZ: stored rows, whole sixteens
  uint32_t c0 = 1;          // NZ: elements of a fractal's row
  uint64_t first = 0;       // elements before the matrix: those of a batch

  /// The offset of an element in bytes.
  uint64_t at(uint64_t row, uint64_t column) const {
    if (turned) std::swap(row, column);
    const uint64_t index = fractal ? column / c0 * step * c0 + row * c0 + column % c0 : row * step + column;
    return (first + index) * element.size;
  }

  const uint8_t *bytes(const Call &call) const {
    return local ? call.data(here) : reinterpret_cast<const uint8_t *>(global.at);
  }
};

/// A part of a product's rows and columns.
struct MatrixPart {
  uint32_t row, column, rows, columns;
};

/// The bytes of a part of a matrix, as an instruction reads or writes them.
UNMOOR_COMMON void pushMatrix(std::vector<Range> &out, const Call &call, const MatrixView &view, const char *operand, Access access,
                              const MatrixPart &part) {
  const uint32_t rows = view.turned ? part.columns : part.rows, columns = view.turned ? part.rows : part.columns;
  const uint32_t first = view.turned ? part.row : part.column;
  const auto push = [&](uint64_t offset, uint64_t run, uint64_t step) {
    if (view.local) {
      Range one = call.range(view.here, operand, access, run, offset);
      one.inner = rows;
      one.innerStride = static_cast<int64_t>(step);
      out.push_back(one);
    } else {
      out.push_back(globalRange(view.global, call.at, operand, access, run, offset, rows, step));
    }
  };
  if (!view.fractal) return push(view.at(part.row, part.column), uint64_t{columns} * view.element.size, view.step * view.element.size);
  const uint64_t run = uint64_t{view.c0} * view.element.size;
  for (uint32_t column = first / view.c0 * view.c0; column < first + columns; column += view.c0)
    push(view.turned ? view.at(column, part.column) : view.at(part.row, column), run, run);
}

/// Sums of products, as L0C has them: floats, or int32_t for bytes. Both fit a double.
using MatmulSums = std::vector<double>;

/// Adds A * B over k for a part of C to the sums, in the order of k, as Acc.
template <class T, class Acc>
void addProduct(MatmulSums &sums, const uint8_t *a, const MatrixView &viewA, const uint8_t *b, const MatrixView &viewB, const MatrixPart &part,
                uint32_t k) {
  const auto number = [](const uint8_t *from) { return static_cast<Acc>(widen(loadAs<T>(from))); };
  std::vector<Acc> right(part.columns), row(part.columns);
  std::vector<Acc> all(static_cast<size_t>(k) * part.columns);
  for (uint32_t p = 0; p < k; p++)
    for (uint32_t j = 0; j < part.columns; j++) all[size_t{p} * part.columns + j] = number(b + viewB.at(p, part.column + j));
  for (uint32_t i = 0; i < part.rows; i++) {
    double *const to = sums.data() + size_t{i} * part.columns;
    for (uint32_t j = 0; j < part.columns; j++) row[j] = static_cast<Acc>(to[j]);
    for (uint32_t p = 0; p < k; p++) {
      const Acc left = number(a + viewA.at(part.row + i, p));
      const Acc *const weights = all.data() + size_t{p} * part.columns;
      for (uint32_t j = 0; j < part.columns; j++) row[j] += left * weights[j];
    }
    for (uint32_t j = 0; j < part.columns; j++) to[j] = static_cast<double>(row[j]);
  }
}

UNMOOR_COMMON double numberAt(Dtype type, const uint8_t *from) {
  switch (type) {
    case Dtype::F16: return static_cast<float>(loadAs<Half>(from));
    case Dtype::Bf16: return loadAs<Bfloat16>(from).toFloat();
    case Dtype::I32: return loadAs<int32_t>(from);
    default: return loadAs<float>(from);
  }
}
UNMOOR_COMMON void putNumber(Dtype type, uint8_t *to, double value) {
  switch (type) {
    case Dtype::F16: return storeAs(to, Half(static_cast<float>(value)));
    case Dtype::Bf16: return storeAs(to, Bfloat16(static_cast<float>(value)));
    case Dtype::I32: return storeAs(to, static_cast<int32_t>(value));
    default: return storeAs(to, static_cast<float>(value));
  }
}

/// The factor of each column of a block that leaves L0C scaled; none where it is not.
using MatmulFactors = std::vector<uint64_t>;

/// A block of C on its way: its place in C, and its sums (and factors) once the product has run.
struct MatmulBlock {
  MatrixPart part;
  std::shared_ptr<MatmulSums> sums;
  std::shared_ptr<MatmulFactors> factors;
};

/// A sum as Fixpipe gives it: half of int32_t, or int8_t of either kind of sums.
UNMOOR_COMMON void putScaled(Dtype type, uint8_t *to, double sum, bool bytes, uint64_t factor) {
  AscendC::FixpipeParamsV220 p;
  p.quantPre = type == Dtype::F16 ? DEQF16 : bytes ? REQ8 : QF322B8_PRE;
  const QuantFactor by(factor);
  if (type == Dtype::F16) storeAs(to, fixValue<Half, int32_t>(static_cast<int32_t>(sum), p, by));
  else if (bytes) storeAs(to, fixValue<int8_t, int32_t>(static_cast<int32_t>(sum), p, by));
  else storeAs(to, fixValue<int8_t, float>(static_cast<float>(sum), p, by));
}

/// Writes a block where the view has it, from row and column `part.row`, `part.column` of the view on.
UNMOOR_COMMON void storeBlock(const MatmulBlock &block, bool bytes, const MatrixPart &part, uint8_t *to, const MatrixView &view,
                              Registers::Atomic atomic) {
  uint8_t element[4] = {};
  const uint32_t top = part.row, left = part.column;
  for (uint32_t i = 0; i < part.rows; i++)
    for (uint32_t j = 0; j < part.columns; j++) {
      const double sum = (*block.sums)[size_t{i} * part.columns + j];
      if (block.factors->empty()) putNumber(view.element.type, element, sum);
      else putScaled(view.element.type, element, sum, bytes, (*block.factors)[j]);
      store(view.element.type, to + view.at(top + i, left + j), element, view.element.size, atomic);
    }
}

}  // namespace unmoor::ascend::detail
