import { Dim } from "../../ir/core/dim.ts";
import { type ScalarExpr, variable } from "../../ir/core/scalar.ts";
import { add, and, lt, not, sub } from "../tile/fold.ts";
import { itself, linear } from "../tile/linear.ts";
import { conditional } from "../tile/shape.ts";
import type { Kernel, Statement } from "../tile/types.ts";
import { uniqueName } from "../unique-name.ts";
import { type Access, accessesOf } from "./access.ts";
import { type Cut, partAt } from "./cut.ts";

/** One launch of a kernel over some of its blocks, with the parts of cut weights that these read. */
export interface Launch {
  /** Values of the kernel's own symbols. */
  readonly constants: Readonly<Record<string, number>>;
  /** Buffer → the part to bind in its place. */
  readonly parts: Readonly<Record<string, string>>;
}

/** A kernel that reads or writes cut weights, to be launched once for each combination of parts. */
export interface PartedKernel {
  readonly kernel: Kernel;
  /** Symbols that the kernel has of its own. Each launch gives their values. */
  readonly symbols: readonly string[];
  readonly launches: readonly Launch[];
}

/** Where a kernel meets a cut: along dimension `d` of a buffer, at `unit` positions for each block, or at one position. */
interface Meeting {
  readonly cut: Cut;
  readonly d: 0 | 1;
  readonly access: Exclude<Access, { readonly kind: "any" }>;
  /** The symbols that hold the part's first position and, where the position is chosen, how many there are. */
  readonly first: string;
  readonly count: string;
}

/** The kernel as it is launched part by part; a kernel that meets no cut is launched once, as it stands. */
export function partKernel(kernel: Kernel, cuts: ReadonlyMap<string, Cut>): PartedKernel {
  const names = new Set(JSON.stringify(kernel).match(/\w+/g));
  const unique = (hint: string): string => uniqueName(hint, names);
  const meetings: Meeting[] = [];
  for (const [buffer, accesses] of accessesOf(kernel)) {
    const cut = cuts.get(buffer);
    for (const d of [0, 1] as const) {
      const access = accesses[d];
      if (cut && access && access.kind !== "any" && cut.step[d] < (cut.dims[d] ?? 1))
        meetings.push({ cut, d, access, first: unique(`${buffer}_first`), count: unique(`${buffer}_rows`) });
    }
  }
  if (meetings.length === 0) return { kernel, symbols: [], launches: [{ constants: {}, parts: {} }] };
  const stretches = kernel.grid.flatMap(({ name, extent }) => {
    const points = pointsOf(name, extent.constant ?? 0, meetings);
    return points.length === 0
      ? []
      : [
          {
            name,
            points,
            local: unique(`${name}_part`),
            first: unique(`${name}_from`),
            count: unique(`${name}_count`),
          },
        ];
  });
  const chosenBy = meetings.filter((m) => m.access.kind === "chosen");
  const rows = chosenBy.map(({ cut, d }) => pointsEvery(cut.step[d], cut.dims[d] ?? 1));
  const launches = product([...stretches.map((s) => s.points), ...rows]).map((chosen) => {
    const from = new Map(stretches.map((s, i) => [s.name, chosen[i]?.from ?? 0]));
    const constants: Record<string, number> = {};
    stretches.forEach((s, i) => {
      constants[s.first] = chosen[i]?.from ?? 0;
      constants[s.count] = chosen[i]?.count ?? 0;
    });
    const parts: Record<string, string> = {};
    for (const cut of new Set(meetings.map((m) => m.cut))) {
      const own = meetings.filter((m) => m.cut === cut);
      const positions = ([0, 1] as const).map((d) => {
        const m = own.find((o) => o.d === d);
        const i = m ? chosenBy.indexOf(m) : -1;
        const point = chosen[stretches.length + i];
        if (m && i >= 0 && point) {
          constants[m.count] = point.count;
          return point.from;
        }
        return positionOf(m?.access, from);
      });
      parts[cut.buffer.name] = partAt(cut, positions[0] ?? 0, positions[1] ?? 0);
      for (const m of own) constants[m.first] = Math.floor((positions[m.d] ?? 0) / cut.step[m.d]) * cut.step[m.d];
    }
    return { constants, parts };
  });
  const made = rewrite(kernel, meetings, stretches);
  const symbols = Object.keys(launches[0]?.constants ?? {});
  return { kernel: made, symbols, launches };
}

interface Points {
  readonly from: number;
  readonly count: number;
}

/** A block coordinate that is walked in stretches, and the names that say so. */
interface Stretch {
  readonly name: string;
  readonly points: readonly Points[];
  readonly local: string;
  readonly first: string;
  readonly count: string;
}

/** The stretches of a coordinate between which some buffer's part changes; none where no cut depends on it. */
function pointsOf(name: string, extent: number, meetings: readonly Meeting[]): readonly Points[] {
  const starts = new Set<number>();
  for (const { cut, d, access } of meetings)
    if (access.kind === "block" && access.coordinate === name)
      for (let at = 0; at < extent; at += cut.step[d] / access.unit) starts.add(at);
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((from, i) => ({ from, count: (sorted[i + 1] ?? extent) - from }));
}

