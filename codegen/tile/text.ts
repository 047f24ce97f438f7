import { formatScalar, type ScalarExpr } from "../../ir/core/scalar.ts";
import type { Span } from "../../ir/core/span.ts";
import type { Program } from "../program.ts";
import type { Kernel, KernelBuffer, SizeRange, Statement, Tile, View, ViewIndex } from "./types.ts";

/**
 * The text form of tile IR. parser.ts reads it back; print → parse → print is the identity. In short:
 *
 *     kernel @scale origin("map", "x times a half") (
 *       read x: bf16[T, 256],
 *       write y: f32[T, 256]
 *     ) grid(t = T) {
 *       alloc row: f32[256] in scratch
 *       copy row[0:+256] = x[t, 0:+256]
 *       map y[t, 0:+256] = (v = row[0:+256]) => (v * 0.5)
 *     }
 *
 * A view has one index per dimension: `t` keeps none of it, `0:+256` keeps 256 elements from 0, `gather(pos, 12)` keeps the
 * 12 elements at the positions in tile pos. `grid(t = T, column = 64 lanes)` has lanes; in `grid(expert = 8 of hits)`
 * buffer hits lists the blocks that have work. After the
 * grid, `when 4*T below 128` and `when 4*T from 128` say for which sizes the kernel is launched. `#` begins a comment.
 */
export interface PrintOptions {
  /** Whether origins carry their place in the source. Hashes are over text without; default false. */
  readonly spans?: boolean;
}

/** Text of a kernel, without a line end after the last brace. */
export const printKernel = (kernel: Kernel, options: PrintOptions = {}): string =>
  kernelLines(kernel, options).join("\n");

/** Text of a program: buffers, results, choices and memory plan, then the kernels in order; ends with a line end. */
export function printProgram(program: Program, options: PrintOptions = {}): string {
  const params = Object.entries(program.params).map(([name, value]) => `${name} = ${value}`);
  const lines = [`program @${program.name} (${program.symbols.join(", ")}) params(${params.join(", ")}) {`];
  for (const b of program.buffers) {
    const alias = b.alias === undefined ? "" : ` alias ${b.alias}`;
    const blocks = b.blocks ? ` in ${b.blocks.format} with ${b.blocks.parts.join(" ")}` : "";
    lines.push(`  ${b.role} ${b.name}: ${b.dtype}[${b.dims.join(", ")}]${alias}${blocks}`);
  }
  for (const { ids, weights } of program.choices)
    lines.push(`  choice (${[ids, ...(weights === undefined ? [] : [weights])].join(", ")})`);
  for (const { name, buffer } of program.results) lines.push(`  result ${name} = ${buffer}`);
  for (const { buffers, bytes } of program.memory.slots)
    lines.push(`  slot (${buffers.join(", ")}) bytes (${bytes.join(", ")})`);
  const kernels = (list: readonly Kernel[], prefix: string): void => {
    for (const kernel of list) {
      const [first, ...rest] = kernelLines(kernel, options);
      lines.push("", `  ${prefix}${first}`, ...rest.map((line) => `  ${line}`));
    }
  };
  kernels(program.prepare, "prepare ");
  kernels(program.kernels, "");
  return `${[...lines, "}"].join("\n")}\n`;
}

