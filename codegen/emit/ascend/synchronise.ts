import type { Access, Node, Pipe } from "./nodes.ts";
import { pipes } from "./nodes.ts";

/**
 * Makes a body right whatever the order in which the pipes of a core run ahead of each other. For every access the accesses
 * before it are known that may not have ended for the pipe at hand: per resource, pipe and direction the set of pipes that
 * have not waited for it. Where one of them conflicts (a write is one of the two), the pipe waits. Loops are followed until
 * nothing changes, so what one iteration leaves open is known to the next.
 * @param physical the buffer that a resource lies in; resources that share one conflict
 * @param global resources in global memory: order within one pipe is kept there unless `ordered`
 */
export function synchronise(
  body: readonly Node[],
  physical: (resource: string) => string,
  global: ReadonlyMap<string, { readonly ordered: boolean }>,
): Node[] {
  return new Synchroniser(physical, global).body(body, new Map());
}

/** Open accesses, by `keyOf` → bits of the pipes that have not waited. */
type State = Map<number, number>;

/** Resource, pipe and direction of an access in one number, since loops ask for it again and again. */
const keyOf = (resource: number, pipe: number, write: boolean): number =>
  (resource * pipes.length + pipe) * 2 + (write ? 1 : 0);
const pipeOf = (key: number): number => (key >> 1) % pipes.length;
const resourceOf = (key: number): number => Math.floor(key / (2 * pipes.length));

const indices = new Map(pipes.map((pipe, i) => [pipe, i]));
const indexOf = (pipe: Pipe): number => indices.get(pipe) ?? 0;
const bit = (pipe: Pipe): number => 1 << indexOf(pipe);
const all = (1 << pipes.length) - 1;

/** Pairs that have a hardware event, "from_to" (enum HardEvent of Ascend C). */
const events = new Set(
  `MTE2_MTE1 MTE1_MTE2 MTE1_M M_MTE1 MTE2_V V_MTE2 MTE3_V V_MTE3 M_FIX FIX_M MTE3_MTE2 MTE2_MTE3 S_V V_S S_MTE2 MTE2_S
  S_MTE3 MTE3_S MTE2_FIX FIX_MTE2 FIX_S M_S MTE2_M M_MTE2 MTE1_FIX FIX_MTE1`.split(/\s+/),
);

/** An access of pipe `to` after one of pipe `from` that it may not overtake. */
interface Conflict {
  readonly from: Pipe;
  readonly to: Pipe;
  readonly resource: string;
  /** Whether the resource lies in global memory and one of the two goes through the scalar unit's cache. */
  readonly cached: boolean;
}

type Loop = Extract<Node, { kind: "loop" }>;

/** A loop with its waits, and what is open after it. */
interface Synchronised {
  readonly nodes: readonly Node[];
  readonly state: State;
}

class Synchroniser {
  /** Results for loops by what is open before them: outer loops come back to inner ones with the same. */
  readonly #loops = new Map<Loop, Map<string, Synchronised>>();
  /** Numbers of the buffers that resources lie in. */
  readonly #numbers = new Map<string, number>();
  readonly #physical: (resource: string) => string;
  readonly #global: ReadonlyMap<string, { readonly ordered: boolean }>;

  constructor(physical: (resource: string) => string, global: ReadonlyMap<string, { readonly ordered: boolean }>) {
    this.#physical = physical;
    this.#global = global;
  }

  /** The list with its waits; `state` becomes what is open after it. */
  body(nodes: readonly Node[], state: State): Node[] {
    const out: Node[] = [];
    for (const node of nodes) this.#node(node, state, out);
    return out;
  }

