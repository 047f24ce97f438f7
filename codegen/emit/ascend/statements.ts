import { IrError } from "../../../ir/core/diagnostic.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { staticValue } from "../../tile/fold.ts";
import { mentions, viewShape, viewsOf } from "../../tile/shape.ts";
import type { Statement, Tile, View } from "../../tile/types.ts";
import { atom } from "../c-family/parentheses.ts";
import { fillRows, lowerCopy } from "./copy.ts";
import { cubeTileBytes, lowerMma } from "./cube.ts";
import { reduceWorkElements } from "./isa.ts";
import { access, type Lowering } from "./lowering.ts";
import { lowerExchange, releaseExchange } from "./mix.ts";
import { type Access, accessesOf, type LocalVariable, type Node } from "./nodes.ts";
import { gcd, type LocalBinding, tileStrides } from "./scope.ts";
import { lowerMap, setElement } from "./vector.ts";

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

/** Lowers a statement list into the current list of `to`. Names end with the list. */
export function lowerList(to: Lowering, body: readonly Statement[]): void {
  /** The last statement that uses the exchange tile of this list. */
  let release: number | undefined;
  body.forEach((s, i) => {
    const rest = body.slice(i + 1);
    if (s.kind === "alloc" && to.exchange && s.tile.name === to.exchange.tile) {
      lowerExchange(to, s.tile, to.exchange);
      release = i + 1 + rest.findLastIndex((r) => uses([r], s.tile.name));
    } else lowerStatement(to, s, rest);
    if (release === i && to.exchange) releaseExchange(to, to.exchange);
  });
}

function lowerStatement(to: Lowering, s: Statement, rest: readonly Statement[]): void {
  switch (s.kind) {
    case "for":
      lowerFor(to, s);
      return;
    case "if": {
      const condition = to.scalar(s.condition);
      const then = to.collect(() => lowerList(to, s.then));
      const otherwise = to.collect(() => lowerList(to, s.otherwise));
      to.push({ kind: "if", condition, then, otherwise });
      return;
    }
    case "let": {
      if (!mentions(rest, s.name)) return;
      const reads: Access[] = [];
      const text = to.scope.scalar(s.value, reads);
      const { type } = s.value;
      const name = to.scope.names.unique(s.name);
      const [divisor, most] = type === "i32" ? [to.scope.divisor(s.value), to.scope.most(s.value)] : [1, undefined];
      to.emit(`const ${type === "i32" ? "int64_t" : type === "f32" ? "float" : "bool"} ${name} = ${text};`, reads);
      const value = type === "i32" ? { value: s.value } : {};
      to.scope.bind(s.name, { kind: "scalar", name, type, divisor, most, ...value });
      return;
    }
    case "alloc":
      lowerAlloc(to, s.tile, rest);
      return;
    case "fill":
      lowerFill(to, s);
      return;
    case "set":
      setElement(to, s.base, s.index, s.value);
      return;
    case "copy":
      lowerCopy(to, s);
      return;
    case "map":
      lowerMap(to, s);
      return;
    case "mma":
      lowerMma(to, s);
      return;
    case "reduce":
      lowerReduce(to, s);
      return;
    case "top_k":
      lowerTopK(to, s);
      return;
    case "barrier":
      throw new IrError("a kernel has a barrier among lanes, and Ascend's cores have none", "Choose another schedule.");
    case "prefetch":
      return;
  }
}

/** Whether statements view a tile or buffer. */
const uses = (body: readonly Statement[], name: string): boolean =>
  body.some(
    (s) =>
      viewsOf(s).some(({ view }) => view.base === name) ||
      (s.kind === "for" && uses(s.body, name)) ||
      (s.kind === "if" && (uses(s.then, name) || uses(s.otherwise, name))),
  );

