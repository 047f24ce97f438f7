import type { Expr, KernelText, Statement } from "./parse.ts";
import { blockLoopOf, expressionsOf, listsOf, parts } from "./syntax.ts";

/**
 * What decides how much a block does: blocks with the same values of `expressions` carry out the same instructions on the same
 * numbers of bytes. `leading` are the scalars at the head of a block that they need. Undefined where a block reads what
 * decides from local memory.
 */
export interface Deciding {
  readonly leading: readonly Statement[];
  readonly expressions: readonly Expr[];
}

/** Finds what decides the work of a block of a kernel. */
export function decidingOf(kernel: KernelText): Deciding | undefined {
  const loop = kernel.body[blockLoopOf(kernel)];
  if (loop?.kind !== "for") return undefined;
  return new Finder(kernel, loop).find();
}

type Declaration = Extract<Statement, { kind: "declare" }>;

class Finder {
  readonly #loop: Extract<Statement, { kind: "for" }>;
  /** Scalars that a block computes before anything else, from its index and global memory. */
  readonly #leading = new Map<string, Declaration>();
  /** Scalars within a block that are not among them, and counters of loops. */
  readonly #inner = new Map<string, readonly Expr[]>();
  readonly #globals = new Set<string>();
  readonly #expressions: Expr[] = [];
  readonly #seen = new Set<string>();
  #local = false;

  constructor(kernel: KernelText, loop: Extract<Statement, { kind: "for" }>) {
    this.#loop = loop;
    for (const s of kernel.body)
      if (s.kind === "declare" && s.type.startsWith("GlobalTensor")) this.#globals.add(s.name);
    for (const s of loop.body) {
      if (s.kind === "declare" && s.value && !/Tensor/.test(s.type) && this.#isLeading(s.value))
        this.#leading.set(s.name, s);
    }
    this.#collect(loop.body);
  }

  find(): Deciding | undefined {
    this.#visit(this.#loop.body);
    if (this.#local) return undefined;
    return { leading: [...this.#leading.values()], expressions: this.#expressions };
  }

  /** Whether an expression is of the block's index, leading scalars and global memory only. */
  #isLeading(e: Expr): boolean {
    for (const part of parts(e)) {
      if (part.kind === "method" && !(part.object.kind === "name" && this.#globals.has(part.object.name))) return false;
      if (part.kind === "name" && this.#inner.has(part.name)) return false;
      if (part.kind === "index") return false;
    }
    return true;
  }

  #collect(list: readonly Statement[]): void {
    for (const s of list) {
      if (s.kind === "declare" && s.value && !this.#leading.has(s.name)) this.#inner.set(s.name, [s.value]);
      if (s.kind === "for") this.#inner.set(s.name, [s.from, s.to, s.step]);
      for (const inner of listsOf(s)) this.#collect(inner);
    }
  }

  #visit(list: readonly Statement[]): void {
    for (const s of list) {
      if (s.kind === "for" || s.kind === "if") for (const e of expressionsOf(s)) this.#decides(e);
      else {
        for (const e of expressionsOf(s))
          for (const part of parts(e))
            if (part.kind === "call") for (const a of part.args) if (isCount(a)) this.#decides(a);
        if (s.kind === "declare" && s.value === undefined) for (const a of s.args) this.#decides(a);
      }
      for (const inner of listsOf(s)) this.#visit(inner);
    }
  }

  /** An expression that work depends on: itself where a block's head can compute it, else what it is made of. */
  #decides(e: Expr): void {
    const key = JSON.stringify(e);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const names = [...parts(e)].flatMap((part) => (part.kind === "name" ? [part.name] : []));
    if (!names.some((n) => this.#inner.has(n)) && this.#isLeading(e)) {
      if (names.some((n) => this.#leading.has(n) || n === this.#loop.name)) this.#expressions.push(e);
      return;
    }
    for (const part of parts(e)) {
      if (part.kind === "method" && part.name === "GetValue") this.#local = true;
      if (part.kind !== "name") continue;
      if (this.#leading.has(part.name)) this.#decides(part);
      for (const inner of this.#inner.get(part.name) ?? []) this.#decides(inner);
    }
  }
}

/** Whether an argument of a call may be a count: a tensor from an offset on is not. */
const isCount = (e: Expr): boolean => e.kind !== "index" && e.kind !== "method";
