import { apply, bool, f32, i32, type ScalarExpr } from "../../ir/core/scalar.ts";
import type { ElementType } from "../../ir/core/types.ts";
import { at, gather, type KernelBuilder, kernelBuilder, load, range, view, whole } from "./builder.ts";
import { add, floorDiv, lt, max, min, mod, mul, select, sub } from "./fold.ts";
import type { Kernel, Tile, View } from "./types.ts";

/** Numbers in [0, 1) from a seed, by a linear congruence. */
export function seeded(seed: number): () => number {
  let state = (Math.imul(seed, 2654435761) + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const columns = 8;

/**
 * A random legal kernel over `x: f32[T, 8]`, `slots: i32[T]` and `y: f32[T, 8]`. Each block computes one row of y by
 * statements of every kind, so that running it in any order of blocks gives the same.
 */
export function randomKernel(seed: number): Kernel {
  return new RandomKernel(seed).make();
}

class RandomKernel {
  readonly #random: () => number;
  readonly #builder: KernelBuilder;
  readonly #ints: ScalarExpr[] = [];
  /** Tiles of one row, defined in full. */
  readonly #rows: Tile[] = [];

  constructor(seed: number) {
    this.#random = seeded(seed);
    const span = { file: 'random "kernel".ts', line: seed, column: 2, length: 3 };
    this.#builder = kernelBuilder(`random_${seed}`, { op: "map", summary: `seed ${seed} → statements`, span });
  }

  make(): Kernel {
    const k = this.#builder;
    const x = k.buffer("x", "f32", ["T", columns], "read");
    const slots = k.buffer("slots", "i32", ["T"], "read");
    const y = k.buffer("y", "f32", ["T", columns], "write");
    const token = k.grid("token", "T");
    const source = k.letScalar("source", mod(load(slots, token), add(token, 1)));
    this.#ints.push(token, source);
    const row = k.alloc("row", this.#pick<ElementType>(["f32", "bf16", "f16"]), [columns], "scratch");
    k.copy(whole(row), view(x, source, range(0, columns)), this.#chance(0.3) ? { valid: [this.#int(1)] } : {});
    this.#rows.push(row);
    this.#statements(3);
    const last = this.#pick(this.#rows);
    k.map(view(y, token, range(0, columns)), { value: whole(last) }, ({ value }) => this.#float(value, 2));
    return k.build();
  }

  #statements(depth: number): void {
    const [rows, ints] = [this.#rows.length, this.#ints.length];
    for (let n = 1 + Math.floor(this.#random() * 3); n > 0; n--) this.#statement(depth);
    if (depth < 3) {
      this.#rows.length = rows;
      this.#ints.length = ints;
    }
  }

  #statement(depth: number): void {
    const k = this.#builder;
    const row = this.#pick(this.#rows);
    switch (Math.floor(this.#random() * (depth > 0 ? 9 : 7))) {
      case 0: {
        const tile = k.alloc("tile", "f32", [columns], this.#pick(["scratch", "register", "ub"]));
        k.fill(whole(tile), this.#float(f32(this.#random() - 0.5), 1));
        this.#rows.push(tile);
        return;
      }
      case 1:
        k.set(this.#scratch(), max(0, min(columns - 1, this.#int(2))), this.#float(f32(2), 2));
        return;
      case 2:
        k.map(whole(row), { a: whole(row), b: whole(this.#pick(this.#rows)) }, ({ a, b }) =>
          this.#float(apply(this.#pick(["add", "mul", "min"] as const), a, b), 2),
        );
        return;
      case 3: {
        const sum = k.alloc("sum", "f32", [1], "scratch");
        k.reduce(this.#pick(["sum", "max"] as const), view(sum, 0), whole(row));
        k.map(whole(row), { a: whole(row), s: whole(sum) }, ({ a, s }) => apply("sub", a, s));
        return;
      }
      case 4: {
        const keys = k.alloc("keys", "f32", [columns], "scratch");
        k.copy(whole(keys), whole(row));
        const ids = k.alloc("ids", "i32", [3], "scratch");
        k.topK(whole(ids), whole(keys));
        const best = k.alloc("best", "f32", [columns], "scratch");
        k.fill(whole(best), 0);
        k.copy(view(best, range(1, 3)), this.#gathered(ids));
        this.#ints.push(k.letScalar("winner", load(ids, 0)));
        this.#rows.push(best);
        return;
      }
      case 5: {
        const acc = k.alloc("acc", "f32", [1, columns], "register");
        const factor = k.alloc("factor", row.dtype, [1, 2], "scratch");
        const weights = k.alloc("weights", row.dtype, [columns, 2], "scratch");
        k.fill(whole(factor), 0.25);
        k.copy(view(weights, range(0, columns), 0), whole(row));
        k.copy(view(weights, range(0, columns), at(1)), whole(row));
        const options = this.#chance(0.5) ? { rows: max(0, this.#int(1)) } : {};
        if (this.#chance(0.5)) k.fill(whole(acc), 1);
        else k.mma(whole(acc), whole(factor), whole(weights), { init: bool(true) });
        k.mma(whole(acc), whole(factor), whole(weights), options);
        k.copy(whole(row), view(acc, 0, range(0, columns)));
        return;
      }
      case 6:
        this.#ints.push(k.letScalar("n", this.#int(3)));
        return;
      case 7:
        k.forLoop("i", 0, max(0, mod(this.#int(2), 5)), 1 + Math.floor(this.#random() * 3), (i) => {
          this.#ints.push(i);
          this.#statements(depth - 1);
          this.#ints.pop();
        });
        return;
      default:
        k.when(
          lt(this.#int(1), this.#int(1)),
          () => this.#statements(depth - 1),
          this.#chance(0.5) ? () => this.#statements(depth - 1) : undefined,
        );
    }
  }

  /** A row that may be indexed by any expression. */
  #scratch(): Tile {
    return this.#pick(this.#rows.filter((r) => r.space !== "register"));
  }

  #gathered(ids: Tile): View {
    return view(this.#scratch(), gather(ids));
  }

  /** A small integer expression. */
  #int(depth: number): ScalarExpr {
    if (depth === 0) return this.#chance(0.5) ? this.#pick(this.#ints) : i32(Math.floor(this.#random() * 9) - 3);
    const [a, b] = [this.#int(depth - 1), this.#int(depth - 1)];
    switch (Math.floor(this.#random() * 6)) {
      case 0:
        return add(a, b);
      case 1:
        return sub(a, b);
      case 2:
        return mod(mul(a, b), 17);
      case 3:
        return floorDiv(a, this.#pick([2, 3, 4]));
      case 4:
        return select(lt(a, b), a, b);
      default:
        return min(a, b);
    }
  }

  /** A float expression that stays finite. */
  #float(x: ScalarExpr, depth: number): ScalarExpr {
    if (depth === 0) return x;
    const inner = this.#float(x, depth - 1);
    switch (Math.floor(this.#random() * 5)) {
      case 0:
        return apply("mul", inner, f32((this.#random() - 0.5) * 10 ** Math.floor(this.#random() * 9 - 7)));
      case 1:
        return apply("add", inner, apply("toFloat", this.#pick(this.#ints)));
      case 2:
        return apply("min", apply("abs", inner), f32(1e21));
      case 3:
        return apply("select", lt(this.#pick(this.#ints), 3), inner, apply("neg", inner));
      default:
        return apply("exp", apply("neg", apply("abs", inner)));
    }
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)];
  }
}