function lowerFor(to: Lowering, s: Of<"for">): void {
  const from = to.scalar(s.from);
  let end = to.scalar(s.to);
  if (!/^[\w]+$/.test(end)) {
    // The end is computed once, before the first iteration.
    const name = to.scope.names.unique(`${s.name}_end`);
    to.emit(`const int64_t ${name} = ${end};`);
    end = name;
  }
  const counter = to.scope.names.unique(s.name);
  // The vector cores of a group take iterations in turn.
  const split = s.shared === true && to.exchange?.core === "AIV";
  const divisor = gcd(to.scope.divisor(s.from), s.step);
  const by = split ? `GetSubBlockNum() * ${s.step}` : String(s.step);
  const step = by === "1" ? `${counter}++` : `${counter} += ${by}`;
  const begin = split ? `${from === "0" ? "" : `${atom(from)} + `}GetSubBlockIdx() * ${s.step}` : from;
  const body = to.collect(() => {
    to.scope.bind(s.name, { kind: "scalar", name: counter, type: "i32", divisor, most: undefined, below: s.to });
    lowerList(to, s.body);
  });
  const ahead = readThroughout(body);
  if (ahead.length > 0) to.push({ kind: "line", text: "", accesses: ahead, ahead: true });
  const [first, last] = [staticValue(s.from), staticValue(s.to)];
  const runs = !split && first !== undefined && last !== undefined && first < last;
  to.push({ kind: "loop", head: `for (int64_t ${counter} = ${begin}; ${counter} < ${end}; ${step})`, body, runs });
}

/** What the scalar unit reads in a loop and nothing in it writes: it waits for that once, before the loop. */
function readThroughout(body: readonly Node[]): Access[] {
  const all = [...accessesOf(body)];
  const own = new Set([...all.filter((a) => a.write).map((a) => a.resource), ...variablesOf(body)]);
  const read = new Set(all.filter((a) => a.pipe === "S" && !own.has(a.resource)).map((a) => a.resource));
  return [...read].map((resource) => access("S", resource, false));
}

/** Names of the local tensors that nodes declare. */
function* variablesOf(nodes: readonly Node[]): Generator<string> {
  for (const node of nodes) {
    if (node.kind === "local") yield node.variable.name;
    else if (node.kind === "loop") yield* variablesOf(node.body);
    else if (node.kind === "if") yield* variablesOf([...node.then, ...node.otherwise]);
  }
}

function lowerAlloc(to: Lowering, tile: Tile, rest: readonly Statement[]): void {
  const { strides, elements } = tileStrides(tile);
  const size = dtypeBytes[tile.dtype];
  const cube = tile.space !== "ub";
  const bytes = cube ? cubeTileBytes(tile.dims, size, tile.space) : Math.ceil((elements * size) / 32) * 32;
  const variable: LocalVariable = {
    name: to.scope.names.unique(tile.name),
    dtype: tile.dtype,
    bytes,
    space: tile.space,
    feedsB: tile.space === "l1" && feeds(tile, rest, "l0b"),
  };
  to.push({ kind: "local", variable });
  const binding: LocalBinding = { kind: "local", name: variable.name, tile, variable, strides, valid: undefined };
  to.scope.bind(tile.name, binding);
}

/** Whether a tile in L1 is copied to a tile in a space. */
function feeds(tile: Tile, body: readonly Statement[], space: string): boolean {
  const tiles = new Map<string, string>();
  const visit = (list: readonly Statement[]): boolean =>
    list.some((s) => {
      if (s.kind === "alloc") tiles.set(s.tile.name, s.tile.space);
      if (s.kind === "copy") return s.src.base === tile.name && tiles.get(s.dst.base) === space;
      if (s.kind === "for") return visit(s.body);
      return s.kind === "if" && (visit(s.then) || visit(s.otherwise));
    });
  return visit(body);
}

function lowerFill(to: Lowering, s: Of<"fill">): void {
  const shape = viewShape(s.dst);
  if (shape.length === 0) {
    const index = s.dst.index.map((i) =>
      i.kind === "at" ? i.at : ({ kind: "const", type: "i32", value: 0 } as const),
    );
    setElement(to, s.dst.base, index, s.value);
    return;
  }
  const dst = to.vectorPlace(s.dst);
  if (dtypeBytes[dst.dtype] < 4 && !(s.value.kind === "const" && s.value.value === 0)) {
    lowerMap(to, { kind: "map", dst: s.dst, inputs: [], value: s.value });
    return;
  }
  const value = to.scalar(s.value);
  fillRows(to, dst, shape, 0, dst.dtype === "i32" ? `static_cast<int32_t>(${value})` : value);
}

