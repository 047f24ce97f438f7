export const formatShape = (dims: readonly number[]): string => `[${dims.join(", ")}]`;

/** What a file holds instead of a name: the tensors whose names begin and end most like it. */
export function heldInstead(name: string, keys: readonly string[]): string {
  const same = (key: string, from: (text: string, i: number) => string | undefined): number => {
    let n = 0;
    while (n < Math.min(key.length, name.length) && from(key, n) === from(name, n)) n++;
    return n;
  };
  const common = new Map(keys.map((k) => [k, same(k, (t, i) => t[i]) + same(k, (t, i) => t.at(-1 - i))]));
  const best = [...keys].sort((a, b) => (common.get(b) ?? 0) - (common.get(a) ?? 0)).slice(0, 3);
  if (keys.length === 0) return "no tensors";
  return keys.length <= 3 ? best.join(", ") : `${keys.length} tensors, such as ${best.join(", ")}`;
}
