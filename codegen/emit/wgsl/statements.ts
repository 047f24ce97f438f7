import { IrError } from "../../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { viewsOf } from "../../tile/shape.ts";
import type { Statement, View } from "../../tile/types.ts";
import { type Code, constant, primary, print, times } from "./code.ts";
import type { Context } from "./context.ts";
import { emitMma } from "./mma.ts";
import { emitTopK } from "./top-k.ts";
import { type BoundView, bindView, forEach, forEachValid, loop, within, writeFour } from "./views.ts";

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

/** Prints statements, in a scope that the caller has opened. */
export function emitStatements(context: Context, statements: readonly Statement[]): void {
  for (const statement of statements) emitStatement(context, statement);
}

/** Prints a statement; what writes to a buffer, for the lanes that have a block. */
function emitStatement(context: Context, s: Statement): void {
  const written = s.kind === "set" ? [s.base] : viewsOf(s).flatMap(({ view, writes }) => (writes ? [view.base] : []));
  if (written.some((base) => context.memory(base).kind === "buffer")) context.writing(() => emitWhole(context, s));
  else emitWhole(context, s);
}

function emitWhole(context: Context, s: Statement) {
  switch (s.kind) {
    case "for":
      return context.inside(s, () => emitFor(context, s));
    case "if":
      return context.inside(s, () => emitIf(context, s));
    case "let": {
      const value = context.scalar(s.value);
      if (value.constant !== undefined) return context.define(s.name, value);
      const name = context.names.unique(s.name);
      context.line(`let ${name} = ${print(value)};`);
      return context.define(s.name, primary(value.type, name, value));
    }
    case "alloc":
      return context.allocate(s.tile);
    case "fill":
      return emitFill(context, s.dst, s.value);
    case "set": {
      const memory = context.memory(s.base);
      return context.write(
        memory,
        s.index.map((i) => context.scalar(i)),
        context.scalar(s.value),
      );
    }
    case "copy":
      return emitCopy(context, s);
    case "map":
      return emitMap(context, s);
    case "mma":
      return emitMma(context, s);
    case "reduce":
      return emitReduce(context, s);
    case "top_k":
      return emitTopK(context, s);
    case "barrier":
      return context.line("workgroupBarrier();");
    case "prefetch":
      return;
  }
}

function emitFor(context: Context, s: Of<"for">): void {
  if (!(Number.isInteger(s.step) && s.step > 0))
    throw new IrError(`the loop over ${s.name} has the step ${s.step}`, "A step is a whole number of at least 1.");
  const from = context.scalar(s.from);
  const to = context.scalar(s.to);
  if (isShort(s, from, to)) {
    for (let i = from.constant ?? 0; i < (to.constant ?? 0); i += s.step) {
      context.scoped(() => {
        context.define(s.name, constant("i32", i));
        emitStatements(context, s.body);
      });
    }
    return;
  }
  const name = context.names.unique(s.name);
  const next = s.step === 1 ? `${name}++` : `${name} += ${s.step}`;
  const multiple = from.constant === 0 ? s.step : gcd(from.multiple, s.step);
  context.block(`for (var ${name} = ${print(from)}; ${name} < ${print(to, "additive")}; ${next})`, () => {
    context.define(s.name, primary("i32", name, { natural: from.natural, multiple }));
    emitStatements(context, s.body);
  });
}

