import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import type { Operation } from "../../ir/core/layer.ts";
import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { type Attention, attentionOf } from "../../ir/ops/attention.ts";
import type { Target } from "../target.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, ceilDiv, dimExpr, eq, floorDiv, int, le, lt, max, min, mod, mul, or, sub } from "../tile/fold.ts";
import type { KernelBuffer, Tile, View } from "../tile/types.ts";
import type { Schedule, ScheduleContext } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** The score of what a query does not see: its exponential is zero beside any real score. */
const unseen = -1e30;

/**
 * Attention that streams over the keys: a block takes some heads of one group, which share keys and values, for a token or some
 * tokens. It works through the keys in stretches, and keeps for each row (a token's head) the largest score so far, the sum of
 * weights and the weighted sum of values, both scaled anew whenever the largest score grows. Nothing of the size tokens × keys is
 * stored.
 */
export const scheduleAttention: Schedule = (operation, context) => {
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, "softmax(scale·q·kᵀ)·v over the keys in stretches"),
  );
  const p = describe(b, operation, context);
  const plan = planFor(context.target, p);
  const token = b.grid("token", p.q.dims[0] as Dim);
  const block = b.grid("heads", p.heads / plan.heads);
  const head = b.letScalar("head", mul(block, plan.heads));
  const group = b.letScalar("group", floorDiv(head, p.heads / p.groups));
  const tile = (tokens: number, first: ScalarExpr): void =>
    new AttentionTile(b, p, plan, { tokens, first, head, group }).emit();
  if (plan.tokens === 1) tile(1, token);
  else
    b.when(eq(mod(token, plan.tokens), 0), () =>
      b.when(
        le(add(token, plan.tokens), p.tokens),
        () => tile(plan.tokens, token),
        () => b.forLoop("single", token, p.tokens, 1, (single) => tile(1, single)),
      ),
    );
  return [b.build()];
};

/** An attention with its buffers and sizes. */
interface Described extends Attention {
  readonly q: KernelBuffer;
  readonly k: KernelBuffer;
  readonly v: KernelBuffer;
  readonly sinks: KernelBuffer | undefined;
  readonly y: KernelBuffer;
  readonly tokens: ScalarExpr;
  readonly keys: ScalarExpr;
  readonly heads: number;
  readonly groups: number;
  /** D */
  readonly depth: number;
  /** M */
  readonly columns: number;
  readonly factor: number;
  /** Most keys that a query sees. */
  readonly limit: number | undefined;
}

function describe(b: KernelBuilder, operation: Operation, context: ScheduleContext): Described {
  const attributes = attentionOf(operation.attributes);
  const [queries, keys] = operation.operands;
  if (!queries || !keys) throw new IrError("attention has queries and keys", "Give attention its operands.");
  const [q, k, v] = [0, 1, 2].map((i) => b.read(operandBuffer(operation, i, context))) as [
    KernelBuffer,
    KernelBuffer,
    KernelBuffer,
  ];
  const sinks = operation.operands.length > 3 ? b.read(operandBuffer(operation, 3, context)) : undefined;
  const depth = columnsOf(queries, context);
  return {
    ...attributes,
    q,
    k,
    v,
    sinks,
    y: b.write(context.buffer(resultOf(operation))),
    tokens: dimExpr(q.dims[0] as Dim),
    keys: dimExpr(k.dims[0] as Dim),
    heads: context.size(q.dims[1] as Dim),
    groups: context.size(k.dims[1] as Dim),
    depth,
    columns: columnsOf(resultOf(operation), context),
    factor: attributes.scale ?? 1 / Math.sqrt(depth),
    limit: attributes.window && context.size(attributes.window),
  };
}

/** Sizes of a block's tile. */
interface Plan {
  /** Heads of one group, and tokens, that a block takes. */
  readonly heads: number;
  readonly tokens: number;
  /** Keys of a stretch. The few that are left over are taken one by one. */
  readonly keys: number;
  /** Whether scores and weighted sums are products of tiles, or rows multiplied and added up one by one. */
  readonly products: boolean;
  /** Whether a single token prefetches what it works on next: where the target's products do. */
  readonly prefetch: boolean;
  readonly space: string;
}