const pointsEvery = (step: number, all: number): readonly Points[] =>
  Array.from({ length: Math.ceil(all / step) }, (_, i) => ({ from: i * step, count: Math.min(step, all - i * step) }));

function positionOf(access: Meeting["access"] | undefined, from: ReadonlyMap<string, number>): number {
  if (access === undefined || access.kind === "chosen") return 0;
  return access.kind === "fixed" ? access.low : (from.get(access.coordinate) ?? 0) * access.unit;
}

const product = <T>(lists: readonly (readonly T[])[]): readonly (readonly T[])[] =>
  lists.reduce<readonly (readonly T[])[]>((made, list) => made.flatMap((m) => list.map((x) => [...m, x])), [[]]);

/** The kernel over a stretch of its blocks, with positions that count from the start of each part. */
function rewrite(kernel: Kernel, meetings: readonly Meeting[], stretches: readonly Stretch[]): Kernel {
  const locals = new Map(stretches.map((s) => [s.name, s]));
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== "object" || value === null) return value;
    const made = Object.fromEntries(Object.entries(value).map(([key, v]) => [key, visit(v)]));
    const own = "base" in made && "index" in made ? meetings.filter((m) => m.cut.buffer.name === made.base) : [];
    if (own.length === 0) return made;
    const index = [...(made.index as readonly (ScalarExpr | { at: ScalarExpr } | { start: ScalarExpr })[])];
    for (const m of own) {
      const i = index[m.d];
      const moved = (expr: ScalarExpr): ScalarExpr => withinPart(expr, m, locals);
      if (i === undefined) continue;
      if ("at" in i) index[m.d] = { ...i, at: moved(i.at) };
      else if ("start" in i) index[m.d] = { ...i, start: moved(i.start) };
      else index[m.d] = moved(i);
    }
    return { ...made, index };
  };
  const sizes = (name: string, dims: readonly Dim[]): readonly Dim[] => {
    const cut = meetings.find((m) => m.cut.buffer.name === name)?.cut;
    return cut ? dims.map((dim, d) => (d < 2 ? Dim.of(Math.min(cut.step[d as 0 | 1], cut.dims[d] ?? 1)) : dim)) : dims;
  };
  const starts = stretches.map(
    (s): Statement => ({
      kind: "let",
      name: s.name,
      value: add(variable(s.first, "i32"), variable(s.local, "i32")),
    }),
  );
  return {
    ...kernel,
    buffers: kernel.buffers.map((b) => ({ ...b, dims: sizes(b.name, b.dims) })),
    grid: kernel.grid.map((g) => {
      const s = locals.get(g.name);
      return s ? { name: s.local, extent: Dim.symbol(s.count) } : g;
    }),
    body: [...starts, ...guard(visit(kernel.body) as readonly Statement[], meetings)],
  };
}

/** Statements from the first on that reads a chosen row run only in the launch whose part has the row. */
function guard(body: readonly Statement[], meetings: readonly Meeting[]): readonly Statement[] {
  return meetings.reduce<readonly Statement[]>((list, { access, cut, first, count }) => {
    if (access.kind !== "chosen") return list;
    const reads = new RegExp(`"base":"${cut.buffer.name}"`);
    const at = list.findIndex((s) => reads.test(JSON.stringify(s)));
    const row = sub(variable(access.by, "i32"), variable(first, "i32"));
    const isHere = and(not(lt(row, 0)), lt(row, variable(count, "i32")));
    return [...list.slice(0, at), conditional(isHere, list.slice(at), [])];
  }, body);
}

/** A position within its part: by the block's number within the stretch, where part and stretch begin together. */
function withinPart(expr: ScalarExpr, m: Meeting, locals: ReadonlyMap<string, Stretch>): ScalarExpr {
  const { access, cut, d } = m;
  const s = access.kind === "block" ? locals.get(access.coordinate) : undefined;
  const together =
    s !== undefined &&
    access.kind === "block" &&
    s.points.every((p) => (p.from * access.unit) % cut.step[d] === 0) &&
    // Nothing else in it depends on the block.
    linear(expr, new Map([[s.name, itself(s.name)]]), new Map()).coefficients.get(s.name) === access.unit;
  return together ? replace(expr, s.name, variable(s.local, "i32")) : sub(expr, variable(m.first, "i32"));
}

function replace(expr: ScalarExpr, name: string, by: ScalarExpr): ScalarExpr {
  if (expr.kind === "var") return expr.name === name ? by : expr;
  if (expr.kind === "apply") return { ...expr, args: expr.args.map((a) => replace(a, name, by)) };
  if (expr.kind === "element") return { ...expr, index: expr.index.map((i) => replace(i, name, by)) };
  return expr;
}
