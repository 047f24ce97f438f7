/** Number of single-character edits between two names; case counts half, so that a wrong case is nearest. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const [x = "", y = ""] = [a[i - 1], b[j - 1]];
      const change = x === y ? 0 : x.toLowerCase() === y.toLowerCase() ? 0.5 : 1;
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + change));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** The name nearest to what was written, if any is near enough to be meant. */
export function nearest(written: string, names: Iterable<string>): string | undefined {
  let best: { name: string; d: number } | undefined;
  for (const name of names) {
    const d = distance(written, name);
    // Of one letter, any other is one edit away.
    const most = written.length === 1 && name.length === 1 ? 0.5 : Math.max(1, Math.floor(written.length / 3));
    if (d <= most && (best === undefined || d < best.d)) best = { name, d };
  }
  return best?.name;
}

/** "a, b and c" */
export function list(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? "none") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
