import { html } from "./html.ts";

/** One instruction on one pipe, from start to end in one unit of time, as in a Chrome trace. */
export interface PipeEvent {
  readonly pipe: string;
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

/** A bar of the drawing: one event, or several too short to be told apart. */
interface Bar {
  readonly start: number;
  readonly end: number;
  readonly label: string;
  readonly count: number;
}

/** Pipes in the order in which data passes through them; others follow in the order in which they come. */
const usualOrder = ["S", "MTE2", "MTE1", "M", "V", "FIX", "MTE3"];

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 60;
const ROW = 30;
const AXIS = 24;
const PLOT = WIDTH - LEFT - RIGHT;
/** Bars narrower than this, or with a narrower gap between them, are drawn as one. */
const VISIBLE = 1;

/**
 * Draws what each pipe does when, as the text of an SVG: a row per pipe with the share of time in which it is busy, and an axis
 * of time. Neighbours too short to be seen share a bar, which says how many they are.
 * @param unit of start and end, for the axis
 * @throws RangeError for an event that ends before it starts, or has no place in time
 */
export function timeline(events: readonly PipeEvent[], unit = "cycles"): string {
  for (const { pipe, label, start, end } of events) {
    if (!(Number.isFinite(start) && Number.isFinite(end) && start <= end))
      throw new RangeError(
        `${label} on pipe ${pipe}: expected a start and an end after it, found ${start} to ${end}. Give both in ${unit}.`,
      );
  }
  const from = Math.min(...events.map((e) => e.start), 0);
  const to = Math.max(...events.map((e) => e.end), from + 1);
  const x = (time: number): number => LEFT + ((time - from) / (to - from)) * PLOT;
  const present = [...new Set(events.map((e) => e.pipe))];
  const pipes = [...usualOrder.filter((p) => present.includes(p)), ...present.filter((p) => !usualOrder.includes(p))];
  const height = pipes.length * ROW + AXIS;
  const out = [
    `<svg role="img" class="timeline" viewBox="0 0 ${WIDTH} ${height}" font-size="13" font-family="system-ui, sans-serif">`,
    `<title>${html(pipes.length === 0 ? "No pipe does anything" : `What ${pipes.join(", ")} do from ${from} to ${to} ${unit}`)}</title>`,
  ];
  for (const tick of ticks(from, to)) {
    const at = x(tick).toFixed(1);
    out.push(
      `<line class="tick" x1="${at}" x2="${at}" y1="0" y2="${height - AXIS}" stroke="currentColor" stroke-opacity=".2"/>`,
      `<text x="${at}" y="${height - 6}" text-anchor="middle" fill="currentColor">${tick.toLocaleString("en-US")}</text>`,
    );
  }
  out.push(`<text x="${WIDTH}" y="${height - 6}" text-anchor="end" fill="currentColor">${html(unit)}</text>`);
  pipes.forEach((pipe, row) => {
    const own = events.filter((e) => e.pipe === pipe).sort((a, b) => a.start - b.start);
    const y = row * ROW;
    out.push(
      `<text x="${LEFT - 8}" y="${y + 20}" text-anchor="end" font-weight="600" fill="currentColor">${html(pipe)}</text>`,
      `<text x="${WIDTH}" y="${y + 20}" text-anchor="end" fill="currentColor">${Math.round((busy(own) / (to - from)) * 100)} %</text>`,
    );
    for (const bar of bars(own, (VISIBLE / PLOT) * (to - from))) {
      const width = Math.max(VISIBLE, x(bar.end) - x(bar.start));
      const words = bar.count === 1 ? bar.label : `${bar.count} instructions from ${bar.label} on`;
      const place = `${bar.start.toLocaleString("en-US")} to ${bar.end.toLocaleString("en-US")} ${unit}`;
      out.push(
        `<g class="pipe${usualOrder.indexOf(pipe)}"><title>${html(`${pipe}: ${words}, ${place}`)}</title>` +
          `<rect x="${x(bar.start).toFixed(1)}" y="${y + 4}" width="${width.toFixed(1)}" height="${ROW - 8}" rx="2" fill="currentColor"/>`,
      );
      const text = bar.count === 1 ? bar.label : String(bar.count);
      if (text.length * 8 + 8 < width)
        out.push(`<text class="on-bar" x="${(x(bar.start) + 5).toFixed(1)}" y="${y + 20}">${html(text)}</text>`);
      out.push("</g>");
    }
  });
  return [...out, "</svg>"].join("\n");
}

/** Time in which at least one event of a pipe runs. Events are sorted by their start. */
function busy(events: readonly PipeEvent[]): number {
  let total = 0;
  let until = Number.NEGATIVE_INFINITY;
  for (const { start, end } of events) {
    total += Math.max(0, end - Math.max(start, until));
    until = Math.max(until, end);
  }
  return total;
}

/** Events as bars; those shorter than `least` join a neighbour nearer than that. */
function bars(events: readonly PipeEvent[], least: number): readonly Bar[] {
  const found: Bar[] = [];
  for (const { start, end, label } of events) {
    const last = found.at(-1);
    const tiny = end - start < least || (last !== undefined && last.end - last.start < least);
    if (last && (start < last.end || (tiny && start - last.end < least)))
      found[found.length - 1] = { ...last, end: Math.max(last.end, end), count: last.count + 1 };
    else found.push({ start, end, label, count: 1 });
  }
  return found;
}

/** Between four and ten round numbers of a range. */
function ticks(from: number, to: number): readonly number[] {
  const rough = (to - from) / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((s) => s * power >= rough) ?? 10) * power;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}
