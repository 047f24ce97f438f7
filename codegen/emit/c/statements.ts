import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import type { Statement, Tile } from "../../tile/types.ts";
import { plainName } from "../c-family/names.ts";
import { operand } from "../c-family/parentheses.ts";
import { emitCopy, emitFill, emitMap } from "./elementwise.ts";
import { tuples } from "./elementwise-unrolled.ts";
import { emitPrefetch } from "./prefetch.ts";
import { emitProducts, hoistRowPointers, sharesRows } from "./product.ts";
import { emitReduce } from "./reduce.ts";
import { elementTypes, type Scope } from "./scope.ts";
import { countShorts, emitShorts, productsOfLoop } from "./shorts.ts";
import { emitTopK } from "./top-k.ts";
import { isHeldInVectors, readsScalar, writes, writtenFirst } from "./usage.ts";

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

/** Arrays above this size (bytes) are kept per thread instead of on the stack. */
const STACK_LIMIT = 32 * 1024;

const scalarTypes = { f32: "float", i32: "int64_t", bool: "bool" } as const;

/** Every statement kind and its C. `rest` are the statements that follow in the same list. */
const emitters: { readonly [K in Statement["kind"]]: (scope: Scope, s: Of<K>, rest: readonly Statement[]) => void } = {
  for: emitFor,
  if: (scope, s) => {
    const condition = scope.scalar(s.condition);
    scope.out.block(`if (${condition})`, () => emitStatements(scope.inner(), s.then));
    if (s.otherwise.length > 0) scope.out.block("else", () => emitStatements(scope.inner(), s.otherwise));
  },
  let: (scope, s, rest) => {
    if (!readsScalar(rest, s.name)) return;
    const text = s.value.type === "i32" ? scope.index(s.value).alone : scope.scalar(s.value);
    const name = scope.names.unique(plainName(s.name));
    scope.out.line(`const ${scalarTypes[s.value.type]} ${name} = ${text};`);
    scope.bind(s.name, { kind: "scalar", name, type: s.value.type });
  },
  alloc: (scope, s, rest) => emitAlloc(scope, s.tile, rest),
  fill: emitFill,
  set: (scope, s) => {
    const { dtype } = scope.memory(s.base, "set");
    const value = s.value.type === "i32" ? scope.index(s.value).alone : scope.scalar(s.value);
    scope.out.line(scope.storeScalar(scope.elementAddress(s.base, s.index), dtype, value));
  },
  copy: emitCopy,
  map: emitMap,
  mma: (scope, s) => emitProducts(scope, [s]),
  reduce: emitReduce,
  top_k: emitTopK,
  barrier: () => {
    throw new IrError("a kernel has a barrier, and blocks of C do not wait for each other", "Choose another schedule.");
  },
  prefetch: emitPrefetch,
};

/** Prints a statement list. Names that it defines stay in `scope`. */
export function emitStatements(scope: Scope, body: readonly Statement[]): void {
  for (let i = 0; i < body.length; i++) {
    const s = body[i] as Statement;
    if (s.kind !== "mma") {
      emitters[s.kind](scope, s as never, body.slice(i + 1));
      continue;
    }
    const groups = productsFrom(body, i);
    const shorts = groups.slice(0, countShorts(scope, groups));
    const taken = shorts.length > 0 ? shorts : groups.slice(0, 1);
    if (shorts.length > 0) emitShorts(scope, shorts);
    else for (const group of taken) emitProducts(scope, group);
    i += taken.flat().length - 1;
  }
}

/** The products that follow each other from a statement on, those that share rows together. */
function productsFrom(body: readonly Statement[], from: number): readonly (readonly Of<"mma">[])[] {
  const groups: Of<"mma">[][] = [];
  for (let i = from; body[i]?.kind === "mma"; i++) {
    const s = body[i] as Of<"mma">;
    const [first] = groups.at(-1) ?? [];
    if (first && sharesRows(first, s)) groups.at(-1)?.push(s);
    else groups.push([s]);
  }
  return groups;
}

