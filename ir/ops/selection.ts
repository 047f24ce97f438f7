import type { Scores } from "./scores.ts";

/** All experts by descending key; the lowest id comes first among equal keys. */
export function select(keys: Float64Array): Int32Array {
  const order = Int32Array.from(keys, (_, i) => i);
  return order.sort((a, b) => keys[b] - keys[a] || a - b);
}

/** True where the exact keys, rounded within their bounds, leave `a` before `b`, or may: equal exact keys go by id. */
function mayPrecede(keys: Scores, a: number, b: number): boolean {
  const room = (keys.bound?.[a] ?? 0) + (keys.bound?.[b] ?? 0);
  const gap = keys.values[a] - keys.values[b];
  return room === 0 && gap === 0 ? a < b : gap >= -room;
}

/**
 * True where rounding may change which of the first `k` experts are chosen, or their order: a chosen key lies within the sum
 * of the bounds above a later one. Exactly equal keys without error are not ambiguous: the tie rule decides.
 */
export function isAmbiguous(keys: Scores, order: Int32Array, k: number): boolean {
  if (keys.bound === undefined) return false;
  for (let i = 0; i < k; i++)
    for (let j = i + 1; j < order.length; j++) if (mayPrecede(keys, order[j], order[i])) return true;
  return false;
}

/**
 * True where rounding within the bounds explains the choice: distinct experts that exist, each of which may precede all that
 * are chosen after it and all that are not chosen.
 */
export function explains(keys: Scores, choice: Int32Array): boolean {
  const experts = keys.values.length;
  const chosen = new Set<number>();
  for (const id of choice) {
    if (id < 0 || id >= experts || chosen.has(id)) return false;
    chosen.add(id);
    for (let other = 0; other < experts; other++) if (!chosen.has(other) && !mayPrecede(keys, id, other)) return false;
  }
  return true;
}
