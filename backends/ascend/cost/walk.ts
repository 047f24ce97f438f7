import type { Pipe } from "../../../codegen/emit/ascend/nodes.ts";
import { IrError } from "../../../ir/core/diagnostic.ts";
import { assumed } from "./figures.ts";
import { binaries, functions } from "./functions.ts";
import { copyKnown, isInstruction, type Operand, type Transfer, type Work, workOf } from "./instructions.ts";
import { type Memory, sizeOfType, type Tensor } from "./memory.ts";
import type { Expr, KernelText, Statement } from "./parse.ts";
import { bufferAt, QueueHolder } from "./queues.ts";
import { ScalarCache } from "./scalar-cache.ts";
import { blockLoopOf, operations, reachesMemory, typesIn } from "./syntax.ts";
import { Timeline } from "./timeline.ts";

/** What a walk tells of the instructions that it meets. */
export interface Listener {
  /** Cycles of a transfer. */
  transfer(work: Transfer): number;
  /** Useful work of a unit, in cycles at its peak. */
  compute(work: Extract<Work, { kind: "compute" }>): void;
  /** When an instruction runs. */
  instruction?(event: PipeWork): void;
}

/** One instruction on its pipe, in cycles from the start of its core. */
export interface PipeWork {
  readonly pipe: Exclude<Pipe, "S">;
  readonly label: string;
  readonly start: number;
  readonly end: number;
}

/** A run-time value of a kernel's text. */
type Value = Operand | undefined;
type Eval = () => Value;
type Num = () => number;
type Run = () => void;

/** A statement, compiled. `light` does only what transfers and known integers depend on. */
interface Step {
  readonly run: Run;
  readonly light: Run | undefined;
}

/** What a kernel is started with. */
export interface Launch {
  /** By parameter: global memory, or the run-time sizes. */
  readonly memories: ReadonlyMap<string, Memory>;
  /** Cores that blocks are dealt to; in a MIX kernel groups of cores. */
  readonly cores: number;
  /** Vector cores of a group, for the part of a MIX kernel that they do. */
  readonly ratio?: number;
}

/**
 * A kernel's text as something that can be walked: every statement is carried out, with instructions of the pipes handed
 * to a timeline and a listener instead of computed. Scalars and integers are followed where they are known; a condition that
 * is not known counts as true, a loop whose bounds are not known runs once.
 */
export class Walker {
  readonly #launch: Launch;
  readonly #variables: Value[] = [];
  readonly #slots = new Map<string, number>();
  readonly #queues = new Map<string, QueueHolder>();
  readonly #buffers = new Map<string, Memory>();
  readonly #before: readonly Step[];
  readonly #body: readonly Step[];
  readonly #blocks: Num;
  readonly #blockSlot: number;
  readonly #cache = new ScalarCache();
  #timeline = new Timeline();
  #listener: Listener | undefined;
  #core = 0;
  /** Which of the vector cores of a group walks. */
  subBlock = 0;
  /** Counts instructions that were walked. */
  walked = 0;

  constructor(kernel: KernelText, launch: Launch) {
    this.#launch = launch;
    kernel.parameters.forEach((p, i) => {
      this.#slots.set(p, i);
      const memory = launch.memories.get(p);
      this.#variables[i] = memory && { memory, offset: 0, type: "uint8_t", size: 1 };
    });
    const at = blockLoopOf(kernel);
    const loop = kernel.body[at];
    if (loop?.kind !== "for" && loop?.kind !== "if")
      throw new IrError(
        `${kernel.name} has no loop over its blocks`,
        "The cost model reads kernels whose blocks are dealt by GetBlockIdx, in a loop or by a condition.",
      );
    this.#before = kernel.body.slice(0, at).map((s) => this.#statement(s));
    // A single block stands under a condition instead of in a loop.
    this.#blockSlot = this.#slot(loop.kind === "for" ? loop.name : "block");
    this.#blocks = loop.kind === "for" ? this.#number(loop.to) : () => 1;
    this.#body = (loop.kind === "for" ? loop.body : [loop]).map((s) => this.#statement(s));
  }

