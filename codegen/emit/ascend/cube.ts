import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { sameExpr, staticValue } from "../../tile/fold.ts";
import { viewShape } from "../../tile/shape.ts";
import type { Statement, View } from "../../tile/types.ts";
import { atom } from "../c-family/parentheses.ts";
import { access, type Lowering } from "./lowering.ts";
import { elementType, type LocalBinding } from "./scope.ts";

type CopyStatement = Extract<Statement, { kind: "copy" }>;
type MmaStatement = Extract<Statement, { kind: "mma" }>;

/**
 * The way of a product through the memories of a cube core. Matrices lie in fractals of 16 rows × 32 bytes, as many rows as the
 * tile holds, rounded up to 16: L1 [k1][rows][C0], L0A [m1][k1][16][C0], L0B [k1][n1][16][C0], L0C [n1][rows][16], C0 = 32 bytes of elements.
 * Only the rows and the depth that a tile is known to hold are moved and multiplied: what lies beyond is zero by
 * definition and adds nothing, or belongs to rows that are never stored.
 */
export function lowerCubeCopy(to: Lowering, s: CopyStatement, into: string, from: string): void {
  if (from === "global" && into === "l1") copyToL1(to, s);
  else if (from === "l1" && (into === "l0a" || into === "l0b")) copyToL0(to, s, into);
  else if (from === "l0c" && into === "global") copyOut(to, s);
  else
    throw new IrError(
      `an Ascend cube core has no path from ${from} to ${into}`,
      "Copy global → l1 → l0a or l0b, and l0c → global.",
    );
}

const blockElements = (b: LocalBinding): number => 32 / dtypeBytes[b.tile.dtype];

/** Bytes that a tile of a cube core takes. */
export function cubeTileBytes(dims: readonly number[], dtypeSize: number, space: string): number {
  const [rows = 1, columns = 1] = dims;
  const block = space === "l0c" ? 16 : 32 / dtypeSize;
  return Math.ceil(rows / 16) * 16 * Math.ceil(columns / block) * block * dtypeSize;
}

function wholeTile(to: Lowering, view: View): LocalBinding {
  const { binding, extent, start } = columnsOf(to, view);
  if (extent !== binding.tile.dims[1] || staticValue(start) !== 0) throw partial(view.base);
  return binding;
}

const partial = (name: string): IrError =>
  new IrError(
    `a cube core moves matrices with all their rows, and ${name} is viewed in part`,
    "Allocate a tile of two dimensions for each matrix, and use all of its rows.",
  );

/** A stretch of columns of a tile, with all its rows. */
function columnsOf(
  to: Lowering,
  view: View,
): { readonly binding: LocalBinding; readonly start: ScalarExpr; readonly extent: number } {
  const binding = to.scope.local(view.base);
  const [rows, columns] = view.index;
  if (
    view.index.length !== 2 ||
    rows?.kind !== "range" ||
    columns?.kind !== "range" ||
    staticValue(rows.start) !== 0 ||
    rows.extent !== binding.tile.dims[0]
  )
    throw partial(view.base);
  return { binding, start: columns.start, extent: columns.extent };
}

const extents = (b: LocalBinding): readonly ScalarExpr[] =>
  b.valid ?? b.tile.dims.map((value) => ({ kind: "const", type: "i32", value }) as const);

/** A count as text: at most the extent, at least `least`. */
function count(to: Lowering, expr: ScalarExpr, extent: number, least = 0): string {
  const known = staticValue(expr);
  if (known !== undefined) return String(Math.max(least, Math.min(known, extent)));
  const most = to.scope.most(expr);
  const text = to.scalar(expr);
  const bounded = most !== undefined && most <= extent ? text : `Smaller(${text}, ${extent})`;
  return least > 0 ? `Larger(${bounded}, ${least})` : bounded;
}

/** ⌈text / by⌉ as text. */
const blocks = (text: string, by: number): string =>
  /^\d+$/.test(text) ? String(Math.ceil(Number(text) / by)) : `RoundUp(${text}, ${by}) / ${by}`;
const roundUp = (text: string, by: number): string =>
  /^\d+$/.test(text) ? String(Math.ceil(Number(text) / by) * by) : `RoundUp(${text}, ${by})`;