/** One element of a view: its base, and the offset of the row's counters. */
function resultElement(
  to: Lowering,
  view: View,
  counters: readonly string[],
): { readonly name: string; readonly offset: string } {
  const place = to.place(view);
  return { name: place.binding.name, offset: to.offset(place, counters).toString() };
}

function lowerReduce(to: Lowering, s: Of<"reduce">): void {
  const shape = viewShape(s.src);
  const columns = shape.at(-1) ?? 1;
  const src = to.vectorPlace(s.src);
  const rows = shape.slice(0, -1);
  if (src.dtype === "i32") {
    to.nest("row", rows.map(String), (counters) =>
      reduceIntegers(to, s.op, resultElement(to, s.dst, counters), to.tensor(src, counters), src.binding.name, columns),
    );
    return;
  }
  const op = `reduce_${s.op}.f32`;
  const work = to.temporary("work", "f32", reduceWorkElements(columns, 4, false));
  const idle = to.table.leavesAlone(op, "w");
  const body = (counters: readonly string[]): void => {
    const { name, offset } = resultElement(to, s.dst, counters);
    to.vector(
      op,
      { d: offset === "" ? name : `${name}[${offset}]`, a: to.tensor(src, counters), w: work.name, n: String(columns) },
      [name, ...(idle ? [] : [work.name])],
      [src.binding.name],
    );
  };
  // Rows take the same work space, one after the other.
  if (idle) to.rows(rows, body);
  else to.nest("row", rows.map(String), body);
  to.release(work);
}

/** Integers have no reduction on the vector unit. */
function reduceIntegers(
  to: Lowering,
  op: "sum" | "max",
  dst: { readonly name: string; readonly offset: string },
  row: string,
  resource: string,
  columns: number,
): void {
  const result = to.scope.names.unique(op === "sum" ? "total" : "largest");
  const read = [access("S", resource, false)];
  to.emit(`int32_t ${result} = ${row}.GetValue(0);`, read);
  const i = to.scope.names.unique("i");
  to.push({
    kind: "loop",
    head: `for (int64_t ${i} = 1; ${i} < ${columns}; ${i}++)`,
    runs: columns > 1,
    body: to.collect(() => {
      const next = `${row}.GetValue(${i})`;
      to.emit(op === "sum" ? `${result} += ${next};` : `if (${next} > ${result}) ${result} = ${next};`, read);
    }),
  });
  to.emit(`${dst.name}.SetValue(${dst.offset || "0"}, ${result});`, [access("S", dst.name, true)]);
}

/** The largest key again and again; the first of equal ones, which is the lowest index. A taken key becomes -inf. */
function lowerTopK(to: Lowering, s: Of<"top_k">): void {
  const [n = 1] = viewShape(s.keys);
  const [k = 1] = viewShape(s.ids);
  const keys = to.vectorPlace(s.keys);
  const ids = to.place(s.ids);
  if (ids.binding.kind !== "local") throw new IrError("the ids of top_k lie in a tile", "Copy them out afterwards.");
  const best = to.temporary("best", "f32", 8);
  const work = to.temporary("work", "f32", reduceWorkElements(n, 4, true));
  to.loop("pick", String(k), (pick) => {
    const text = to.tensor(keys);
    to.vector(
      "arg_max.f32",
      { d: best.name, a: text, w: work.name, n: String(n) },
      [best.name, work.name],
      [keys.binding.name],
    );
    const id = to.scope.names.unique("id");
    to.emit(`const int32_t ${id} = ${best.name}.ReinterpretCast<int32_t>().GetValue(1);`, [
      access("S", best.name, false),
    ]);
    to.emit(`${ids.binding.name}.SetValue(${to.offset(ids, [pick]).alone}, ${id});`, [
      access("S", ids.binding.name, true),
    ]);
    to.emit(`${text}.SetValue(${id}, FloatFromBits(0xff800000));`, [access("S", keys.binding.name, true)]);
  });
  to.release(best);
  to.release(work);
}