  #node(node: Node, state: State, out: Node[]): void {
    switch (node.kind) {
      case "line":
        if (node.ahead) this.#before(node.accesses, state, out);
        else this.#touch(node.accesses, node, state, out);
        return;
      case "queue":
        if (node.step === "pass") wait(state, node.producer, node.consumer);
        if (node.step === "alloc") this.#handOver(node.resource, node.producer, state);
        out.push(node);
        return;
      case "if": {
        const other: State = new Map(state);
        const then = this.body(node.then, state);
        const otherwise = this.body(node.otherwise, other);
        join(state, other);
        out.push({ ...node, then, otherwise });
        return;
      }
      case "loop":
        if (node.accesses === undefined) this.#loop(node, state, out);
        else this.#touch(node.accesses, node, state, out);
        return;
      default:
        out.push(node);
    }
  }

  #touch(accesses: readonly Access[], node: Node, state: State, out: Node[]): void {
    this.#before(accesses, state, out);
    for (const access of accesses)
      state.set(keyOf(this.#number(access.resource), indexOf(access.pipe), access.write), all);
    out.push(node);
  }

  #loop(node: Loop, state: State, out: Node[]): void {
    const results = this.#loops.get(node) ?? new Map<string, Synchronised>();
    this.#loops.set(node, results);
    const entry = [...state].sort(([a], [b]) => a - b).join(" ");
    const known = results.get(entry) ?? this.#synchronised(node, new Map(state));
    results.set(entry, known);
    replace(state, known.state);
    out.push(...known.nodes);
  }

  /** A loop, after the waits that are needed once only: those that leave fewer inside when they come before it. */
  #synchronised(node: Loop, state: State): Synchronised {
    const nodes: Node[] = [];
    let best = this.#iterate(node, state);
    for (const pair of new Set(pairsIn(best.body))) {
      const [from, to] = pair.split(" ") as [Pipe, Pipe];
      const waited: State = new Map(state);
      wait(waited, from, to);
      const trial = this.#iterate(node, waited);
      if (pairsIn(trial.body).length >= pairsIn(best.body).length) continue;
      nodes.push(orderLine(from, to));
      best = trial;
      replace(state, waited);
    }
    return { nodes: [...nodes, { ...node, body: best.body }], state: best.state };
  }

  /** A loop's body with its waits, and what is open after the last iteration, or without any where that may be. */
  #iterate({ body, runs }: Loop, entry: State): { readonly body: Node[]; readonly state: State } {
    const after = (before: State): State => {
      const end: State = new Map(before);
      this.body(body, end);
      return end;
    };
    let state: State = new Map(entry);
    while (join(state, after(state)));
    // With the waits of later passes less may be open than the first passes left behind.
    for (;;) {
      const narrowed: State = new Map(entry);
      join(narrowed, after(state));
      const isSmaller = join(new Map(narrowed), state);
      if (!isSmaller || join(new Map(narrowed), after(narrowed))) break;
      state = narrowed;
    }
    const end: State = new Map(state);
    const synchronised = this.body(body, end);
    return { body: synchronised, state: runs === true ? end : state };
  }

  #number(resource: string): number {
    const buffer = this.#physical(resource);
    const known = this.#numbers.get(buffer) ?? this.#numbers.size;
    this.#numbers.set(buffer, known);
    return known;
  }

  /**
   * The waits that an instruction needs. One wait may serve for others: what a pipe has
   * waited for itself is complete too. Waits that concern the scalar unit's cache come first, since others do not clean it.
   */
  #before(accesses: readonly Access[], state: State, out: Node[]): void {
    const conflicts = (at: State) => accesses.flatMap((a) => this.#conflicts(a, at));
    for (let open = conflicts(state); open.length > 0; open = conflicts(state)) {
      const left = ({ from, to }: Conflict): number => {
        const trial: State = new Map(state);
        wait(trial, from, to);
        return conflicts(trial).length;
      };
      const [only] = open.length === 1 ? open : [];
      const best = only ?? open.find((c) => c.cached) ?? open.reduce((a, b) => (left(b) < left(a) ? b : a));
      const stale = open.filter((c) => c.cached && c.from === best.from && c.to === best.to).map((c) => c.resource);
      const clean = [...new Set(stale)].map(cleanCache);
      if (best.from === "S") out.push(...clean);
      out.push(orderLine(best.from, best.to));
      wait(state, best.from, best.to);
      if (best.to === "S") out.push(...clean);
    }
  }

  /** Pipes with accesses that an access conflicts with and that its own pipe has not waited for; its own pipe last. */
  #conflicts(access: Access, state: State): Conflict[] {
    const { pipe: to, write, resource } = access;
    const [number, own] = [this.#number(resource), bit(to)];
    const found: Conflict[] = [];
    const look = (from: Pipe): void => {
      const open = (isWrite: boolean): boolean => ((state.get(keyOf(number, indexOf(from), isWrite)) ?? 0) & own) !== 0;
      const afterWrite = open(true);
      if (!afterWrite && !(write && open(false))) return;
      const cached = afterWrite && (from === "S" || to === "S") && this.#global.has(resource);
      found.push({ from, to, resource, cached });
    };
    for (const from of pipes) if (from !== to) look(from);
    if (to !== "S" && this.#global.get(resource)?.ordered !== false) look(to);
    return found;
  }

  /** A queue gives a buffer to its producer only after the consumer freed it. */
  #handOver(resource: string, producer: Pipe, state: State): void {
    const number = this.#number(resource);
    for (const [key, open] of state) if (resourceOf(key) === number) set(state, key, open & ~bit(producer));
  }
}

/** The cache of the scalar unit does not follow global memory. */
export const cleanCache = (resource: string): Node => ({
  kind: "line",
  text: `CleanCache(${resource});`,
  accesses: [],
});

function orderLine(from: Pipe, to: Pipe): Node {
  const text =
    from === to
      ? `PipeBarrier<PIPE_${from}>();`
      : events.has(`${from}_${to}`)
        ? `WaitFor<HardEvent::${from}_${to}>();`
        : "PipeBarrier<PIPE_ALL>();";
  return { kind: "line", text, accesses: [], orders: `${from} ${to}` };
}

/** The pairs of pipes, "from to", that a body orders, once for each place. */
const pairsIn = (nodes: readonly Node[]): string[] =>
  nodes.flatMap((node) => {
    if (node.kind === "line") return node.orders === undefined ? [] : [node.orders];
    if (node.kind === "loop") return pairsIn(node.body);
    return node.kind === "if" ? [...pairsIn(node.then), ...pairsIn(node.otherwise)] : [];
  });

function replace(state: State, by: State): void {
  state.clear();
  for (const [key, open] of by) state.set(key, open);
}

/**
 * `to` waits for all that `from` was told so far, and so for all that `from` has waited for. Where the scalar unit waits, all
 * pipes do: it gives them their next instructions only afterwards.
 */
function wait(state: State, from: Pipe, to: Pipe): void {
  const waiting = to === "S" ? all : bit(to);
  const [pipe, told] = [indexOf(from), bit(from)];
  for (const [key, open] of state) if (pipeOf(key) === pipe || (open & told) === 0) set(state, key, open & ~waiting);
}

function set(state: State, key: number, open: number): void {
  if (open === 0) state.delete(key);
  else state.set(key, open);
}

/** Adds what is open in `other`; says whether that was news. */
function join(state: State, other: State): boolean {
  let changed = false;
  for (const [key, open] of other) {
    const before = state.get(key) ?? 0;
    if ((before | open) === before) continue;
    state.set(key, before | open);
    changed = true;
  }
  return changed;
}