function copyToL1(to: Lowering, s: CopyStatement): void {
  const dst = wholeTile(to, s.dst);
  const src = to.place(s.src);
  const rowStride = src.kept[0]?.stride.constant;
  if (
    src.kept.length !== 2 ||
    !src.contiguous ||
    src.kept.some((k) => k.positions !== undefined) ||
    rowStride === undefined
  )
    throw new IrError(
      `a matrix of ${s.src.base} has to be rows of neighbours at one distance`,
      "View two ranges, the last of them along the last dimension.",
    );
  if (rowStride > 65535)
    throw new IrError(
      `rows of ${s.src.base} have ${rowStride} elements, and a cube core reads rows of at most 65535`,
      "Choose smaller widths with --param.",
    );
  dst.valid = s.valid;
  const [rowsExpr, depthExpr] = extents(dst);
  const [rowExtent = 1, depthExtent = 1] = dst.tile.dims;
  if (!rowsExpr || !depthExpr) return;
  const rows = count(to, rowsExpr, rowExtent);
  const depth = count(to, depthExpr, depthExtent);
  const c0 = blockElements(dst);
  // The cube unit reads a matrix of one row in another layout. A second copy of the row keeps it out of that mode.
  const single = dst.variable.feedsB === true || (/^\d+$/.test(rows) && rows !== "1");
  let fractals = blocks(rows, 16);
  if (!/^\d+$/.test(fractals)) {
    const name = to.scope.names.unique(`${dst.name}_fractals`);
    to.emit(`const int64_t ${name} = ${fractals};`);
    fractals = name;
  }
  dst.fractals = fractals;
  const copies = single ? "1" : rows === "1" ? "2" : `${rows} == 1 ? 2 : 1`;
  to.emit(
    `DataCopy(${dst.name}, ${to.tensor(src)}, Nd2NzParams(${copies}, ${rows}, ${depth}, 0, ${rowStride}, ${product(fractals, "16")}, 1, ${single ? 0 : c0}));`,
    [access("MTE2", src.binding.name, false), access("MTE2", dst.name, true)],
  );
}

/** The most fractals that one instruction copies. */
const mostRepeats = 255;

function copyToL0(to: Lowering, s: CopyStatement, into: "l0a" | "l0b"): void {
  const dst = wholeTile(to, s.dst);
  const { binding: src, start, extent } = columnsOf(to, s.src);
  if (dst.tile.dtype !== src.tile.dtype)
    throw new IrError(`${s.src.base} and ${s.dst.base} have different dtypes`, "L1 and L0 hold one dtype.");
  const [rowsExpr, depthExpr] = extents(src);
  if (!rowsExpr || !depthExpr) return;
  const c0 = blockElements(src);
  const whole = extent === src.tile.dims[1];
  if (!whole && staticValue(depthExpr) !== src.tile.dims[1])
    throw new IrError(
      `columns of ${s.src.base} are copied in part, and how many of them hold something is known only when it runs`,
      "Allocate a tile as wide as what it holds.",
    );
  dst.valid = [rowsExpr, whole ? depthExpr : { kind: "const", type: "i32", value: extent }];
  if (to.scope.divisor(start) % c0 !== 0)
    throw new IrError(
      `columns of ${s.src.base} are copied from a place that is no multiple of ${c0}`,
      `Begin at a multiple of ${c0} columns, which are 32 bytes.`,
    );
  const mostRows = Math.ceil((src.tile.dims[0] ?? 1) / 16);
  const rows = src.fractals ?? blocks(count(to, rowsExpr, src.tile.dims[0] ?? 1), 16);
  const mostDepth = Math.ceil(extent / c0);
  const depth = whole ? blocks(count(to, depthExpr, extent), c0) : String(mostDepth);
  // Fractals before the first: those of the columns before it.
  const column = to.scope.index(start, []).times(Dim.of(1)).toString();
  const before = column === "" ? "0" : /^\d+$/.test(column) ? String(Number(column) / c0) : `${atom(column)} / ${c0}`;
  const skipped = product(before, rows);
  const from = (more: string): string => [skipped, more].filter((t) => t !== "0").join(" + ") || "0";
  const accesses = [access("MTE1", src.name, false), access("MTE1", dst.name, true)];
  const load = (offset: string, params: string): void => {
    const target = offset === "0" ? dst.name : `${dst.name}[${offset}]`;
    to.emit(`LoadData(${target}, ${src.name}, LoadData2DParams(${params}, false, 0));`, accesses);
  };
  if (into === "l0b") {
    // Both memories hold [k1][rows][C0]: all of it lies side by side.
    if (mostRows * mostDepth <= mostRepeats) load("0", `${from("0")}, ${product(rows, depth)}, 1, 0, 0`);
    else
      to.loop(
        "k1",
        depth,
        (k1) => load(product(product(k1, rows), String(16 * c0)), `${from(product(k1, rows))}, ${rows}, 1, 0, 0`),
        accesses,
      );
    return;
  }
  const byRows = (): void =>
    to.loop(
      "m1",
      rows,
      (m1) => load(product(m1, product(depth, String(16 * c0))), `${from(m1)}, ${depth}, ${rows}, 0, 0`),
      accesses,
    );
  const byDepth = (): void =>
    to.loop(
      "k1",
      depth,
      (k1) => load(product(k1, String(16 * c0)), `${from(product(k1, rows))}, ${rows}, 1, 0, ${lessOne(depth)}`),
      accesses,
    );
  // As few instructions as possible: each starts anew.
  if (mostRows <= mostDepth && /^\d+$/.test(depth)) byRows();
  else if (/^\d+$/.test(rows) && /^\d+$/.test(depth)) (Number(rows) <= Number(depth) ? byRows : byDepth)();
  else {
    const [then, otherwise] = [to.collect(byRows), to.collect(byDepth)];
    to.push({ kind: "if", condition: `${rows} <= ${depth}`, then, otherwise });
  }
}