/** A loop that is as well written out, so that small tiles are read and written at constant positions. */
function isShort(s: Of<"for">, from: Code, to: Code): boolean {
  if (from.constant === undefined || to.constant === undefined || s.body.length > 2) return false;
  return (to.constant - from.constant) / s.step <= 8 && s.body.every((b) => b.kind === "set" || b.kind === "let");
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

function emitIf(context: Context, s: Of<"if">) {
  const condition = context.scalar(s.condition);
  if (condition.constant !== undefined) {
    const taken = condition.constant !== 0 ? s.then : s.otherwise;
    return context.scoped(() => emitStatements(context, taken));
  }
  if (s.otherwise.length === 0) {
    return context.block(`if (${print(condition)})`, () => emitStatements(context, s.then));
  }
  context.block(`if (${print(condition)})`, () => emitStatements(context, s.then), "} else {");
  context.resume(() => emitStatements(context, s.otherwise));
}

function emitFill(context: Context, view: View, value: ScalarExpr): void {
  const dst = bindView(context, view);
  const held = context.hold("value", context.scalar(value));
  const first = context.lines.length;
  forEach(context, dst.shape, [dst], (at) => dst.write(at, held));
  if (dst.memory.kind === "scalars") context.joinLines(first, dst.shape.at(-1) ?? 1);
}

const holdValid = (context: Context, valid: readonly ScalarExpr[] | undefined): Code[] | undefined =>
  valid?.map((v) => context.hold("valid", context.scalar(v)));

function sameShape(what: string, found: readonly number[], expected: readonly number[]): void {
  if (found.length === expected.length && found.every((n, i) => n === expected[i])) return;
  throw new IrError(
    `${what} has the shape [${found.join(", ")}] where [${expected.join(", ")}] is expected`,
    "Give views of one shape.",
  );
}

function emitCopy(context: Context, s: Of<"copy">) {
  const dst = bindView(context, s.dst);
  const src = bindView(context, s.src);
  sameShape("the source of a copy", src.shape, dst.shape);
  const valid = src.isGlobal || dst.isGlobal ? holdValid(context, s.valid) : undefined;
  if (valid === undefined && (copyStored(context, dst, src) || copyVectors(context, dst, src))) return;
  if (dst.isGlobal) return forEachValid(context, dst.shape, [dst, src], valid, (at) => dst.write(at, src.read(at)));
  const zero = constant(dst.memory.type, 0);
  forEach(context, dst.shape, [dst, src], (at) => {
    const condition = within(at, valid);
    // A read beyond the buffer's end gives some element of it, in WGSL, which `select` then drops: cheaper than a branch.
    const value = (): Code =>
      condition === true
        ? src.read(at)
        : primary(zero.type, `select(${print(zero)}, ${print(src.read(at))}, ${condition})`);
    dst.write(at, condition === false ? zero : value());
  });
}

/** Copies four neighbours at a time as they are stored, to memory of the same type that lanes share. */
function copyStored(context: Context, dst: BoundView, src: BoundView): boolean {
  if (dst.memory.tile?.space !== "workgroup" || dst.memory.packed !== src.memory.packed) return false;
  const columns = dst.shape.at(-1) ?? 0;
  if (columns % 4 !== 0 || !src.isInnermost || !dst.isInnermost) return false;
  const start = dst.shape.map(() => constant("i32", 0));
  if (![dst, src].every((v) => context.fourAt(v.memory, v.at(start)) !== undefined)) return false;
  forEach(context, [...dst.shape.slice(0, -1), columns / 4], [], (at) => {
    const place = [...at.slice(0, -1), times(at.at(-1) ?? constant("i32", 0), constant("i32", 4))];
    context.writeFourAt(dst.memory, dst.at(place), context.fourAt(src.memory, src.at(place)) ?? "");
  });
  return true;
}

/** Copies four neighbours at a time into a tile, where the source allows it. */
function copyVectors(context: Context, dst: BoundView, src: BoundView): boolean {
  const columns = dst.shape.at(-1) ?? 0;
  if (columns === 0 || columns % 4 !== 0 || !src.memory.vectors || !src.isInnermost) return false;
  const rows = dst.shape.slice(0, -1);
  const copyFour = (row: readonly Code[], column: Code): void => {
    const vector = context.vectorAt(src.memory, src.at([...row, column]));
    if (vector === undefined) {
      // Strikes the assumption that the buffer is read by vectors only.
      src.read([...row, column]);
      return;
    }
    const held = context.hold(src.memory.name, primary("f32", vector));
    writeFour(dst, row, column, held.text);
  };
  const inText = dst.memory.kind === "scalars" || columns <= 16;
  forEach(context, rows, [dst], (row) => {
    if (!inText) return loop(context, columns, (c) => copyFour(row, c), 4);
    for (let c = 0; c < columns; c += 4) copyFour(row, constant("i32", c));
  });
  return true;
}

function emitMap(context: Context, s: Of<"map">): void {
  const dst = bindView(context, s.dst);
  const inputs = s.inputs.map(({ name, view }) => ({ name, view: bindView(context, view) }));
  for (const { name, view } of inputs) checkBroadcast(name, view.shape, dst.shape);
  const anyGlobal = dst.isGlobal || inputs.some((i) => i.view.isGlobal);
  const valid = anyGlobal ? holdValid(context, s.valid) : undefined;
  const uses = countUses(s.value);
  const views = [dst, ...inputs.map((i) => i.view)];
  // Beyond the valid counts, elements of a tile are undefined after a map.
  forEachValid(context, dst.shape, views, valid, (at) => {
    const inputAt = (shape: readonly number[]): Code[] =>
      shape.map((n, i) => (n === 1 ? constant("i32", 0) : (at[at.length - shape.length + i] ?? constant("i32", 0))));
    context.scoped(() => {
      for (const { name, view } of inputs) {
        const value = view.read(inputAt(view.shape));
        const many = (uses.get(name) ?? 0) > 1 && view.memory.kind !== "scalars";
        context.define(name, many ? context.hold(name, value) : value);
      }
      dst.write(at, context.scalar(s.value));
    });
  });
}

function checkBroadcast(name: string, found: readonly number[], dst: readonly number[]): void {
  const aligned = dst.slice(dst.length - found.length);
  if (found.length <= dst.length && found.every((n, i) => n === 1 || n === aligned[i])) return;
  throw new IrError(
    `the input ${name} of a map has the shape [${found.join(", ")}], which does not repeat to [${dst.join(", ")}]`,
    "Give an input of the result's shape, of its last dimensions, or 1 where it repeats.",
  );
}

function countUses(expr: ScalarExpr, uses = new Map<string, number>()): Map<string, number> {
  if (expr.kind === "var") uses.set(expr.name, (uses.get(expr.name) ?? 0) + 1);
  if (expr.kind === "apply") for (const a of expr.args) countUses(a, uses);
  if (expr.kind === "element") for (const a of expr.index) countUses(a, uses);
  return uses;
}

function emitReduce(context: Context, s: Of<"reduce">): void {
  const dst = bindView(context, s.dst);
  const src = bindView(context, s.src);
  sameShape("the result of a reduce", dst.shape, src.shape.slice(0, -1));
  const extent = src.shape.at(-1) ?? 0;
  const type = src.memory.type;
  if (s.op === "max" && extent === 0)
    throw new IrError("a maximum over no elements", "Reduce over at least one element.");
  const join = (total: string, value: Code): string =>
    s.op === "sum" ? `${total} + ${print(value, "multiplicative")}` : `max(${total}, ${print(value)})`;
  forEach(context, dst.shape, [dst], (at) => {
    const total = context.names.unique(s.op === "sum" ? "total" : "largest");
    const first = s.op === "sum" ? constant(type, 0) : src.read([...at, constant("i32", 0)]);
    const from = s.op === "sum" ? 0 : 1;
    context.line(`var ${total} = ${type}(${print(first)});`);
    if (src.memory.kind === "scalars" || extent <= 8) {
      for (let i = from; i < extent; i++)
        context.line(`${total} = ${join(total, src.read([...at, constant("i32", i)]))};`);
    } else {
      loop(context, extent, (i) => context.line(`${total} = ${join(total, src.read([...at, i]))};`));
    }
    dst.write(at, primary(type, total));
  });
}
