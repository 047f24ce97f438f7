import type { Operation } from "../../ir/core/layer.ts";
import { apply, f32, type ScalarExpr, variable } from "../../ir/core/scalar.ts";
import type { ProgramBuffer } from "../program.ts";
import type { Target } from "../target.ts";
import { type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, type Int, int, min } from "../tile/fold.ts";
import type { Kernel, KernelBuffer, Tile } from "../tile/types.ts";
import { type Stretch, stretches, tileWidth, validOf } from "./columns.ts";
import type { ScheduleContext } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** How terms of a row are joined. */
const joins = { sum: "add", max: "max" } as const;
const identities = { sum: 0, max: Number.NEGATIVE_INFINITY } as const;

/** Stretches that are summed up before their sum joins those of others. */
const sumStretches = 64;

const variableOf = (name: string): ScalarExpr => variable(name, "f32");

/** A kernel with one block per row of its first operand, which it reads in stretches as wide as the target's vector work. */
export class RowKernel {
  readonly b: KernelBuilder;
  readonly target: Target;
  readonly x: KernelBuffer;
  readonly y: KernelBuffer;
  readonly columns: number;
  /** The row's place in all dimensions but the last. */
  readonly row: readonly ScalarExpr[];
  readonly #vectors: readonly KernelBuffer[];

  /**
   * @param vectors further operands, which the columns of every row share
   * @param result where the rows go
   */
  constructor(
    operation: Operation,
    context: ScheduleContext,
    summary: string,
    vectors: readonly number[] = [],
    result: ProgramBuffer = context.buffer(resultOf(operation)),
  ) {
    this.target = context.target;
    const [x = resultOf(operation)] = operation.operands;
    this.b = kernelBuilder(kernelName(operation, context, result), originOf(operation, summary));
    this.x = this.b.read(operandBuffer(operation, 0, context));
    this.#vectors = vectors.map((i) => this.b.read(operandBuffer(operation, i, context)));
    this.y = this.b.write(result);
    this.columns = columnsOf(x, context);
    this.row = this.x.dims.slice(0, -1).map((d, i) => this.b.grid(i === 0 ? "row" : `row${i}`, d));
  }

  build(): readonly Kernel[] {
    return [this.b.build()];
  }

  /** Part of the row in a tile of its own; elements beyond a stretch's `valid` are zero. */
  part(space: string, { start, width, ...rest }: Stretch): Tile {
    const tile = this.b.alloc("part", this.x.dtype, [width], space);
    this.b.copy(whole(tile), view(this.x, ...this.row, range(start, width)), validOf({ start, width, ...rest }));
    return tile;
  }

  /** As `part`, in f32. */
  floats(space: string, stretch: Stretch): Tile {
    const part = this.part(space, stretch);
    if (part.dtype === "f32") return part;
    const tile = this.b.alloc("floats", "f32", part.dims, space);
    this.b.map(whole(tile), { x: whole(part) }, ({ x }) => x);
    return tile;
  }

  /**
   * The sum or maximum of a term of each element of the row. Whole stretches are joined element by element, in blocks, so that long
   * sums of positive terms, whose roundings are not independent, stay exact; what is left of the row has a tile of its own size.
   */
  reduce(op: keyof typeof joins, name: string, term: (x: ScalarExpr) => ScalarExpr): ScalarExpr {
    const { b, columns, target } = this;
    const width = tileWidth(target, columns);
    const full = Math.floor(columns / width) * width;
    const join = (a: ScalarExpr, c: ScalarExpr): ScalarExpr => apply(joins[op], a, c);
    const result = b.alloc(`${name}_of`, "f32", [1], target.scratch);
    const terms = (space: string, start: Int, size: number): Tile => {
      const part = this.part(space, { start: int(start), width: size });
      const tile = b.alloc(`${name}_terms`, "f32", [size], space);
      b.map(whole(tile), { x: whole(part) }, (v) => term(v.x));
      return tile;
    };
    const block = sumStretches * width;
    if (full > block) b.set(result, 0, f32(identities[op]));
    b.forLoop("block", 0, full, block, (first) => {
      const { space } = target.vector;
      const joined = terms(space, first, width);
      b.forLoop("column", add(first, width), min(add(first, block), full), width, (start) => {
        const part = this.part(space, { start, width });
        b.map(whole(joined), { joined: whole(joined), x: whole(part) }, (v) => join(v.joined, term(v.x)));
      });
      const own = full > block ? b.alloc(`${name}_block`, "f32", [1], target.scratch) : result;
      b.reduce(op, view(own, 0), whole(joined));
      if (own !== result) b.set(result, 0, join(load(result, 0), load(own, 0)));
    });
    if (full < columns) {
      const rest = terms(target.scratch, full, columns - full);
      const own = full > 0 ? b.alloc(`${name}_rest`, "f32", [1], target.scratch) : result;
      b.reduce(op, view(own, 0), whole(rest));
      if (own !== result) b.set(result, 0, join(load(result, 0), load(own, 0)));
    }
    return b.letScalar(name, load(result, 0));
  }

  /** A scalar by a function that a scalar unit may lack, such as a square root. */
  scalar(name: string, of: ScalarExpr, fn: (v: ScalarExpr) => ScalarExpr): ScalarExpr {
    const { b, target } = this;
    const [from, to] = [`${name}_from`, `${name}_to`].map((hint) => b.alloc(hint, "f32", [1], target.scratch)) as [
      Tile,
      Tile,
    ];
    b.set(from, 0, of);
    b.map(whole(to), { v: whole(from) }, ({ v }) => fn(v));
    return b.letScalar(name, load(to, 0));
  }

  /** Every element of the result as a function of the one of x and those of the vectors. */
  map(fn: (x: ScalarExpr, vectors: readonly ScalarExpr[]) => ScalarExpr): void {
    const { b, target, y } = this;
    const { space } = target.vector;
    stretches(b, target, this.columns, (stretch) => {
      const { start, width } = stretch;
      const vectors = this.#vectors.map((vector) => {
        const tile = b.alloc(`${vector.name}_part`, vector.dtype, [width], space);
        b.copy(whole(tile), view(vector, range(start, width)), validOf(stretch));
        return tile;
      });
      const part = this.part(space, stretch);
      const out = b.alloc(`${y.name}_part`, y.dtype, [width], space);
      const names = vectors.map((_, i) => `v${i}`);
      b.map(
        whole(out),
        { x: whole(part), ...Object.fromEntries(names.map((n, i) => [n, whole(vectors[i] as Tile)])) },
        fn(variableOf("x"), names.map(variableOf)),
      );
      b.copy(view(y, ...this.row, range(start, width)), whole(out), validOf(stretch));
    });
  }
}
