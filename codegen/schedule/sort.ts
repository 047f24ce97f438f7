import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import type { Operation } from "../../ir/core/layer.ts";
import { element, type ScalarExpr } from "../../ir/core/scalar.ts";
import { type KernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, eq, int, lt, mul, not } from "../tile/fold.ts";
import type { KernelBuffer } from "../tile/types.ts";
import type { ScheduleContext } from "./context.ts";
import { resultOf, sizeAttribute } from "./elementwise.ts";

/** What a stable counting sort of slots by expert reads and writes. */
export interface Sort {
  readonly tokens: ScalarExpr;
  readonly topK: number;
  /** Those that rows are sorted by; slots of others get none. */
  readonly experts: number;
  idOf(token: ScalarExpr, k: ScalarExpr): ScalarExpr;
  readonly offsets: KernelBuffer;
  readonly slots: KernelBuffer;
  readonly rows: KernelBuffer;
  /** Lists the experts that have rows. */
  readonly hit: KernelBuffer | undefined;
}

/** Declares what a dispatch writes. */
export function sortOf(b: KernelBuilder, operation: Operation, context: ScheduleContext, idOf: Sort["idOf"]): Sort {
  const [tokens, topK] = (operation.operands[0]?.type.dims ?? []) as readonly [Dim, Dim];
  const [offsets, slots, rows] = [0, 1, 2].map((i) => b.write(context.buffer(resultOf(operation, i))));
  if (!offsets || !slots || !rows) throw new IrError("dispatch has three results", "Give dispatch its results.");
  const list = context.list(resultOf(operation));
  return {
    tokens: dimExpr(context.dim(tokens)),
    topK: context.size(topK),
    experts: sizeAttribute(operation, "ffn", context),
    idOf,
    offsets,
    slots,
    rows,
    hit: list && b.write(list),
  };
}

/** In one block: counts, first rows, and the place of one slot after the other. */
export function sortSlots(b: KernelBuilder, sort: Sort, space: string): void {
  const { tokens, topK, experts, offsets, slots, rows, hit } = sort;
  const next = b.alloc("next", "i32", [experts + 1], space);
  b.fill(whole(next), 0);
  const eachSlot = (body: (slot: ScalarExpr, expert: ScalarExpr) => void): void =>
    b.forLoop("token", 0, tokens, 1, (token) =>
      b.forLoop("k", 0, topK, 1, (k) =>
        body(b.letScalar("slot", add(mul(token, topK), k)), b.letScalar("expert", sort.idOf(token, k))),
      ),
    );
  eachSlot((_, expert) =>
    b.when(lt(expert, experts), () => b.set(next, add(expert, 1), add(element(next.name, "i32", [add(expert, 1)]), 1))),
  );
  if (hit) {
    const found = b.alloc("found", "i32", [1], space);
    b.set(found, 0, 0);
    b.forLoop("expert", 0, experts, 1, (expert) =>
      b.when(lt(0, load(next, add(expert, 1))), () => {
        b.set(found, 0, add(load(found, 0), 1));
        b.set(hit, load(found, 0), expert);
      }),
    );
    b.set(hit, 0, load(found, 0));
  }
  b.forLoop("expert", 0, experts, 1, (expert) =>
    b.set(next, add(expert, 1), add(load(next, expert), load(next, add(expert, 1)))),
  );
  b.copy(view(offsets, range(0, experts + 1)), whole(next));
  const placed = b.letScalar("placed", load(next, experts));
  eachSlot((slot, expert) =>
    b.when(
      lt(expert, experts),
      () => {
        const row = b.letScalar("row", load(next, expert));
        b.set(slots, row, slot);
        b.set(rows, slot, row);
        b.set(next, expert, add(row, 1));
      },
      () => b.set(rows, slot, -1),
    ),
  );
  b.forLoop("row", placed, mul(tokens, topK), 1, (row) => b.set(slots, row, -1));
}

/**
 * By the lanes of a workgroup: each counts the slots of some experts and then places them, reading all ids in order, so that no two
 * write to one place.
 */
export function sortInLanes(
  b: KernelBuilder,
  sort: Sort,
  { lane, lanes, scratch }: { readonly lane: ScalarExpr; readonly lanes: number; readonly scratch: string },
): void {
  const { tokens, topK, experts, offsets, slots, rows, hit } = sort;
  const first = b.alloc("first_row", "i32", [experts + 1], "workgroup");
  const next = b.alloc("next", "i32", [1], scratch);
  const increment = (): void => b.set(next, 0, add(load(next, 0), 1));
  /** The lane's share of numbers below a count. */
  const share = (name: string, count: ScalarExpr | number, body: (own: ScalarExpr) => void): void =>
    b.forLoop("share", 0, count, lanes, (from) => {
      const own = b.letScalar(name, add(from, lane));
      if (typeof count === "number" && count % lanes === 0) body(own);
      else b.when(lt(own, count), () => body(own));
    });
  const eachSlot = (body: (slot: ScalarExpr, expert: ScalarExpr) => void): void =>
    b.forLoop("token", 0, tokens, 1, (token) =>
      b.forLoop("k", 0, topK, 1, (k) => body(add(mul(token, topK), k), sort.idOf(token, k))),
    );
  share("counted", experts, (own) => {
    b.set(next, 0, 0);
    eachSlot((_, expert) => b.when(eq(expert, own), increment));
    b.set(first, add(own, 1), load(next, 0));
  });
  b.barrier();
  b.when(eq(lane, 0), () => {
    if (hit) b.set(next, 0, 0);
    b.set(first, 0, 0);
    b.forLoop("expert", 0, experts, 1, (expert) => {
      const count = b.letScalar("count", load(first, add(expert, 1)));
      if (hit)
        b.when(lt(0, count), () => {
          increment();
          b.set(hit, load(next, 0), expert);
        });
      b.set(first, add(expert, 1), add(load(first, expert), count));
    });
    if (hit) b.set(hit, 0, load(next, 0));
  });
  b.barrier();
  share("entry", experts + 1, (own) => b.set(offsets, own, load(first, own)));
  share("placed", experts, (own) => {
    b.set(next, 0, load(first, own));
    eachSlot((slot, expert) =>
      b.when(eq(expert, own), () => {
        const row = b.letScalar("row", load(next, 0));
        b.set(slots, row, slot);
        b.set(rows, slot, row);
        increment();
      }),
    );
  });
  // Slots of other experts have no row, and as many rows no slot.
  share("token", tokens, (token) =>
    b.forLoop("k", 0, topK, 1, (k) => {
      const slot = b.letScalar("slot", add(mul(token, topK), k));
      b.when(not(lt(sort.idOf(token, k), experts)), () => b.set(rows, slot, int(-1)));
      b.when(not(lt(slot, load(first, experts))), () => b.set(slots, slot, int(-1)));
    }),
  );
}