/** Keys whose values, and whose successors, are prefetched together. */
const keysAhead = 8;

/** Rows that share a key's way from memory. More would not fit beside keys and values into a first cache. */
const mostRows = 16;

function planFor({ matmul, vector, scratch: space, spaces }: Target, p: Described): Plan {
  const shared = p.heads / p.groups;
  const capacity = (spaces[space]?.capacity ?? 2 ** 18) / 4;
  if (matmul.kind === "cube") {
    // Keys and values of a stretch take a third of the memory: there are two of each while they are moved, and rows beside them.
    const keys = powerBelow(Math.min(64, capacity / 3 / (p.depth + p.columns)));
    return {
      heads: 1,
      tokens: 1,
      keys,
      products: false,
      prefetch: false,
      space,
    };
  }
  const wide = vector.width >= 16;
  const keys = Math.max(8, vector.width);
  const fitting = Math.floor((0.75 * capacity) / (p.depth + p.columns + 2 * keys));
  const rows = Math.max(1, Math.min(wide ? mostRows : (matmul.rows[0] ?? 1), fitting));
  const heads = largestDivisor(shared, rows);
  return {
    heads,
    tokens: wide ? Math.max(1, Math.floor(rows / heads)) : 1,
    keys,
    products: true,
    prefetch: matmul.prefetch !== undefined,
    space,
  };
}

const powerBelow = (n: number): number => 2 ** Math.max(0, Math.floor(Math.log2(n)));

const largestDivisor = (n: number, most: number): number => {
  for (let d = Math.min(n, most); d > 1; d--) if (n % d === 0) return d;
  return 1;
};

/** Where a tile lies. Row r is head `head` + r mod heads of token `first` + r div heads. */
interface Position {
  readonly tokens: number;
  readonly first: ScalarExpr;
  readonly head: ScalarExpr;
  readonly group: ScalarExpr;
}

/** Emits the attention of some tokens and heads. */
class AttentionTile {
  readonly #b: KernelBuilder;
  readonly #p: Described;
  readonly #plan: Plan;
  readonly #at: Position;
  readonly #rows: number;
  readonly #queries: Tile;
  /** Per row: the largest score so far, the sum of weights, the weighted sum of values. */
  readonly #largest: Tile;
  readonly #total: Tile;
  readonly #sums: Tile;

  constructor(b: KernelBuilder, p: Described, plan: Plan, position: Position) {
    this.#b = b;
    this.#p = p;
    this.#plan = plan;
    this.#at = position;
    this.#rows = position.tokens * plan.heads;
    this.#queries = this.#tile("queries", p.depth);
    this.#largest = this.#tile("largest", 1);
    this.#total = this.#tile("total", 1);
    this.#sums = this.#tile("sums", p.columns);
  }

