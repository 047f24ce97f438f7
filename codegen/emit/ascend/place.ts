import type { Names } from "../c-family/names.ts";
import { accessesOf, type LocalVariable, line, type Node, type Pipe } from "./nodes.ts";
import { elementTypes } from "./scope.ts";

/** A piece of local memory that InitBuffer gives, for one tensor or for several that never live at once. */
export interface LocalBuffer {
  /** Name of the TQue or TBuf. */
  readonly name: string;
  readonly kind: "queue" | "buffer";
  /** TPosition. */
  readonly position: string;
  readonly space: string;
  bytes: number;
  /** Tensors that the queue hands out in turn; with two, transfers and computation overlap. */
  count: number;
}

export interface Placed {
  readonly body: readonly Node[];
  readonly buffers: readonly LocalBuffer[];
  /** The buffer that a local tensor lies in, by name. */
  readonly physical: ReadonlyMap<string, string>;
}

/** A role in the movement of data: who fills a queue's tensor, who uses it up. */
interface Role {
  readonly position: string;
  readonly producer: Pipe;
  readonly consumer: Pipe;
}

/** What tiles of a space may be, best first. */
const roles: Readonly<Record<string, readonly Role[]>> = {
  ub: [
    { position: "VECIN", producer: "MTE2", consumer: "V" },
    { position: "VECOUT", producer: "V", consumer: "MTE3" },
  ],
  l1: [
    { position: "A1", producer: "MTE2", consumer: "MTE1" },
    { position: "B1", producer: "MTE2", consumer: "MTE1" },
  ],
  l0a: [{ position: "A2", producer: "MTE1", consumer: "M" }],
  l0b: [{ position: "B2", producer: "MTE1", consumer: "M" }],
  l0c: [{ position: "CO1", producer: "M", consumer: "FIX" }],
};

const scratchPositions: Readonly<Record<string, string>> = {
  ub: "VECCALC",
  l1: "A1",
  l0a: "A2",
  l0b: "B2",
  l0c: "CO1",
};

/** The pipes of a position, "from_to": queues of one pair share its events. */
const pairs: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(roles).flatMap((list) => list.map((r) => [r.position, `${r.producer}_${r.consumer}`])),
);

/** Queue tensors per pair of pipes: each takes a hardware event while it waits, of which there are 8, and explicit flags need some. */
const mostQueued = 6;

/**
 * Gives every local tensor memory. One that is filled by one pipe and then used by another, with a moment between the two in the
 * list where it was made, lives in a queue, whose protocol orders the pipes; all others live in buffers. Tensors that
 * never live at once share memory.
 */
export function placeTensors(body: readonly Node[], names: Names): Placed {
  const placer = new Placer(names);
  const placed = placer.list(body);
  return { body: placed, buffers: placer.buffers, physical: placer.physical };
}

class Placer {
  readonly #names: Names;
  readonly buffers: LocalBuffer[] = [];
  readonly physical = new Map<string, string>();
  readonly #free: LocalBuffer[] = [];

  constructor(names: Names) {
    this.#names = names;
  }

  list(nodes: readonly Node[]): Node[] {
    /** What is put before the node at an index, and at the end of the list. */
    const before: Node[][] = nodes.map(() => []);
    const atEnd: Node[] = [];
    const out: Node[] = [];
    const live = new Map<LocalVariable, LocalBuffer>();
    nodes.forEach((node, i) => {
      out.push(...(before[i] ?? []));
      switch (node.kind) {
        case "local": {
          const { variable } = node;
          const rest = nodes.slice(i + 1);
          const end = rest.findIndex((n) => n.kind === "release" && n.variable === variable);
          const lifetime = end < 0 ? rest : rest.slice(0, end);
          const queue = this.#queueFor(variable, lifetime);
          const role = queue?.role ?? { position: scratchPositions[variable.space] ?? "VECCALC" };
          const buffer = this.#take(variable, queue ? "queue" : "buffer", role.position);
          live.set(variable, buffer);
          this.physical.set(variable.name, buffer.name);
          const type = variable.dtype === "u8" ? "uint8_t" : (elementTypes[variable.dtype] ?? "float");
          const made = `LocalTensor<${type}> ${variable.name} = ${buffer.name}.`;
          if (!queue) {
            out.push(line(`${made}Get<${type}>();`));
            return;
          }
          const { producer, consumer } = queue.role;
          const step = (name: "alloc" | "pass" | "free", lines: readonly string[]): Node => ({
            kind: "queue",
            step: name,
            resource: variable.name,
            producer,
            consumer,
            lines,
          });
          out.push(step("alloc", [`${made}AllocTensor<${type}>();`]));
          const pass = step("pass", [
            `${buffer.name}.EnQue(${variable.name});`,
            `${variable.name} = ${buffer.name}.DeQue<${type}>();`,
          ]);
          const at = i + 1 + queue.passAfter + 1;
          if (at < nodes.length) before[at]?.push(pass);
          else atEnd.push(pass);
          const free = step("free", [`${buffer.name}.FreeTensor(${variable.name});`]);
          if (end < 0) atEnd.push(free);
          else before[i + 1 + end]?.push(free);
          return;
        }
        case "release": {
          const buffer = live.get(node.variable);
          if (buffer) this.#free.push(buffer);
          live.delete(node.variable);
          return;
        }
        case "loop":
          out.push({ ...node, body: this.list(node.body) });
          return;
        case "if": {
          const then = this.list(node.then);
          const otherwise = this.list(node.otherwise);
          out.push({ ...node, then, otherwise });
          return;
        }
        default:
          out.push(node);
      }
    });
    this.#free.push(...live.values());
    return [...out, ...atEnd];
  }

