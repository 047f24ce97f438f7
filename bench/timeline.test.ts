import { expect, test } from "vitest";
import { type PipeEvent, timeline } from "./timeline.ts";

const event = (pipe: string, start: number, end: number, label = "Add"): PipeEvent => ({ pipe, start, end, label });

/** Places and widths of the bars, in drawing order. */
const barsOf = (svg: string): { x: number; width: number }[] =>
  [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)].map(([, x, width]) => ({
    x: Number(x),
    width: Number(width),
  }));

test("each pipe has a row, in the order in which data passes, and says how much of the time it is busy", () => {
  const svg = timeline([
    event("V", 100, 300, "Mul"),
    event("MTE3", 300, 400, "DataCopy"),
    event("odd", 0, 400),
    event("MTE2", 0, 100, "DataCopy"),
  ]);
  const rows = [...svg.matchAll(/font-weight="600" fill="currentColor">([^<]+)<.*\n.*>(\d+) %</g)].map((m) => [
    m[1],
    Number(m[2]),
  ]);
  expect(rows).toEqual([
    ["MTE2", 25],
    ["V", 50],
    ["MTE3", 25],
    ["odd", 100],
  ]);
  expect(svg).toContain("<title>V: Mul, 100 to 300 cycles</title>");
  expect(svg).toContain('<text class="on-bar"');
});

test("bars lie where their times are: the second starts where the first ends, and is three times as long", () => {
  const [first, second] = barsOf(timeline([event("V", 10, 20), event("V", 20, 50)]));
  expect(first && second).toBeTruthy();
  if (!first || !second) return;
  expect(second.x).toBeCloseTo(first.x + first.width, 0);
  expect(second.width / first.width).toBeCloseTo(3, 1);
});

test("events that overlap on one pipe are busy once", () => {
  expect(timeline([event("V", 0, 60), event("V", 30, 100)])).toContain(">100 %<");
});

test("instructions too short to be seen share a bar that says how many; a long one among them keeps its own", () => {
  const short = Array.from({ length: 5000 }, (_, i) => event("V", 20 * i, 20 * i + 10));
  const svg = timeline([...short, event("V", 200_000, 300_000, "Exp")]);
  const bars = barsOf(svg);
  expect(bars.length).toBe(2);
  expect(svg).toContain("V: 5000 instructions from Add on, 0 to 99,990 cycles");
  expect(svg).toContain("V: Exp, 200,000 to 300,000 cycles");
});

test("the axis has round numbers, in the unit that is given", () => {
  const svg = timeline([event("V", 0, 1234)], "ns");
  const ticks = [...svg.matchAll(/text-anchor="middle" fill="currentColor">([\d,.]+)</g)].map((m) => m[1]);
  expect(ticks).toEqual(["0", "200", "400", "600", "800", "1,000", "1,200"]);
  expect(svg).toContain(">ns</text>");
});

test("no events, and an event without duration, are drawn all the same", () => {
  expect(timeline([])).toContain("<title>No pipe does anything</title>");
  const [bar] = barsOf(timeline([event("S", 5, 5)]));
  expect(bar?.width).toBeGreaterThan(0);
});

test("labels are escaped", () => {
  const svg = timeline([event("V", 0, 1, "Cast<half> & more")]);
  expect(svg).toContain("Cast&lt;half&gt; &amp; more");
  expect(svg).not.toContain("<half>");
});

test.each([
  [3, 2],
  [Number.NaN, 1],
  [0, Number.POSITIVE_INFINITY],
])("an event from %d to %d is refused with its name", (start, end) => {
  expect(() => timeline([event("V", start, end, "Exp")])).toThrow(
    new RangeError(
      `Exp on pipe V: expected a start and an end after it, found ${start} to ${end}. Give both in cycles.`,
    ),
  );
});