  #tile(name: string, columns: number): Tile {
    return this.#b.alloc(name, "f32", [this.#rows, columns], this.#plan.space);
  }

  emit(): void {
    const b = this.#b;
    const { keys, tokens, causal, limit } = this.#p;
    this.#start();
    const position = b.letScalar("position", add(sub(keys, tokens), this.#at.first));
    const end = causal ? b.letScalar("end", max(0, add(position, this.#at.tokens))) : keys;
    const from = limit === undefined ? int(0) : b.letScalar("from", max(0, sub(position, limit - 1)));
    const size = this.#plan.keys;
    // A stretch may reach beyond what the last query sees, but not beyond the keys.
    const whole = floorDiv(sub(keys, from), size);
    const count = causal ? min(ceilDiv(sub(end, from), size), whole) : whole;
    const rest = b.letScalar("rest", add(from, mul(max(0, count), size)));
    b.forLoop("key", from, rest, size, (key) => this.#stretch(key, size, position));
    if (size > 1) b.forLoop("key", rest, end, 1, (key) => this.#stretch(key, 1, position));
    this.#finish();
  }

  /** Scaled queries, and sums of nothing: a sink is a score of weight 1 without a value. */
  #start(): void {
    const b = this.#b;
    const { q, sinks, factor, depth } = this.#p;
    const { tokens, first, head } = this.#at;
    const { heads } = this.#plan;
    b.forLoop("token", 0, tokens, 1, (i) => {
      const rows = range(mul(i, heads), heads);
      b.map(
        view(this.#queries, rows, range(0, depth)),
        { q: view(q, add(first, i), range(head, heads), range(0, depth)) },
        (v) => apply("mul", v.q, f32(factor)),
      );
      if (sinks)
        b.forLoop("own", 0, heads, 1, (own) =>
          b.set(this.#largest, [add(mul(i, heads), own), 0], load(sinks, add(head, own))),
        );
    });
    if (!sinks) b.fill(whole(this.#largest), unseen);
    b.fill(whole(this.#total), sinks ? 1 : 0);
    b.fill(whole(this.#sums), 0);
  }

  #stretch(key: ScalarExpr, size: number, position: ScalarExpr): void {
    const b = this.#b;
    const scores = this.#tile("scores", size);
    this.#score(scores, key, size);
    if (this.#p.softCap) b.mapFunction(whole(scores), [whole(scores)], this.#p.softCap);
    this.#mask(scores, key, size, position);

    const part = this.#tile("part", 1);
    const grown = this.#tile("grown", 1);
    const factor = this.#tile("factor", 1);
    b.reduce("max", view(part, range(0, this.#rows), at(0)), whole(scores));
    b.map(whole(grown), { old: whole(this.#largest), part: whole(part) }, (v) => apply("max", v.old, v.part));
    b.map(whole(factor), { old: whole(this.#largest), grown: whole(grown) }, (v) =>
      apply("exp", apply("sub", v.old, v.grown)),
    );
    b.map(whole(this.#largest), { grown: whole(grown) }, (v) => v.grown);
    b.map(whole(scores), { s: whole(scores), grown: whole(grown) }, (v) => apply("exp", apply("sub", v.s, v.grown)));
    b.reduce("sum", view(part, range(0, this.#rows), at(0)), whole(scores));
    b.map(whole(this.#total), { total: whole(this.#total), factor: whole(factor), part: whole(part) }, (v) =>
      apply("add", apply("mul", v.total, v.factor), v.part),
    );
    b.map(whole(this.#sums), { sums: whole(this.#sums), factor: whole(factor) }, (v) => apply("mul", v.sums, v.factor));
    this.#addValues(scores, key, size);
  }

  /** The keys, or values, of a stretch, in the group of the block. */
  #part(buffer: KernelBuffer, key: ScalarExpr, size: number, columns: number): View {
    return view(buffer, range(key, size), at(this.#at.group), range(0, columns));
  }

  #score(scores: Tile, key: ScalarExpr, size: number): void {
    const b = this.#b;
    const { k, depth } = this.#p;
    const part = this.#part(k, key, size, depth);
    if (this.#plan.products) {
      b.fill(whole(scores), 0);
      if (this.#prefetches(size)) this.#scoreAhead(scores, key, size);
      else b.mma(whole(scores), whole(this.#queries), part);
      return;
    }
    const keys = b.alloc("keys", "f32", [size, depth], this.#plan.space);
    b.copy(whole(keys), part);
    b.map(whole(keys), { key: whole(keys), query: view(this.#queries, 0, range(0, depth)) }, (v) =>
      apply("mul", v.key, v.query),
    );
    b.reduce("sum", view(scores, 0, range(0, size)), whole(keys));
  }

  /** A single token waits for memory: what comes next is asked for while it computes. */
  #prefetches(size: number): boolean {
    return this.#plan.prefetch && this.#at.tokens === 1 && size % keysAhead === 0 && size > keysAhead;
  }

  /** Scores of some keys at a time; meanwhile their values are prefetched, and keys of the next stretch. */
  #scoreAhead(scores: Tile, key: ScalarExpr, size: number): void {
    const b = this.#b;
    const { k, v, keys, depth, columns } = this.#p;
    // Within the keys, if there are no more: the same again.
    const ahead = b.letScalar("ahead", max(0, min(add(key, size), sub(keys, size))));
    b.forLoop("some", 0, size, keysAhead, (some) => {
      b.prefetch(this.#part(v, add(key, some), keysAhead, columns));
      b.prefetch(this.#part(k, add(ahead, some), keysAhead, depth));
      const part = view(scores, range(0, this.#rows), range(some, keysAhead));
      b.mma(part, whole(this.#queries), this.#part(k, add(key, some), keysAhead, depth));
    });
  }

  /** sums += weights · values. */
  #addValues(weights: Tile, key: ScalarExpr, size: number): void {
    const b = this.#b;
    const { v, columns } = this.#p;
    const part = this.#part(v, key, size, columns);
    if (this.#plan.products) {
      b.mma(whole(this.#sums), whole(weights), part, { transposed: true });
      return;
    }
    const values = b.alloc("values", "f32", [size, columns], this.#plan.space);
    b.copy(whole(values), part);
    const sums = view(this.#sums, 0, range(0, columns));
    b.forLoop("i", 0, size, 1, (i) => {
      const weight = b.letScalar("weight", load(weights, 0, i));
      b.map(sums, { sum: sums, value: view(values, i, range(0, columns)) }, (x) =>
        apply("add", x.sum, apply("mul", weight, x.value)),
      );
    });
  }

  /** Scores of what a row's token does not see become `unseen`, in stretches that hold such keys for some row. */
  #mask(scores: Tile, key: ScalarExpr, size: number, position: ScalarExpr): void {
    const b = this.#b;
    const { causal, limit } = this.#p;
    const { tokens } = this.#at;
    const { heads } = this.#plan;
    if (!causal || (tokens === 1 && size === 1)) return;
    const late = lt(add(position, 1), add(key, size));
    const early = limit === undefined || tokens === 1 ? lt(1, 0) : lt(key, sub(add(position, tokens), limit));
    b.when(or(late, early), () => {
      const places = b.alloc("places", "i32", [size], this.#plan.space);
      b.forLoop("i", 0, size, 1, (i) => b.set(places, i, add(key, i)));
      b.forLoop("token", 0, tokens, 1, (i) => {
        const own = b.letScalar("own", add(position, i));
        const rows = view(scores, range(mul(i, heads), heads), range(0, size));
        b.map(rows, { s: rows, place: whole(places) }, (v) => {
          const seen = apply("le", v.place, own);
          const recent = limit === undefined ? seen : apply("and", seen, apply("lt", sub(own, limit), v.place));
          return apply("select", recent, v.s, f32(unseen));
        });
      });
    });
  }

  /** The sums over the sum of weights; zero for a token that sees no key. */
  #finish(): void {
    const b = this.#b;
    const { y, columns } = this.#p;
    const { tokens, first, head } = this.#at;
    const { heads } = this.#plan;
    const inverse = this.#tile("inverse", 1);
    b.map(whole(inverse), { largest: whole(this.#largest), total: whole(this.#total) }, (v) =>
      apply(
        "select",
        apply("lt", v.largest, f32(unseen / 2)),
        f32(0),
        apply("div", f32(1), apply("max", v.total, f32(0.5))),
      ),
    );
    b.map(whole(this.#sums), { sums: whole(this.#sums), inverse: whole(inverse) }, (v) =>
      apply("mul", v.sums, v.inverse),
    );
    b.forLoop("token", 0, tokens, 1, (i) =>
      b.copy(
        view(y, add(first, i), range(head, heads), range(0, columns)),
        view(this.#sums, range(mul(i, heads), heads), range(0, columns)),
      ),
    );
  }
}
