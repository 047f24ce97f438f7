import type { Choice } from "./definition.ts";
import { slack, tiny32, u32 } from "./reals.ts";
import type { Scores } from "./scores.ts";

/** Limits the choice to experts of the best groups; see `Router`. The experts of group g are those from g·size on. */
export interface Groups {
  readonly size: number;
  readonly keep: number;
  readonly by: "max" | "top2";
}

/** All indices by descending key; the lowest comes first among equal keys, NaN last. */
function sorted(keys: Float64Array): Int32Array {
  const order = Int32Array.from(keys, (_, i) => i);
  const comparable = keys.map((key) => (Number.isNaN(key) ? Number.NEGATIVE_INFINITY : key));
  return order.sort((a, b) => (comparable[a] === comparable[b] ? a - b : comparable[b] - comparable[a]));
}

/**
 * True where the exact keys, rounded within their bounds, leave `a` before `b`, or may: equal exact keys go by id. NaN has no place in
 * an order, and targets differ in where they put it.
 */
function mayPrecede(keys: Scores, a: number, b: number): boolean {
  const room = (keys.bound?.[a] ?? 0) + (keys.bound?.[b] ?? 0);
  if (keys.values[a] === keys.values[b]) return room > 0 || a < b;
  return !(keys.values[a] - keys.values[b] < -room);
}

/** True where rounding may change which are the first `k`: a chosen key lies within the sum of the bounds above a later one. */
function mayChange(keys: Scores, order: Int32Array, k: number, among: number): boolean {
  if (keys.values.some(Number.isNaN)) return true;
  if (keys.bound === undefined) return false;
  for (let i = 0; i < k; i++)
    for (let j = Math.max(i + 1, among); j < order.length; j++) if (mayPrecede(keys, order[j], order[i])) return true;
  return false;
}

/**
 * The `k` experts with the largest keys of one token, in descending order, the lowest id first among equal keys; with groups only
 * experts of the kept groups. `ambiguous` where rounding may change which are chosen, or their order; exactly equal keys without
 * error are not ambiguous: the tie rule decides.
 */
function select(
  keys: Scores,
  k: number,
  groups: Groups | undefined,
): { readonly ids: Int32Array; readonly ambiguous: boolean } {
  if (groups === undefined) {
    const order = sorted(keys.values);
    return { ids: order.slice(0, k), ambiguous: mayChange(keys, order, k, 0) };
  }
  const rank = groupKeys(keys, groups);
  const best = sorted(rank.values);
  const kept = new Set(best.subarray(0, groups.keep));
  const order = sorted(keys.values).filter((e) => kept.has(Math.floor(e / groups.size)));
  // The order of groups means nothing, only which are kept.
  const ambiguous = mayChange(rank, best, groups.keep, groups.keep) || mayChange(keys, order, k, 0);
  return { ids: order.slice(0, k), ambiguous };
}

/**
 * True where rounding within the bounds explains the choice: distinct experts that exist, each of which may precede all that
 * are chosen after it and all that are not chosen. With groups, those of groups that may be kept together with the chosen ones.
 */
function explains(keys: Scores, choice: Int32Array, groups: Groups | undefined): boolean {
  const experts = keys.values.length;
  const size = groups?.size ?? experts;
  const chosen = new Set<number>();
  /** Groups with an expert that the choice should have preferred. */
  const better = new Set<number>();
  for (const id of choice) {
    if (id < 0 || id >= experts || chosen.has(id)) return false;
    chosen.add(id);
    for (let other = 0; other < experts; other++)
      if (!chosen.has(other) && !mayPrecede(keys, id, other)) better.add(Math.floor(other / size));
  }
  if (groups === undefined) return better.size === 0;
  const rank = groupKeys(keys, groups);
  const used = new Set([...chosen].map((id) => Math.floor(id / size)));
  let possible = 0;
  for (let g = 0; g < rank.values.length; g++) {
    let before = 0;
    let surelyBefore = 0;
    for (let other = 0; other < rank.values.length; other++) {
      if (other === g) continue;
      if (mayPrecede(rank, other, g)) before++;
      if (!mayPrecede(rank, g, other)) surelyBefore++;
    }
    const mustBeKept = before < groups.keep;
    const mayBeKept = surelyBefore < groups.keep;
    if ((better.has(g) && (mustBeKept || used.has(g))) || (used.has(g) && !mayBeKept)) return false;
    if (mayBeKept && !better.has(g)) possible++;
  }
  return possible >= groups.keep;
}

/** How good each group is. The i-th largest of inexact keys is off by at most the largest of their bounds. */
function groupKeys(keys: Scores, { size, by }: Groups): Scores {
  const count = keys.values.length / size;
  const values = new Float64Array(count);
  const bound = keys.bound === undefined && by === "max" ? undefined : new Float64Array(count);
  for (let g = 0; g < count; g++) {
    const [first = 0, second = 0] = keys.values.slice(g * size, (g + 1) * size).sort((a, b) => b - a);
    values[g] = by === "max" ? first : first + second;
    if (bound === undefined) continue;
    let error = 0;
    for (let e = g * size; e < (g + 1) * size; e++) error = Math.max(error, keys.bound?.[e] ?? 0);
    if (by === "top2") {
      error *= 2;
      error += (u32 + slack) * (Math.abs(values[g]) + error) + tiny32;
    }
    bound[g] = error;
  }
  return { values, bound };
}

/**
 * The choice of each of `rows` rows of `n` keys: that of `select`, or a given one that rounding explains.
 * Reports rows that are ambiguous, and rows whose given choice nothing explains.
 */
export function selectRows(
  keys: Scores,
  { rows, n, k }: { readonly rows: number; readonly n: number; readonly k: number },
  groups: Groups | undefined,
  { given, trusted, report }: Choice,
): Int32Array {
  const ids = new Int32Array(rows * k);
  const ambiguous: number[] = [];
  const wrong: number[] = [];
  for (let row = 0; row < rows; row++) {
    const own: Scores = {
      values: keys.values.subarray(row * n, (row + 1) * n),
      bound: keys.bound?.subarray(row * n, (row + 1) * n),
    };
    const best = select(own, k, groups);
    if (best.ambiguous) ambiguous.push(row);
    const choice = given?.subarray(row * k, (row + 1) * k);
    const accepted =
      choice === undefined || trusted || choice.every((id, i) => id === best.ids[i]) || explains(own, choice, groups);
    if (!accepted) wrong.push(row);
    ids.set(choice !== undefined && accepted ? choice : best.ids, row * k);
  }
  report({ ambiguous, wrong });
  return ids;
}