const lessOne = (text: string): string => (/^\d+$/.test(text) ? String(Number(text) - 1) : `${text} - 1`);

/** a · b as text. */
function product(a: string, b: string): string {
  if (a === "0" || b === "0") return "0";
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) return String(Number(a) * Number(b));
  return b === "1" ? a : a === "1" ? b : `${atom(a)} * ${atom(b)}`;
}

export function lowerMma(to: Lowering, s: MmaStatement): void {
  if (s.transposed)
    throw new IrError("the cube unit multiplies by rows of columns, and b is [k, n]", "Copy b to L0B as [n, k].");
  const [acc, a, b] = [wholeTile(to, s.acc), wholeTile(to, s.a), wholeTile(to, s.b)];
  if (acc.tile.space !== "l0c" || a.tile.space !== "l0a" || b.tile.space !== "l0b")
    throw new IrError(
      `the cube unit multiplies l0a by l0b into l0c, found ${a.tile.space} by ${b.tile.space} into ${acc.tile.space}`,
      "Allocate the tiles in these spaces, and copy to them.",
    );
  if (a.tile.dtype !== b.tile.dtype)
    throw new IrError(
      `the cube unit multiplies factors of one dtype, found ${a.tile.dtype} and ${b.tile.dtype}`,
      "Convert one of them before the product.",
    );
  const [aRows, aDepth] = extents(a);
  const [bRows, bDepth] = extents(b);
  if (!aRows || !aDepth || !bRows || !bDepth) return;
  const rows = s.rows ?? aRows;
  acc.valid = [rows, bRows];
  const [m, n] = [acc.tile.dims[0] ?? 1, acc.tile.dims[1] ?? 1];
  const depth = a.tile.dims[1] ?? 1;
  const [left, right] = [count(to, aDepth, depth), count(to, bDepth, depth)];
  if (!sameExpr(aDepth, bDepth))
    throw new IrError(
      `the factors of a product hold ${left} and ${right} elements of depth`,
      "Copy both factors with the same valid depth.",
    );
  const init = s.init === undefined ? "false" : to.scalar(s.init);
  to.emit(
    `Mmad(${acc.name}, ${a.name}, ${b.name}, MmadParams(${count(to, rows, m, 2)}, ${count(to, bRows, n)}, ${left}, 0, false, ${init}));`,
    [
      access("M", a.name, false),
      access("M", b.name, false),
      // Written first: the sums begin with `init`.
      access("M", acc.name, true),
      ...(init === "true" ? [] : [access("M", acc.name, false)]),
    ],
  );
}

function copyOut(to: Lowering, s: CopyStatement): void {
  const src = wholeTile(to, s.src);
  const dst = to.place(s.dst);
  const rowStride = dst.kept[0]?.stride.constant;
  if (
    dst.kept.length !== 2 ||
    !dst.contiguous ||
    dst.kept.some((k) => k.positions !== undefined) ||
    rowStride === undefined
  )
    throw new IrError(
      `a matrix of ${s.dst.base} has to be rows of neighbours at one distance`,
      "View two ranges, the last of them along the last dimension.",
    );
  const [m = 1, n = 1] = viewShape(s.src);
  const [madeRows] = extents(src);
  if (!madeRows) return;
  const stored = s.valid ?? extents(src);
  const [rows, columns] = [0, 1].map((d) => {
    const expr = stored[d];
    return expr === undefined ? "0" : count(to, expr, d === 0 ? m : n);
  });
  const params = `fixpipe_${src.name}`;
  const name = to.scope.names.unique(params);
  const accesses = [access("FIX", src.name, false), access("FIX", dst.binding.name, true)];
  const stride = roundUp(count(to, madeRows, m), 16);
  to.emit(`FixpipeParamsV220 ${name}(${columns}, ${rows}, ${stride}, ${rowStride}, false);`);
  if (dst.dtype === "bf16") to.emit(`${name}.quantPre = QuantMode_t::F322BF16;`);
  if (dst.dtype === "f16") to.emit(`${name}.quantPre = QuantMode_t::F322F16;`);
  const [type, sums] = [dst.dtype, src.tile.dtype].map((dtype) => elementType(dtype, src.name));
  to.emit(`Fixpipe<${type}, ${sums}, CFG_ROW_MAJOR>(${to.tensor(dst)}, ${src.name}, ${name});`, accesses);
}
