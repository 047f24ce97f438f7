import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor, TensorStorage } from "../core/tensor.ts";
import { formatType, isFloat, isReal, typesEqual } from "../core/types.ts";
import { countAttribute, isAttributeMap, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { blockCount } from "./product-types.ts";
import { count, realsOf } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/**
 * Weights in blocks of `rows` output columns by `depth` elements, those of all weights next to each other, padded with zeros:
 * element [(e,) i, j, q·rows + r, d] = w_q[(e,) i·rows + r, j·depth + d].
 *
 * The numbers of blocks ⌈n/rows⌉ and ⌈k/depth⌉ are no polynomials: where n or k is a symbol whose factor is no multiple of
 * the block, `blocks`: {rows, depth} says them, and is checked once the sizes are known.
 */
export const pack: OpDefinition = {
  name: "pack",
  summary:
    "w₀ [(E,) n, k] … → [(E,) ⌈n/rows⌉, ⌈k/depth⌉, #w·rows, depth]: layout for register-blocked products, zero-padded",
  infer(operands, attributes, regions) {
    onlyAttributes("pack", attributes, ["rows", "depth", "blocks"]);
    expectOperands("pack", operands, 1, Number.POSITIVE_INFINITY, "at least one weight");
    expectNoRegions("pack", regions);
    const first = operandAt(operands, 0);
    for (const w of operands) {
      if (!isReal(w.dtype) || w.dims.length < 2 || w.dims.length > 3)
        throw new IrError(`pack takes float weights [n, k] or [E, n, k], found ${formatType(w)}`, "Give such weights.");
      if (!typesEqual(w, first))
        throw new IrError(
          `weights packed together differ: ${formatType(first)} vs ${formatType(w)}`,
          "Pack weights of one shape and type together.",
        );
    }
    const rows = countAttribute("pack", attributes, "rows");
    const depth = countAttribute("pack", attributes, "depth");
    const blocks = [
      blocksOf(attributes, "rows", dimAt(first, -2), rows),
      blocksOf(attributes, "depth", dimAt(first, -1), depth),
    ];
    const dims = [...first.dims.slice(0, -2), ...blocks, operands.length * rows, depth].map((d) => Dim.of(d));
    return [{ dtype: first.dtype, dims }];
  },
  evaluate(operands, attributes) {
    const weights = operands as readonly [Tensor, ...Tensor[]];
    const rows = countAttribute("pack", attributes, "rows");
    const depth = countAttribute("pack", attributes, "depth");
    const [n = 1, k = 1] = weights[0].dims.slice(-2);
    blocksOf(attributes, "rows", Dim.of(n), rows);
    blocksOf(attributes, "depth", Dim.of(k), depth);
    const groups = weights[0].dims.slice(0, -2);
    const shape = { experts: count(groups), n, k, rows, depth };
    const first = weights[0];
    const storage = weights.map((w) => (isFloat(w.dtype) ? w.data : realsOf(w)));
    const data = packed(storage, shape, (length) => emptyLike(storage[0], length));
    const dims = [...groups, Math.ceil(n / rows), Math.ceil(k / depth), weights.length * rows, depth];
    if (weights.every((w) => w.bound === undefined)) return [{ dtype: first.dtype, dims, data }];
    const bounds = weights.map((w) => w.bound ?? new Float64Array(w.data.length));
    return [{ dtype: first.dtype, dims, data, bound: packed(bounds, shape, (length) => new Float64Array(length)) }];
  },
  flops: () => 0,
};

function blocksOf(attributes: AttributeMap, which: "rows" | "depth", size: Dim, block: number): Dim {
  const known = blockCount(size, block);
  const said = attributes.blocks;
  if (said === undefined) {
    if (known !== undefined) return known;
    throw new IrError(
      `the number of blocks of ${block} in ${size} is not known`,
      `Say the numbers of blocks with blocks: {rows, depth}, or give ${size.symbols.join(" and ")} a value first.`,
    );
  }
  if (typeof said !== "object" || !isAttributeMap(said))
    throw new IrError("blocks of pack is {rows, depth}", "Give both numbers of blocks.");
  const blocks = Dim.of(countAttribute("pack", said, which));
  if (known?.constant !== undefined && !known.equals(blocks))
    throw new IrError(`${size} has ${known} blocks of ${block}, but pack says ${blocks}`, `Write ${known}.`);
  return blocks;
}

interface PackShape {
  readonly experts: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly depth: number;
}

function emptyLike<S extends TensorStorage>(data: S, length: number): S {
  return new (data.constructor as new (length: number) => S)(length);
}

function packed<S extends TensorStorage>(weights: readonly S[], shape: PackShape, make: (length: number) => S): S {
  const { experts, n, k, rows, depth } = shape;
  const rowBlocks = Math.ceil(n / rows);
  const depthBlocks = Math.ceil(k / depth);
  const out = make(experts * rowBlocks * depthBlocks * weights.length * rows * depth);
  for (let e = 0; e < experts; e++)
    for (let row = 0; row < n; row++) {
      const i = e * rowBlocks + Math.floor(row / rows);
      for (let j = 0; j < depthBlocks; j++)
        weights.forEach((w, q) => {
          const from = (e * n + row) * k + j * depth;
          const length = Math.min(depth, k - j * depth);
          const to = (((i * depthBlocks + j) * weights.length + q) * rows + (row % rows)) * depth;
          out.set(w.subarray(from, from + length), to);
        });
    }
  return out;
}