/** The first line of a statement: its whole text, or the head of a loop or condition. */
export function statementHead(s: Statement): string {
  switch (s.kind) {
    case "for":
      return `for ${s.name} = ${formatScalar(s.from)} to ${formatScalar(s.to)} step ${s.step}${s.shared ? " shared" : ""}${s.unroll === undefined ? "" : ` unroll ${s.unroll}`}`;
    case "if":
      return `if ${formatScalar(s.condition)}`;
    case "let":
      return `let ${s.name} = ${formatScalar(s.value)}`;
    case "alloc":
      return `alloc ${formatTile(s.tile)}`;
    case "fill":
      return `fill ${formatView(s.dst)} = ${formatScalar(s.value)}`;
    case "set":
      return `set ${s.base}[${s.index.map(formatScalar).join(", ")}] = ${formatScalar(s.value)}`;
    case "copy":
      return `copy ${formatView(s.dst)} = ${formatView(s.src)}${formatValid(s.valid)}`;
    case "map": {
      const inputs = s.inputs.map(({ name, view }) => `${name} = ${formatView(view)}`).join(", ");
      return `map ${formatView(s.dst)} = (${inputs}) => ${formatScalar(s.value)}${formatValid(s.valid)}`;
    }
    case "mma": {
      const init = s.init ? ` init ${formatScalar(s.init)}` : "";
      const rows = s.rows ? ` rows ${formatScalar(s.rows)}` : "";
      const transposed = s.transposed ? " transposed" : "";
      const values = s.values ? ` of (${s.values.join(", ")})` : "";
      const half = s.half ? ` half ${s.half}${values}` : "";
      return `mma ${formatView(s.acc)} += ${formatView(s.a)} * ${formatView(s.b)}${transposed}${half}${init}${rows}`;
    }
    case "reduce":
      return `reduce ${s.op} ${formatView(s.dst)} = ${formatView(s.src)}`;
    case "top_k":
      return `top_k ${formatView(s.ids)} = ${formatView(s.keys)}`;
    case "barrier":
      return "barrier";
    case "prefetch":
      return `prefetch ${formatView(s.src)}${s.ahead === undefined ? "" : ` ahead ${formatScalar(s.ahead)}`}`;
  }
}

export const formatView = (view: View): string => `${view.base}[${view.index.map(formatIndex).join(", ")}]`;

export const formatTile = (t: Tile): string => `${t.name}: ${t.dtype}[${t.dims.join(", ")}] in ${t.space}`;

export const formatBuffer = (b: KernelBuffer): string => `${b.access} ${b.name}: ${b.dtype}[${b.dims.join(", ")}]`;

function formatIndex(index: ViewIndex): string {
  switch (index.kind) {
    case "at":
      return formatScalar(index.at);
    case "range":
      return `${formatScalar(index.start)}:+${index.extent}`;
    case "gather":
      return `gather(${index.positions}, ${index.extent})`;
  }
}

const formatValid = (valid: readonly ScalarExpr[] | undefined): string =>
  valid ? ` valid (${valid.map(formatScalar).join(", ")})` : "";

function statementLines(s: Statement): string[] {
  const head = statementHead(s);
  if (s.kind === "for") return [`${head} {`, ...indented(s.body), "}"];
  if (s.kind !== "if") return [head];
  const otherwise = s.otherwise.length > 0 ? ["} else {", ...indented(s.otherwise)] : [];
  return [`${head} {`, ...indented(s.then), ...otherwise, "}"];
}

const indented = (body: readonly Statement[]): string[] => body.flatMap(statementLines).map((line) => `  ${line}`);

function kernelLines(kernel: Kernel, options: PrintOptions): string[] {
  const { op, summary, span } = kernel.origin;
  const place = options.spans ? `, ${formatPlace(span)}` : "";
  const buffers = kernel.buffers.map((b, i) => `  ${formatBuffer(b)}${i < kernel.buffers.length - 1 ? "," : ""}`);
  const grid = kernel.grid
    .map(
      ({ name, extent, lanes, listed }) =>
        `${name} = ${extent}${lanes ? " lanes" : ""}${listed ? ` of ${listed}` : ""}`,
    )
    .join(", ");
  return [
    `kernel @${kernel.name} origin(${JSON.stringify(op)}, ${JSON.stringify(summary)}${place}) (`,
    ...buffers,
    `) grid(${grid})${kernel.when ? ` when ${formatRange(kernel.when)}` : ""} {`,
    ...indented(kernel.body),
    "}",
  ];
}

/** `4*T from 128`, `4*T below 128`, `4*T from 16 below 128`. */
export const formatRange = ({ of, from, below }: SizeRange): string =>
  [
    `${of}`,
    ...(from > 0 || below === undefined ? [`from ${from}`] : []),
    ...(below === undefined ? [] : [`below ${below}`]),
  ].join(" ");

const formatPlace = (span: Span): string => `${JSON.stringify(span.file)}:${span.line}:${span.column}+${span.length}`;