  /** A core begins: its pipes are idle, its queues empty. */
  start(core: number, listener: Listener): void {
    this.#core = core;
    this.#listener = listener;
    this.#timeline = new Timeline();
    this.#cache.clear();
    for (const step of this.#before) step.run();
  }

  get timeline(): Timeline {
    return this.#timeline;
  }

  /** Blocks of the launch. */
  get blocks(): number {
    return this.#blocks();
  }

  /** One block in time. */
  block(index: number): void {
    this.#variables[this.#blockSlot] = index;
    this.#timeline.scalar(2 * assumed.operation);
    for (const step of this.#body) step.run();
  }

  /** One block, its transfers and known integers only. */
  lightBlock(index: number): void {
    this.#variables[this.#blockSlot] = index;
    for (const step of this.#body) step.light?.();
  }

  /** Functions that give the values of expressions at a block, after its leading scalars. */
  evaluator(leading: readonly Statement[], expressions: readonly Expr[]): (index: number) => readonly number[] {
    const steps = leading.map((s) => this.#statement(s));
    const values = expressions.map((e) => this.#number(e));
    return (index) => {
      this.#variables[this.#blockSlot] = index;
      for (const step of steps) step.run();
      return values.map((v) => v());
    };
  }

  #slot(name: string): number {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    this.#slots.set(name, this.#slots.size);
    return this.#slots.size - 1;
  }

  #list(statements: readonly Statement[]): { readonly run: Run; readonly light: Run | undefined } {
    const steps = statements.map((s) => this.#statement(s));
    const runs = steps.map((s) => s.run);
    const needed = statements.some(reachesMemory);
    const lights = steps.flatMap((s) => (s.light ? [s.light] : []));
    return {
      run: () => {
        for (const run of runs) run();
      },
      light: needed
        ? () => {
            for (const light of lights) light();
          }
        : undefined,
    };
  }

  #statement(s: Statement): Step {
    switch (s.kind) {
      case "for":
        return this.#loop(s);
      case "if": {
        const condition = this.#number(s.condition);
        const cost = operations(s.condition);
        const [then, otherwise] = [this.#list(s.then), this.#list(s.otherwise)];
        const light =
          then.light || otherwise.light
            ? () => {
                if (condition() !== 0) then.light?.();
                else otherwise.light?.();
              }
            : undefined;
        const run = (): void => {
          this.#timeline.scalar(cost);
          if (condition() !== 0) then.run();
          else otherwise.run();
        };
        return { run, light };
      }
      case "declare":
        return this.#declare(s);
      case "assign": {
        if (s.target.kind !== "name") return { run: () => {}, light: undefined };
        const slot = this.#slot(s.target.name);
        const value = this.#value(s.value);
        const run = (): void => {
          this.#variables[slot] = value();
        };
        // Queues are not followed without time: a tensor stays the one that was allocated.
        return { run, light: s.value.kind === "method" && s.value.name === "DeQue" ? undefined : run };
      }
      case "expression": {
        const value = this.#value(s.value);
        const cost = operations(s.value);
        const run = (): void => {
          this.#timeline.scalar(cost);
          value();
        };
        return { run, light: reachesMemory(s) ? value : undefined };
      }
    }
  }

  #loop(s: Extract<Statement, { kind: "for" }>): Step {
    const slot = this.#slot(s.name);
    const [from, to, step] = [this.#number(s.from), this.#number(s.to), this.#number(s.step)];
    const cost = 2 * assumed.operation;
    const body = this.#list(s.body);
    const each = (once: Run): void => {
      const [first, last, by] = [from(), to(), step()];
      if (Number.isNaN(first) || Number.isNaN(last)) {
        this.#variables[slot] = Number.NaN;
        once();
        return;
      }
      for (let i = first; i < last; i += by) {
        this.#variables[slot] = i;
        once();
      }
    };
    const { light } = body;
    return {
      run: () =>
        each(() => {
          this.#timeline.scalar(cost);
          body.run();
        }),
      light: light && (() => each(light)),
    };
  }

  #declare(s: Extract<Statement, { kind: "declare" }>): Step {
    const [, name = s.type, inner = ""] = /^(\w+)(?:<(.*)>)?$/.exec(s.type) ?? [];
    if (name === "TQue") {
      const position = /TPosition::(\w+)/.exec(inner)?.[1] ?? "VECCALC";
      this.#queues.set(s.name, new QueueHolder(position));
      return nothing;
    }
    if (name === "TBuf") {
      const position = /TPosition::(\w+)/.exec(inner)?.[1] ?? "VECCALC";
      this.#buffers.set(s.name, bufferAt(s.name, position));
      return nothing;
    }
    if (name === "TPipe") return nothing;
    const slot = this.#slot(s.name);
    if (name === "GlobalTensor" && s.value === undefined) return nothing;
    if (/Params/.test(name) && s.value === undefined) {
      const args = s.args.map((a) => this.#number(a));
      const cost = assumed.operation * args.length;
      const light = (): void => {
        this.#variables[slot] = { type: name, args: args.map((a) => a()) };
      };
      const run = (): void => {
        this.#timeline.scalar(cost);
        light();
      };
      return { run, light };
    }
    if (s.value === undefined) return nothing;
    const value = this.#value(s.value);
    const cost = operations(s.value);
    const light = (): void => {
      this.#variables[slot] = value();
    };
    const run = (): void => {
      this.#timeline.scalar(cost);
      light();
    };
    return { run, light };
  }

  #number(e: Expr): Num {
    const value = this.#value(e);
    return () => {
      const v = value();
      return typeof v === "number" ? v : Number.NaN;
    };
  }

  #tensor(e: Expr): () => Tensor {
    const value = this.#value(e);
    return () => {
      const v = value();
      if (typeof v === "object" && "memory" in v) return v;
      throw new IrError("a tensor is used before it has a place", "The cost model reads generated kernels.");
    };
  }

  #value(e: Expr): Eval {
    switch (e.kind) {
      case "number":
        return () => e.value;
      case "name": {
        if (/^\d/.test(e.name)) return () => Number(e.name);
        const slot = this.#slots.get(e.name);
        return slot === undefined ? () => Number.NaN : () => this.#variables[slot];
      }
      case "unary": {
        const a = this.#number(e.arg);
        if (e.op === "-") return () => -a();
        if (e.op === "!") {
          return () => {
            const v = a();
            return Number.isNaN(v) ? v : v === 0 ? 1 : 0;
          };
        }
        return a;
      }
      case "binary": {
        const f = binaries[e.op];
        if (!f) throw new IrError(`the cost model does not know the operator ${e.op}`, "Add it to functions.ts.");
        const [a, b] = [this.#number(e.a), this.#number(e.b)];
        return () => f(a(), b());
      }
      case "conditional": {
        const [condition, a, b] = [this.#number(e.condition), this.#value(e.then), this.#value(e.otherwise)];
        return () => (condition() !== 0 ? a() : b());
      }
      case "index": {
        const [object, index] = [this.#tensor(e.object), this.#number(e.index)];
        return () => {
          const t = object();
          return { memory: t.memory, offset: t.offset + index(), type: t.type, size: t.size };
        };
      }
      case "member":
        return () => Number.NaN;
      case "call":
        return this.#call(e);
      case "method":
        return this.#method(e);
    }
  }

  #call(e: Extract<Expr, { kind: "call" }>): Eval {
    const name = e.callee.replace(/^(AscendC|unmoor)::/, "");
    const { ratio = 1 } = this.#launch;
    if (name === "GetBlockIdx") return () => this.#core * ratio + this.subBlock;
    if (name === "GetSubBlockIdx") return () => this.subBlock;
    if (name === "GetSubBlockNum" || name === "GetTaskRation") return () => ratio;
    // The two kinds of cores are walked apart: a flag takes the scalar unit's time.
    if (/^CrossCore(Set|Wait)Flag$/.test(name)) return () => void this.#timeline.scalar(assumed.flag);
    if (name === "GetBlockNum") return () => this.#launch.cores;
    if (/^(SetFlag|WaitFlag|WaitFor)$/.test(name)) return this.#event(name, e);
    if (name === "PipeBarrier") {
      // A pipe works in order: its own barrier only waits, and the start of an instruction counts that.
      return /PIPE_ALL/.test(e.types)
        ? () => void this.#timeline.barrier()
        : () => void this.#timeline.scalar(assumed.flag);
    }
    if (name === "SyncAll") return () => void this.#timeline.barrier();
    if (/^(CleanCache|DataCacheCleanAndInvalid)$/.test(name)) {
      return () => {
        this.#timeline.scalar(assumed.line);
        this.#cache.clear();
        return undefined;
      };
    }
    if (/^(KERNEL_TASK_TYPE_DEFAULT|SetAtomicNone)$/.test(name)) return () => undefined;
    // The id of an event; events are told apart by their pipes and text.
    if (/FetchEventID|AllocEventID|GetTPipePtr/.test(name)) return () => Number.NaN;
    if (/Params|^ZeroPad$/.test(name)) {
      const args = e.args.map((a) => this.#number(a));
      return () => ({ type: name, args: args.map((a) => a()) });
    }
    const args = e.args.map((a) => this.#value(a));
    if (isInstruction(name))
      return () =>
        void this.#instruction(
          name,
          args.map((a) => a() ?? Number.NaN),
        );
    const f = functions[name];
    if (!f) throw new IrError(`the cost model does not know ${name}`, "Add it to instructions.ts or functions.ts.");
    const isCast = /^(static|reinterpret)_cast$/.test(name);
    const [a, b] = args;
    return () => {
      const v = a?.();
      if (isCast && typeof v === "object") return v;
      const w = b?.();
      return f(typeof v === "number" ? v : Number.NaN, typeof w === "number" ? w : Number.NaN);
    };
  }

  #event(name: string, e: Extract<Expr, { kind: "call" }>): Eval {
    const pair = /HardEvent::(\w+?)_(\w+)/.exec(e.types);
    const [from, to] = [pair?.[1] as Pipe | undefined, pair?.[2] as Pipe | undefined];
    if (!from || !to) throw new IrError(`${name} names no event`, "Give it HardEvent::FROM_TO.");
    const key = `${from}_${to} ${JSON.stringify(e.args[0] ?? "")}`;
    return () => {
      if (name !== "WaitFlag") this.#timeline.set(key, from);
      if (name !== "SetFlag") this.#timeline.wait(key, to);
      return undefined;
    };
  }

  #issue(name: string, pipe: Exclude<Pipe, "S">, cycles: number): void {
    this.#timeline.issue(pipe, cycles);
    const end = this.#timeline.done(pipe);
    this.#listener?.instruction?.({ pipe, label: name, start: end - cycles, end });
  }

  #instruction(name: string, args: readonly Operand[]): void {
    const work = workOf(name, args);
    if (!work) return;
    this.walked++;
    if (work.kind === "compute") {
      this.#listener?.compute(work);
      this.#issue(name, work.pipe, work.cycles);
      if (work.pipe === "V") this.#vectorResult(name, args);
      return;
    }
    copyKnown(work);
    this.#issue(name, work.pipe, this.#listener?.transfer(work) ?? 0);
  }

  /** What a vector instruction writes is known only where it fills integers. */
  #vectorResult(name: string, [dst, value]: readonly Operand[]): void {
    if (typeof dst !== "object" || !("memory" in dst)) return;
    if (name === "Duplicate" && dst.type === "int32_t" && typeof value === "number") dst.memory.fill(value);
    else dst.memory.forget();
  }

