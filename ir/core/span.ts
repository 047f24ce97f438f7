/** A place in DSL source. Lines and columns count from 1, as editors show them. */
export interface Span {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Number of characters the caret line underlines; at least 1. */
  readonly length: number;
}

/** The span of nodes that no source text stands behind (parsed fixtures, nodes made by a pass from nothing). */
export const noSpan: Span = { file: "", line: 0, column: 0, length: 1 };

export const formatSpan = (span: Span): string =>
  span.file === "" ? "<no source>" : `${span.file}:${span.line}:${span.column}`;
