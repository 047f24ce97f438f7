import { type Pipe, pipes } from "../../../codegen/emit/ascend/nodes.ts";
import { assumed, queueDepth } from "./figures.ts";

/** Cycles that each pipe worked. */
export type Busy = Readonly<Record<Pipe, number>>;

const zeros = (): Record<Pipe, number> => ({ S: 0, V: 0, M: 0, MTE1: 0, MTE2: 0, MTE3: 0, FIX: 0 });

/**
 * The pipes of one core in cycles. The scalar unit runs ahead and hands instructions to the other pipes, each of which works
 * through its own in order; events and queues make one pipe wait for another. The end is when all pipes are done.
 */
export class Timeline {
  /** When a pipe is done with all that it was given; for S, where the scalar unit is. */
  readonly #free = zeros();
  readonly #busy = zeros();
  readonly #ends: Readonly<Record<Pipe, Float64Array>>;
  readonly #issued = zeros();
  readonly #events = new Map<string, number[]>();

  constructor() {
    this.#ends = Object.fromEntries(pipes.map((p) => [p, new Float64Array(queueDepth)])) as Record<Pipe, Float64Array>;
  }

  get end(): number {
    return Math.max(...pipes.map((p) => this.#free[p]));
  }

  get busy(): Busy {
    return { ...this.#busy };
  }

  /** Work of the scalar unit itself. */
  scalar(cycles: number): void {
    this.#free.S += cycles;
    this.#busy.S += cycles;
  }

  issue(pipe: Exclude<Pipe, "S">, cycles: number): void {
    this.scalar(assumed.issue);
    const ends = this.#ends[pipe];
    const slot = this.#issued[pipe]++ % queueDepth;
    // A full queue holds the scalar unit up.
    this.#free.S = Math.max(this.#free.S, ends[slot] ?? 0);
    const end = Math.max(this.#free[pipe], this.#free.S) + cycles;
    this.#free[pipe] = end;
    this.#busy[pipe] += cycles;
    ends[slot] = end;
  }

  /** When the pipe is done with what it has so far. */
  done(pipe: Pipe): number {
    return this.#free[pipe];
  }

  /** The pipe does nothing before this time. */
  hold(pipe: Pipe, until: number): void {
    if (this.#free[pipe] < until) this.#free[pipe] = until;
  }

  set(event: string, from: Pipe): void {
    this.scalar(assumed.flag);
    const times = this.#events.get(event);
    if (times) times.push(this.#free[from]);
    else this.#events.set(event, [this.#free[from]]);
  }

  wait(event: string, to: Pipe): void {
    this.scalar(assumed.flag);
    this.hold(to, this.#events.get(event)?.shift() ?? 0);
  }

  /** All pipes wait for all. */
  barrier(): void {
    this.scalar(assumed.flag);
    const { end } = this;
    for (const pipe of pipes) this.#free[pipe] = end;
  }
}

/** A queue of local tensors between two pipes. */
export class TensorQueue {
  readonly #producer: Pipe;
  readonly #consumer: Pipe;
  readonly #timeline: () => Timeline;
  /** When each tensor became free, and when each that waits was filled. */
  readonly #free: number[];
  readonly #filled: number[] = [];

  constructor(producer: Pipe, consumer: Pipe, count: number, timeline: () => Timeline) {
    this.#producer = producer;
    this.#consumer = consumer;
    this.#free = new Array<number>(count).fill(0);
    this.#timeline = timeline;
  }

  alloc(): void {
    const t = this.#timeline();
    t.scalar(assumed.flag);
    t.hold(this.#producer, this.#free.shift() ?? 0);
  }

  enqueue(): void {
    const t = this.#timeline();
    t.scalar(assumed.flag);
    this.#filled.push(t.done(this.#producer));
  }

  dequeue(): void {
    const t = this.#timeline();
    t.scalar(assumed.flag);
    t.hold(this.#consumer, this.#filled.shift() ?? 0);
  }

  release(): void {
    const t = this.#timeline();
    t.scalar(assumed.flag);
    this.#free.push(t.done(this.#consumer));
  }
}