  /** The role of a queue that fits a tensor's uses, and the last node of the list before the consumer takes over. */
  #queueFor(
    variable: LocalVariable,
    lifetime: readonly Node[],
  ): { readonly role: Role; readonly passAfter: number } | undefined {
    const uses = lifetime.map((node) => {
      const list = [...accessesOf([node])].filter((a) => a.resource === variable.name);
      return { list, pipes: new Set(list.map((a) => a.pipe)) };
    });
    for (const role of roles[variable.space] ?? []) {
      if (variable.space === "l1" && (role.position === "B1") !== (variable.feedsB === true)) continue;
      const { producer, consumer } = role;
      if (uses.some((u) => [...u.pipes].some((p) => p !== producer && p !== consumer))) continue;
      const lastProduced = uses.findLastIndex((u) => u.pipes.has(producer));
      const firstConsumed = uses.findIndex((u) => u.pipes.has(consumer));
      if (lastProduced < 0 || firstConsumed <= lastProduced) continue;
      // A tensor that is filled is not read before.
      const first = uses.find((u) => u.list.length > 0)?.list[0];
      if (first?.write !== true) continue;
      if (this.#isFull(role.position)) continue;
      return { role, passAfter: lastProduced };
    }
    return undefined;
  }

  #isFull(position: string): boolean {
    const isQueue = (b: LocalBuffer): boolean => b.kind === "queue" && pairs[b.position] === pairs[position];
    const reusable = this.#free.some((b) => b.kind === "queue" && b.position === position);
    return this.buffers.filter(isQueue).length >= mostQueued && !reusable;
  }

  /** A buffer of the kind: a free one, the one that fits best, or a new one. */
  #take(variable: LocalVariable, kind: "queue" | "buffer", position: string): LocalBuffer {
    const fits = this.#free.filter((b) => b.kind === kind && b.position === position);
    const best = fits.sort((a, b) => distance(a, variable.bytes) - distance(b, variable.bytes))[0];
    if (best) {
      this.#free.splice(this.#free.indexOf(best), 1);
      best.bytes = Math.max(best.bytes, variable.bytes);
      return best;
    }
    const name = this.#names.unique(`${variable.name}_${kind}`);
    const buffer: LocalBuffer = { name, kind, position, space: variable.space, bytes: variable.bytes, count: 1 };
    this.buffers.push(buffer);
    return buffer;
  }
}

const distance = (buffer: LocalBuffer, bytes: number): number =>
  buffer.bytes >= bytes ? buffer.bytes - bytes : 2 * (bytes - buffer.bytes);

/** What a buffer takes of its space. */
export const bytesTaken = (b: LocalBuffer): number => Math.ceil(b.bytes / 32) * 32 * b.count;

/**
 * Gives queues two tensors, so that the pipes overlap, as far as events and memory allow: where a space is too small, the
 * largest queues stay with one. Returns the bytes taken of each space.
 */
export function doubleBuffer(
  buffers: readonly LocalBuffer[],
  capacity: (space: string) => number | undefined,
): Map<string, number> {
  const queues = buffers.filter((b) => b.kind === "queue");
  const taken = new Map<string, number>();
  for (const b of buffers) taken.set(b.space, (taken.get(b.space) ?? 0) + bytesTaken(b));
  const perPair = new Map<string, number>();
  const pairOf = (q: LocalBuffer): string => pairs[q.position] ?? q.position;
  for (const q of queues) perPair.set(pairOf(q), (perPair.get(pairOf(q)) ?? 0) + 1);
  for (const q of queues.toSorted((a, b) => a.bytes - b.bytes)) {
    const used = perPair.get(pairOf(q)) ?? 0;
    const more = bytesTaken(q);
    const room = capacity(q.space) ?? Number.POSITIVE_INFINITY;
    if (used >= mostQueued || (taken.get(q.space) ?? 0) + more > room) continue;
    q.count = 2;
    perPair.set(pairOf(q), used + 1);
    taken.set(q.space, (taken.get(q.space) ?? 0) + more);
  }
  return taken;
}
