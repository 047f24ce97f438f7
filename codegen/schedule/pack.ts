import { codeBytes, groupOf, isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Operation } from "../../ir/core/layer.ts";
import { apply, i32, type ScalarExpr } from "../../ir/core/scalar.ts";
import type { ProgramBuffer } from "../program.ts";
import { at, kernelBuilder, range, view, whole } from "../tile/builder.ts";
import { floorDiv, int, lt, mod, mul } from "../tile/fold.ts";
import type { Kernel, View } from "../tile/types.ts";
import { besideOf, type Schedule, type ScheduleContext } from "./context.ts";
import { kernelName, originOf, resultOf } from "./elementwise.ts";

/** What one kernel lays out: elements [columns, inner] of each source in panels of `rows` columns, `depth` elements a step. */
interface Layout {
  readonly sources: readonly ProgramBuffer[];
  readonly panels: ProgramBuffer;
  /** What is taken from each element: panels of signed bytes hold codes without their offset. */
  readonly offset?: number;
  readonly inner: number;
  /** Absent where a step is one element, and the panels have no dimension for it. */
  readonly depth?: number;
  /** Where a step lies in a panel: the indices between the panel and its rows. */
  readonly place: (step: ScalarExpr) => readonly ScalarExpr[];
}

/** Lays weights out in panels; runs once, at load. */
export const schedulePack: Schedule = (operation, context) => {
  const result = resultOf(operation);
  const { depth } = operation.attributes;
  const inner = context.size(operation.operands[0]?.type.dims.at(-1) ?? Dim.of(0));
  if (typeof depth !== "number") throw new IrError("pack expects rows and depth", "Give pack its block sizes.");
  if (!isBlockFormat(result.type.dtype)) {
    const sources = operation.operands.map((v) => context.buffer(v));
    return [
      packKernel(operation, context, { sources, panels: context.buffer(result), inner, depth, place: (s) => [s] }),
    ];
  }
  const sources = operation.operands.map((v) => context.blocks(v));
  const panels = context.blocks(result);
  const { format, codes } = panels;
  const groups = context.size(codes.dims.at(-3) ?? Dim.of(1));
  return [
    packKernel(operation, context, {
      sources: sources.map((p) => p.codes),
      offset: (sources[0]?.format.offset ?? 0) - format.offset,
      panels: codes,
      inner: codeBytes(format, inner),
      depth: groupOf(format),
      place: (step) => [floorDiv(step, groups), mod(step, groups)],
    }),
    ...besideOf(panels).map(({ buffer, every }, i) =>
      packKernel(operation, context, {
        sources: sources.flatMap((p) => besideOf(p)[i]?.buffer ?? []),
        panels: buffer,
        inner: inner / every,
        place: (step) => [step],
      }),
    ),
  ];
};

function packKernel(operation: Operation, context: ScheduleContext, layout: Layout): Kernel {
  const { sources, panels: y, offset = 0, inner, depth, place } = layout;
  const { rows } = operation.attributes;
  const columns = context.size(operation.operands[0]?.type.dims.at(-2) ?? Dim.of(0));
  if (typeof rows !== "number") throw new IrError("pack expects rows and depth", "Give pack its block sizes.");
  const b = kernelBuilder(kernelName(operation, context, y), originOf(operation, "weights in panels"));
  for (const w of sources) b.read(w);
  b.write(y);
  const grouped = sources[0]?.dims.length === 3;
  const lead = grouped ? [b.grid("expert", y.dims[0] ?? 1)] : [];
  const panels = Math.ceil(columns / rows);
  const panel = b.grid("panel", panels);
  const from = mul(panel, rows);
  const width = depth ?? 1;
  const store = (dst: View, src: View): void => {
    if (offset === 0) b.copy(dst, src);
    else b.map(dst, { code: src }, ({ code }) => apply("sub", code, i32(offset)));
  };
  const copy = (step: ScalarExpr, valid: readonly (ScalarExpr | number)[] | undefined): void =>
    sources.forEach((w, q) => {
      const [to, elements] = depth === undefined ? [[], at(step)] : [[range(0, depth)], range(mul(step, depth), depth)];
      const panelPart = view(y, ...lead, panel, ...place(step), range(q * rows, rows), ...to);
      const weightPart = view(w, ...lead, range(from, rows), elements);
      if (valid === undefined) {
        store(panelPart, weightPart);
        return;
      }
      // A tile between them holds the zeros that pad the panel.
      const edge = b.alloc("edge", w.dtype, depth === undefined ? [rows] : [rows, depth], context.target.scratch);
      b.copy(whole(edge), weightPart, { valid: depth === undefined ? valid.slice(0, 1) : valid });
      store(panelPart, whole(edge));
    });
  const wholeSteps = Math.floor(inner / width);
  const onPanel = (taken: ScalarExpr | number, edge: boolean): void => {
    b.forLoop("step", 0, wholeSteps, 1, (step) => copy(step, edge ? [taken, width] : undefined));
    if (wholeSteps * width < inner) copy(int(wholeSteps), [taken, inner - wholeSteps * width]);
  };
  const full = Math.floor(columns / rows);
  if (full === panels) onPanel(rows, false);
  else
    b.when(
      lt(panel, full),
      () => onPanel(rows, false),
      () => onPanel(columns - full * rows, true),
    );
  return b.build();
}