  #method(e: Extract<Expr, { kind: "method" }>): Eval {
    const { object, name } = e;
    const type = e.types.replace(/[<>]/g, "");
    const holder = object.kind === "name" ? this.#queues.get(object.name) : undefined;
    if (holder) return holder.method(name, type, name === "EnQue" && e.args[0] ? this.#tensor(e.args[0]) : undefined);
    const buffer = object.kind === "name" ? this.#buffers.get(object.name) : undefined;
    if (buffer && name === "Get") {
      const made: Tensor = { memory: buffer, offset: 0, type, size: sizeOfType(type) };
      return () => made;
    }
    if (name === "InitBuffer") {
      const [target, count] = e.args;
      const queue = target?.kind === "name" ? this.#queues.get(target.name) : undefined;
      if (!queue || !count) return () => undefined;
      const tensors = this.#number(count);
      return () => void queue.init(tensors(), () => this.#timeline);
    }
    if (name === "SetGlobalBuffer") {
      const slot = object.kind === "name" ? this.#slot(object.name) : -1;
      const source = this.#tensor(e.args[0] ?? object);
      const element = /__gm__(\w+)\*/.exec(typesIn(e.args[0]))?.[1] ?? "float";
      return () => {
        const { memory } = source();
        this.#variables[slot] = { memory, offset: 0, type: element, size: sizeOfType(element) };
        return undefined;
      };
    }
    if (/FetchEventID|AllocEventID/.test(name)) return () => Number.NaN;
    const tensor = this.#tensor(object);
    const [first, second] = e.args.map((a) => this.#number(a));
    switch (name) {
      case "GetValue":
        return () => {
          const t = tensor();
          const at = t.offset + (first?.() ?? 0);
          this.#timeline.scalar(this.#cache.reach(t, at));
          return t.memory.get(at);
        };
      case "SetValue":
        return () => {
          const t = tensor();
          const at = t.offset + (first?.() ?? 0);
          this.#timeline.scalar(this.#cache.reach(t, at));
          t.memory.set(at, second?.() ?? Number.NaN);
          return undefined;
        };
      case "ReinterpretCast":
        return () => {
          const t = tensor();
          const size = sizeOfType(type);
          return { memory: t.memory, offset: (t.offset * t.size) / size, type, size };
        };
      default:
        throw new IrError(`the cost model does not know the method ${name}`, "Add it to walk.ts.");
    }
  }
}

const nothing: Step = { run: () => {}, light: undefined };