function emitFor(scope: Scope, s: Of<"for">): void {
  const written = productsOfLoop(s);
  if (countShorts(scope, productsFrom(written, 0)) > 1) {
    emitStatements(scope, written);
    return;
  }
  const loop = scope.inner();
  const products = s.body.filter((x): x is Of<"mma"> => x.kind === "mma");
  // A product that starts at the loop's first step: its sums are cleared before the loop instead of asking in every step.
  const first = (init: ScalarExpr | undefined): boolean =>
    init?.kind === "apply" &&
    init.op === "eq" &&
    init.args[0]?.kind === "var" &&
    init.args[0].name === s.name &&
    JSON.stringify(init.args[1]) === JSON.stringify(s.from);
  const cleared = new Set(products.filter((p) => first(p.init)));
  for (const p of cleared)
    emitFill(scope, { kind: "fill", dst: p.acc, value: { kind: "const", type: "f32", value: 0 } });
  const body = s.body.map((x): Statement => {
    if (x.kind !== "mma" || !cleared.has(x)) return x;
    const { init: _, ...rest } = x;
    return rest;
  });
  hoistRowPointers(loop, fixedGathers(s.body));
  const mark = scope.names.mark();
  const name = scope.names.unique(plainName(s.name));
  const from = scope.index(s.from).alone;
  const to = operand(scope.index(s.to).alone, "<");
  const step = s.step === 1 ? `${name}++` : `${name} += ${s.step}`;
  loop.bind(s.name, { kind: "scalar", name, type: "i32" });
  if (s.unroll !== undefined) scope.out.line(`UNMOOR_UNROLL(${s.unroll})`);
  scope.out.block(`for (int64_t ${name} = ${from}; ${name} < ${to}; ${step})`, () => emitStatements(loop, body));
  scope.names.release(mark);
}

/** Products in a loop's body, or in loops of it, that gather rows of the same base at the same positions in every step. */
function fixedGathers(body: readonly Statement[]): readonly Of<"mma">[] {
  const own = new Set(body.flatMap((x) => (x.kind === "alloc" ? [x.tile.name] : [])));
  return body
    .flatMap((x) => (x.kind === "mma" ? [x] : x.kind === "for" ? fixedGathers(x.body) : []))
    .filter(
      ({ a }) =>
        !own.has(a.base) &&
        a.index.every((x) => x.kind !== "gather" || (!own.has(x.positions) && !writes(body, x.positions))),
    );
}

function emitAlloc(scope: Scope, tile: Tile, rest: readonly Statement[]): void {
  const { lanes, types } = scope.file.table.isa;
  const type = elementTypes[tile.dtype];
  if (type === undefined) {
    throw new IrError(
      `tile ${tile.name} has elements of type ${tile.dtype}, which simd-c does not know`,
      "Use f32, bf16 or i32.",
    );
  }
  const dims = tile.dims;
  if (isHeldInVectors(tile, rest, lanes)) {
    const dtype = tile.dtype === "i32" ? "i32" : "f32";
    const rows = [...tuples(dims.slice(0, -1))].map((row) =>
      Array.from({ length: (dims.at(-1) ?? 1) / lanes }, (_, c) => [...row, c].join("_")),
    );
    const name = scope.names.family(plainName(tile.name), rows.flat());
    const undeclared = new Set<string>();
    scope.bind(tile.name, { kind: "vectors", name, dtype, dims, undeclared });
    const isNext = writtenFirst(rest, tile);
    for (const row of rows) {
      const parts = row.map((at) => `${name}_${at}`);
      if (isNext) for (const part of parts) undeclared.add(part);
      else scope.out.line(`${types[dtype]} ${parts.join(", ")};`);
    }
    return;
  }
  const name = scope.names.unique(plainName(tile.name));
  const count = dims.reduce((a, b) => a * b, 1);
  const storage = count * dtypeBytes[tile.dtype] > STACK_LIMIT ? "static _Thread_local " : "";
  scope.out.line(`${storage}_Alignas(64) ${type} ${name}[${Math.max(1, count)}];`);
  scope.bind(tile.name, { kind: "memory", name, dtype: tile.dtype, dims: dims.map((d) => Dim.of(d)), global: false });
}
