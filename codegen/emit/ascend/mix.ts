import { IrError } from "../../../ir/core/diagnostic.ts";
import { mentions, viewsOf } from "../../tile/shape.ts";
import type { Statement, Tile } from "../../tile/types.ts";
import type { Lowering } from "./lowering.ts";
import type { LocalVariable, Node } from "./nodes.ts";
import { type LocalBinding, tileStrides } from "./scope.ts";

/** The cores that a part of a kernel runs on, as their macros ASCEND_IS_… name them. */
export type CoreType = "AIC" | "AIV";

/** Tiles of this space lie in global memory: a cube core writes them, and the vector cores of its group read them. */
const exchangeSpace = "exchange";

/** Tiles between the cores at a time: one is filled while the other is used. */
export const exchangeSlots = 2;

/** The one exchange tile of a kernel, where it has one. */
export function exchangeOf(body: readonly Statement[]): Tile | undefined {
  const found: Tile[] = [];
  const visit = (list: readonly Statement[]): void => {
    for (const s of list) {
      if (s.kind === "alloc" && s.tile.space === exchangeSpace) found.push(s.tile);
      for (const inner of listsOf(s)) visit(inner);
    }
  };
  visit(body);
  if (found.length > 1)
    throw new IrError(
      `the cores of a group exchange one tile, found ${found.map((t) => t.name).join(", ")}`,
      "Put the tiles into one, with a dimension more.",
    );
  return found[0];
}

const listsOf = (s: Statement): readonly (readonly Statement[])[] =>
  s.kind === "for" ? [s.body] : s.kind === "if" ? [s.then, s.otherwise] : [];

const isCube = (space: string | undefined): boolean => space !== undefined && /^l[01]/.test(space);

/** The statements of a kernel that one kind of core carries out, with the scalars and the control flow that they need. */
export function partOf(body: readonly Statement[], core: CoreType): Statement[] {
  const spaces = new Map<string, string>();
  const collect = (list: readonly Statement[]): void => {
    for (const s of list) {
      if (s.kind === "alloc") spaces.set(s.tile.name, s.tile.space);
      for (const inner of listsOf(s)) collect(inner);
    }
  };
  collect(body);
  const belongs = (s: Statement): boolean => {
    if (s.kind === "alloc" && s.tile.space === exchangeSpace) return true;
    const bases = s.kind === "alloc" ? [s.tile.name] : viewsOf(s).map(({ view }) => view.base);
    return bases.some((base) => isCube(spaces.get(base))) === (core === "AIC");
  };
  const keep = (list: readonly Statement[]): Statement[] => {
    const kept: Statement[] = [];
    for (const s of list.toReversed()) {
      if (s.kind === "let") {
        if (mentions(kept, s.name)) kept.unshift(s);
      } else if (s.kind === "for") {
        const inner = keep(s.body);
        if (inner.length > 0) kept.unshift({ ...s, body: inner });
      } else if (s.kind === "if") {
        const [then, otherwise] = [keep(s.then), keep(s.otherwise)];
        if (then.length + otherwise.length > 0) kept.unshift({ ...s, then, otherwise });
      } else if (belongs(s)) kept.unshift(s);
    }
    return kept;
  };
  return keep(body);
}

/** What a part of a MIX kernel knows of the exchange between its cores. Names in C++. */
export interface Exchange {
  readonly core: CoreType;
  /** Its name in tile IR. */
  readonly tile: string;
  /** The GlobalTensor of the tile at hand. */
  readonly name: string;
  /** The GlobalTensor with the tiles of all groups. */
  readonly memory: string;
  readonly type: string;
  /** Elements of a tile. */
  readonly elements: number;
  /** The group's number, and how many tiles it has exchanged so far. */
  readonly group: string;
  readonly turn: string;
  /** Flags: a tile is full; a tile is free again. */
  readonly full: string;
  readonly free: string;
}

/**
 * A tile of the exchange begins: a cube core waits until the vector cores have read the tile that was in its place, they wait until
 * it is filled.
 */
export function lowerExchange(to: Lowering, tile: Tile, exchange: Exchange): void {
  const { core, name, memory, type, elements, group, turn, full, free } = exchange;
  const wait = (flag: string): Node => ({ kind: "line", text: `CrossCoreWaitFlag(${flag});`, accesses: [] });
  if (core === "AIV") to.push(wait(full));
  else {
    const then = [wait(free)];
    to.push({ kind: "if", condition: `${turn} >= ${exchangeSlots}`, then, otherwise: [] });
  }
  to.emit(
    `GlobalTensor<${type}> ${name} = ${memory}[(${group} * ${exchangeSlots} + ${turn} % ${exchangeSlots}) * ${elements}];`,
  );
  const variable: LocalVariable = { name, dtype: tile.dtype, bytes: 0, space: tile.space };
  const binding: LocalBinding = {
    kind: "local",
    name,
    tile,
    variable,
    strides: tileStrides(tile).strides,
    valid: undefined,
  };
  to.scope.bind(tile.name, binding);
}

/** After its last use: the cube core says that it is full, the vector cores that they have read it. */
export function releaseExchange(to: Lowering, { core, turn, full, free }: Exchange): void {
  to.emit(core === "AIC" ? `CrossCoreSetFlag<2, PIPE_FIX>(${full});` : `CrossCoreSetFlag<2, PIPE_MTE2>(${free});`);
  to.emit(`${turn}++;`);
}

/** Declares the group's number, and the count of its tiles. */
export const beginExchange = ({ core, group, turn }: Exchange): Node[] =>
  [
    `const int64_t ${group} = ${core === "AIC" ? "GetBlockIdx()" : "GetBlockIdx() / GetTaskRation()"};`,
    `int64_t ${turn} = 0;`,
  ].map((text) => ({ kind: "line", text, accesses: [] }));

/** The flags that the cube core has not waited for: those of the last tiles. */
export function drainExchange({ turn, free }: Exchange): Node {
  const wait: Node = { kind: "line", text: `CrossCoreWaitFlag(${free});`, accesses: [] };
  return {
    kind: "loop",
    head: `for (int64_t left = 0; left < Smaller(${turn}, ${exchangeSlots}); left++)`,
    body: [wait],
  };
}
