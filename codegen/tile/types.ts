import type { Dim } from "../../ir/core/dim.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Span } from "../../ir/core/span.ts";
import type { ElementType } from "../../ir/core/types.ts";

/**
 * Tile IR: one kernel language for all targets. A kernel is a grid of independent blocks over global buffers.
 * Inside are loops, tiles in named memory spaces, and tile operations. The rules are in spec.ts; the reference
 * meaning is interpreter.ts; the text form is text.ts.
 */
export interface Kernel {
  readonly name: string;
  readonly buffers: readonly KernelBuffer[];
  /** Block coordinates, outermost first. Blocks may run in any order, at once. */
  readonly grid: readonly GridCoordinate[];
  /** The sizes for which a program launches it; absent: all. For other sizes another kernel does the same (spec.ts). */
  readonly when?: SizeRange;
  readonly body: readonly Statement[];
  /** The layer op this kernel computes, in words for a comment ("expert gate and up, silu(gate) * up"), and its place in the source. */
  readonly origin: { readonly op: string; readonly summary: string; readonly span: Span };
}

/** from ≤ of < below; without `below` all from `from` on. `of` is over run-time symbols. */
export interface SizeRange {
  readonly of: Dim;
  readonly from: number;
  readonly below?: number;
}

/**
 * An extent names run-time symbols (T) only. `lanes`: blocks that differ in this coordinate alone may run in step, as lanes that read
 * together what is the same for them where they take the same branches and loops. Only the last coordinate of a grid, with a constant extent.
 */
export interface GridCoordinate {
  readonly name: string;
  readonly extent: Dim;
  readonly lanes?: true;
  /**
   * A buffer i32[extent + 1] with the values that have work: how many, then each of them once. A target may start the blocks of those
   * alone; others would do nothing. Only the first coordinate of a grid, with a constant extent.
   */
  readonly listed?: string;
}

/** Global memory, row-major. Dimensions may name run-time symbols. */
export interface KernelBuffer {
  readonly name: string;
  readonly dtype: ElementType;
  readonly dims: readonly Dim[];
  readonly access: "read" | "write" | "readwrite";
}

/**
 * Local memory of one block. Sizes are known at compile time. The space is one of the target's:
 * "register" (fully unrolled), "scratch" (addressable), for WGSL "workgroup", and for Ascend "ub", "l1", "l0a", "l0b", "l0c", and
 * "exchange": global memory through which the cube core and the vector cores of a block hand each other a tile.
 * A tile in "workgroup" is one for all lanes, which a barrier orders: those of a kernel that has one are a workgroup.
 * A tile lives to the end of the statement list that allocates it, and starts undefined.
 */
export interface Tile {
  readonly name: string;
  readonly dtype: ElementType;
  readonly dims: readonly number[];
  readonly space: string;
}

/**
 * A rectangular part of a buffer or tile: one index per dimension of the base. `at` drops the dimension; `range` keeps
 * `extent` elements from `start`; `gather` keeps one element per entry of an i32 tile [extent], which holds the positions.
 */
export interface View {
  readonly base: string;
  readonly index: readonly ViewIndex[];
}

export type ViewIndex =
  | { readonly kind: "at"; readonly at: ScalarExpr }
  | { readonly kind: "range"; readonly start: ScalarExpr; readonly extent: number }
  | { readonly kind: "gather"; readonly positions: string; readonly extent: number };

/** Which four bits of a byte. */
export type Half = "low" | "high";

export type Statement =
  /**
   * Serial loop over from, from + step, … below to. `step` is a positive constant. `shared`: iterations write different elements and
   * read nothing that another one writes, and the cores that work on one block may share them.
   * `unroll`: a hint, how many iterations are best written one after the other.
   */
  | {
      readonly kind: "for";
      readonly name: string;
      readonly from: ScalarExpr;
      readonly to: ScalarExpr;
      readonly step: number;
      readonly shared?: true;
      readonly unroll?: number;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "if";
      readonly condition: ScalarExpr;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  /** An immutable scalar, visible to the end of the list. */
  | { readonly kind: "let"; readonly name: string; readonly value: ScalarExpr }
  | { readonly kind: "alloc"; readonly tile: Tile }
  /** Every element of dst becomes the value (no elements are read). */
  | { readonly kind: "fill"; readonly dst: View; readonly value: ScalarExpr }
  /** One element. */
  | { readonly kind: "set"; readonly base: string; readonly index: readonly ScalarExpr[]; readonly value: ScalarExpr }
  /**
   * dst = src, converted to dst's dtype (to nearest even). With `valid`, one count per dimension of the view: elements at or
   * beyond it are not read from src (dst gets zero), or not written to dst, where that is global or in "exchange".
   */
  | { readonly kind: "copy"; readonly dst: View; readonly src: View; readonly valid?: readonly ScalarExpr[] }
  /**
   * Elementwise over dst's shape. `inputs` bind names in `value` to elements; an input's view has dst's shape, or a suffix
   * of it, or 1 where dst has more (then it is repeated). Other variables are scalars in scope. Arithmetic is f32 (or i32
   * for i32 tiles); f16, bf16 and f8 inputs widen. With `valid` as for copy, on global memory of any input or dst.
   */
  | {
      readonly kind: "map";
      readonly dst: View;
      readonly inputs: readonly { readonly name: string; readonly view: View }[];
      readonly value: ScalarExpr;
      readonly valid?: readonly ScalarExpr[];
    }
  /**
   * acc[m, n] += Σ_k a[m, k]·b[n, k], summed in f32; a and b of one float dtype, or one of them f32.
   * Or in i32, of a in i8 and b in u8 or i8, beside which a is −127 … 127; `half`: each element of b in u8 is the low or high half of its byte, or what `values` has for it.
   * With `init` true, acc counts as zero before. `rows`: only the first so many rows of a and acc take part.
   * `transposed`: b is [k, n].
   */
  | {
      readonly kind: "mma";
      readonly acc: View;
      readonly a: View;
      readonly b: View;
      readonly half?: Half;
      readonly values?: readonly number[];
      readonly init?: ScalarExpr;
      readonly rows?: ScalarExpr;
      readonly transposed?: true;
    }
  /** dst[...] = sum or max of src over its last dimension. */
  | { readonly kind: "reduce"; readonly op: "sum" | "max"; readonly dst: View; readonly src: View }
  /** The extent(ids) largest of keys [n], descending, lowest index first on ties. keys are destroyed. */
  | { readonly kind: "top_k"; readonly keys: View; readonly ids: View }
  /** No lane of a workgroup goes on before all have come here; each then sees what the others wrote to tiles in "workgroup". */
  | { readonly kind: "barrier" }
  /**
   * A hint that a view of global memory is read soon, or what lies `ahead` elements behind it. Changes nothing; the view lies inside
   * its buffer all the same, what is ahead of it need not.
   */
  | { readonly kind: "prefetch"; readonly src: View; readonly ahead?: ScalarExpr };
