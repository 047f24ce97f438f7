import { type Pipe, pipes } from "../../../codegen/emit/ascend/nodes.ts";
import { type Deciding, decidingOf } from "./classes.ts";
import { type Chip, l2BytesPerCycle, transferSeconds } from "./figures.ts";
import type { Transfer } from "./instructions.ts";
import type { L2, Traffic } from "./l2.ts";
import { Memory } from "./memory.ts";
import { mixParts, parseKernel } from "./parse.ts";
import type { Busy } from "./timeline.ts";
import { type Listener, type PipeWork, Walker } from "./walk.ts";

/** The modelled run of one kernel. Seconds, bytes; of all cores together where nothing else is said. */
export interface KernelModel {
  readonly name: string;
  readonly summary: string;
  readonly kind: "cube" | "vector" | "mix";
  readonly blocks: number;
  readonly cores: number;
  readonly seconds: number;
  /** Share of the time that each pipe of the busiest core works. */
  readonly busy: Busy;
  /** The pipe that works longest, or "HBM" or "L2" where all cores together wait for memory. */
  readonly bound: Pipe | "HBM" | "L2";
  /** Bytes to and from high-bandwidth memory, and all that passes L2. */
  readonly hbmBytes: number;
  readonly l2Bytes: number;
  /** The least time that memory, the cube units and the vector units need. */
  readonly roofs: { readonly hbm: number; readonly cube: number; readonly vector: number };
  /** What the pipes of the first core do, with ModelOptions.firstBlock and where there is a block. */
  readonly first?: FirstBlock;
}

/** The first block of a kernel, on the first core, beside all others at work. */
export interface FirstBlock {
  readonly events: readonly PipeWork[];
  /** Cycles until all pipes are done. */
  readonly cycles: number;
}

/** A kernel as the model takes it. */
export interface KernelSource {
  readonly name: string;
  readonly summary: string;
  readonly type: "AIC_ONLY" | "AIV_ONLY" | "MIX_AIC_1_2";
  /** One file of Ascend C. */
  readonly text: string;
  /** The buffer of each parameter, in order; the tiling comes last. */
  readonly parameters: readonly string[];
}

export interface ModelOptions {
  /** Walk every block in full, also where blocks do the same. */
  readonly exact?: boolean;
  /** Note down what each pipe does in the first block. */
  readonly firstBlock?: boolean;
}

/** Runs one kernel through the model. `memories` by buffer name, as in the program; integers in them are read and written. */
export function modelKernel(
  kernel: KernelSource,
  memories: ReadonlyMap<string, Memory>,
  tiling: Memory,
  chip: Chip,
  l2: L2,
  options: ModelOptions = {},
): KernelModel {
  const text = parseKernel(kernel.text);
  const given = new Map<string, Memory>();
  text.parameters.forEach((parameter, i) => {
    const memory = i < kernel.parameters.length ? memories.get(kernel.parameters[i] ?? "") : tiling;
    if (memory) given.set(parameter, memory);
  });
  const mixed = mixParts(text);
  // Between the last buffer and the tiling.
  if (mixed) {
    given.set(text.parameters[kernel.parameters.length] ?? "", new Memory("exchanged", "gm"));
    given.set(text.parameters.at(-1) ?? "", tiling);
  }
  const single = { core: kernel.type === "AIC_ONLY" ? "AIC" : "AIV", text } as const;
  const available = single.core === "AIC" || mixed ? chip.cores.cube : chip.cores.vector;
  const counting = new Walker((mixed?.[0] ?? single).text, { memories: given, cores: available });
  counting.start(0, silent);
  const { blocks } = counting;
  const cores = Math.max(0, Math.min(blocks, available));
  const parts = (mixed ?? [single]).map((part) => {
    const ratio = mixed && part.core === "AIV" ? chip.cores.vector / chip.cores.cube : 1;
    return { text: part.text, ratio, walker: new Walker(part.text, { memories: given, cores, ratio }) };
  });
  const traffic = new Map<Memory, Traffic>();
  for (const { walker, ratio } of parts) countTraffic(walker, blocks, cores, ratio, l2, traffic);
  l2.endKernel();
  const share = new Map([...traffic].map(([m, t]) => [m, t.bytes === 0 ? 0 : t.missed / t.bytes]));
  const sum = (pick: (t: Traffic) => number): number => [...traffic.values()].reduce((n, t) => n + pick(t), 0);
  const [hbmBytes, l2Bytes] = [sum((t) => t.missed), sum((t) => t.bytes)];
  const [memory, cache] = [hbmBytes / chip.hbm, l2Bytes / chip.l2];
  const timings = parts.map(({ text: own, walker, ratio }) => ({
    own,
    timing: new Timing(walker, chip, cores, ratio, share),
  }));
  const runs = timings.map(({ own, timing }) =>
    timing.run(options.exact ? undefined : decidingOf(own), blocks, Math.max(memory, cache) * chip.hertz),
  );
  const { cycles, busy, useful } = together(runs, Math.ceil(blocks / Math.max(1, cores)));
  const own = cycles / chip.hertz;
  const seconds = Math.max(own, memory, cache);
  const longest = pipes.reduce((a, b) => (busy[b] > busy[a] ? b : a));
  // Transfers already take their share of memory: a pipe of transfers that works nearly always waits for that.
  const atMemory = longest === "MTE2" && memory > 0.8 * seconds;
  return {
    name: kernel.name,
    summary: kernel.summary,
    kind: mixed ? "mix" : single.core === "AIC" ? "cube" : "vector",
    blocks,
    cores,
    seconds,
    busy: Object.fromEntries(
      pipes.map((p) => [p, seconds === 0 ? 0 : Math.min(1, busy[p] / chip.hertz / seconds)]),
    ) as Record<Pipe, number>,
    bound: memory >= own || atMemory ? "HBM" : cache > own ? "L2" : longest,
    hbmBytes,
    l2Bytes,
    roofs: {
      hbm: memory,
      cube: useful.M / chip.cores.cube / chip.hertz,
      vector: useful.V / chip.cores.vector / chip.hertz,
    },
    ...(options.firstBlock && blocks > 0 ? { first: oneAfterTheOther(timings.map((t) => t.timing.firstBlock())) } : {}),
  };
}

/** The first block of each part: the vector cores begin with what the cube core hands over. */
function oneAfterTheOther(blocks: readonly FirstBlock[]): FirstBlock {
  let cycles = 0;
  const events: PipeWork[] = [];
  for (const block of blocks) {
    const begin = cycles;
    events.push(...block.events.map((e) => ({ ...e, start: e.start + begin, end: e.end + begin })));
    cycles += block.cycles;
  }
  return { events, cycles };
}

/**
 * The parts of a MIX kernel side by side: its cores hand over tile by tile, so that the longer part decides, and the other one's work for
 * one block comes before or after it. Nothing else of either waits: two tiles are under way.
 */
function together(runs: readonly Run[], blocksPerCore: number): Run {
  const [first = nothing(), second] = runs;
  if (second === undefined) return first;
  const [shorter, longer] = first.cycles < second.cycles ? [first, second] : [second, first];
  return {
    cycles: longer.cycles + shorter.cycles / Math.max(1, blocksPerCore),
    busy: Object.fromEntries(pipes.map((p) => [p, Math.max(first.busy[p], second.busy[p])])) as Record<Pipe, number>,
    useful: { V: first.useful.V + second.useful.V, M: first.useful.M + second.useful.M },
  };
}

const silent: Listener = { transfer: () => 0, compute: () => {} };

/** Counts the transfers of all blocks, in the order in which cores that run side by side reach them. */
function countTraffic(
  walker: Walker,
  blocks: number,
  cores: number,
  ratio: number,
  l2: L2,
  traffic: Map<Memory, Traffic>,
): void {
  let list: Transfer[] = [];
  const listener: Listener = {
    transfer: (t) => {
      list.push(t);
      return 0;
    },
    compute: () => {},
  };
  for (let wave = 0; wave < blocks; wave += cores) {
    const lists: Transfer[][] = [];
    for (let b = wave; b < Math.min(blocks, wave + cores); b++) {
      for (let sub = 0; sub < ratio; sub++) {
        walker.subBlock = sub;
        walker.start(b - wave, listener);
        list = [];
        walker.lightBlock(b);
        lists.push(list);
      }
    }
    const longest = Math.max(...lists.map((l) => l.length));
    for (let i = 0; i < longest; i++) {
      for (const own of lists) {
        const t = own[i];
        if (t === undefined) continue;
        const counted = traffic.get(t.global.memory) ?? { bytes: 0, missed: 0 };
        counted.bytes += t.bytes;
        counted.missed += l2.touch(t);
        traffic.set(t.global.memory, counted);
      }
    }
  }
  walker.subBlock = 0;
}

/** What a core did, in cycles. */
interface Run {
  readonly cycles: number;
  readonly busy: Record<Pipe, number>;
  readonly useful: { V: number; M: number };
}

/** A block, alone and after another of its kind. */
interface BlockTime {
  readonly alone: Run;
  readonly next: number;
  readonly instructions: number;
}

/** A kernel of fewer instructions is walked in full, in about a second. */
const fewInstructions = 500_000;

/** Times cores that run their blocks. */
class Timing {
  readonly #walker: Walker;
  readonly #cores: number;
  readonly #ratio: number;
  readonly #listener: Listener;
  #useful = { V: 0, M: 0 };
  /** Cores that share memory at once. */
  #sharing = 1;

  /** @param ratio vector cores of a group, of which the first is timed: it has as much to do as any other */
  constructor(walker: Walker, chip: Chip, cores: number, ratio: number, missShare: ReadonlyMap<Memory, number>) {
    this.#walker = walker;
    this.#cores = cores;
    this.#ratio = ratio;
    this.#listener = {
      transfer: ({ curve, global, bytes, write }) => {
        const missed = missShare.get(global.memory) ?? 1;
        const seconds = Math.max(
          transferSeconds(curve, bytes),
          bytes / (l2BytesPerCycle[write ? "write" : "read"] * chip.hertz),
          // The core's share of what all share.
          (bytes * missed * this.#sharing) / chip.hbm,
          (bytes * this.#sharing) / chip.l2,
        );
        return seconds * chip.hertz;
      },
      compute: ({ pipe, useful }) => {
        if (pipe !== "MTE1") this.#useful[pipe] += useful * this.#ratio;
      },
    };
  }

  /**
   * `memoryCycles` is what all transfers take of memory and L2. Gives the longest core's work, the cycles until the last ends, and the useful work of all. Every core is timed twice: with
   * memory of its own, and with all others at work all the time. In truth cores end one after the other and leave their
   * share to the rest.
   */
  run(deciding: Deciding | undefined, blocks: number, memoryCycles: number): Run {
    const alone = this.#runs(deciding, blocks, 1);
    const longestAlone = Math.max(0, ...alone.map((r) => r.cycles));
    // Where memory is hardly used, sharing it changes nothing.
    const shared =
      this.#cores * this.#ratio < 2 || memoryCycles < 0.02 * longestAlone
        ? alone
        : this.#runs(deciding, blocks, this.#cores * this.#ratio);
    const useful = { V: 0, M: 0 };
    for (const r of shared) {
      useful.V += r.useful.V;
      useful.M += r.useful.M;
    }
    const longest = shared.reduce((a, b) => (b.cycles > a.cycles ? b : a), nothing());
    const cycles = endOfAll(shared.map((r, i) => ({ alone: alone[i]?.cycles ?? r.cycles, shared: r.cycles })));
    return { ...longest, cycles, useful };
  }

  firstBlock(): FirstBlock {
    const events: PipeWork[] = [];
    this.#walker.start(0, { ...this.#listener, instruction: (event) => void events.push(event) });
    this.#walker.block(0);
    return { events, cycles: this.#walker.timeline.end };
  }

  #runs(deciding: Deciding | undefined, blocks: number, sharing: number): Run[] {
    this.#sharing = sharing;
    return (deciding && this.#byKinds(deciding, blocks)) ?? this.#each(blocks);
  }

  /** Every block in full, core by core. */
  #each(blocks: number): Run[] {
    return this.#perCore((core) => {
      this.#useful = { V: 0, M: 0 };
      this.#walker.start(core, this.#listener);
      for (let b = core; b < blocks; b += this.#cores) this.#walker.block(b);
      const { end, busy } = this.#walker.timeline;
      return { cycles: end, busy: { ...busy }, useful: this.#useful };
    });
  }

  /**
   * Of blocks that do the same, one is walked alone, and another after it: the difference is what one more takes while the one
   * before it still runs out. Undefined where so little happens that all of it can be walked.
   */
  #byKinds(deciding: Deciding, blocks: number): Run[] | undefined {
    const kinds = new Map<string, BlockTime>();
    this.#walker.start(0, this.#listener);
    const valuesAt = this.#walker.evaluator(deciding.leading, deciding.expressions);
    const kindOf = Array.from({ length: blocks }, (_, b) => valuesAt(b).join());
    const timeOf = (b: number): BlockTime => {
      const key = kindOf[b] ?? "";
      const known = kinds.get(key);
      if (known) return known;
      this.#useful = { V: 0, M: 0 };
      this.#walker.start(b % this.#cores, this.#listener);
      const before = this.#walker.walked;
      this.#walker.block(b);
      const instructions = this.#walker.walked - before;
      const { end, busy } = this.#walker.timeline;
      const alone = { cycles: end, busy: { ...busy }, useful: this.#useful };
      this.#useful = { V: 0, M: 0 };
      // One of its kind that the core meets later: it reads other places.
      let later = b + this.#cores;
      while (later < blocks && kindOf[later] !== key) later += this.#cores;
      this.#walker.block(later < blocks ? later : b);
      const time = { alone, next: this.#walker.timeline.end - end, instructions };
      kinds.set(key, time);
      return time;
    };
    let whole = 0;
    for (let b = 0; b < blocks; b++) whole += timeOf(b).instructions;
    if (whole < fewInstructions) return undefined;
    return this.#perCore((core) => {
      const sum = nothing();
      let cycles = 0;
      for (let b = core; b < blocks; b += this.#cores) {
        const { alone, next } = timeOf(b);
        cycles += b === core ? alone.cycles : next;
        for (const pipe of pipes) sum.busy[pipe] += alone.busy[pipe];
        sum.useful.V += alone.useful.V;
        sum.useful.M += alone.useful.M;
      }
      return { ...sum, cycles };
    });
  }

  #perCore(run: (core: number) => Run): Run[] {
    return Array.from({ length: this.#cores }, (_, core) => run(core));
  }
}

/**
 * When the last of some cores ends that share memory. A core takes `alone` by itself and `shared` beside all others; beside m of
 * n it takes the longer of `alone` and m / n of `shared`.
 */
export function endOfAll(cores: readonly { readonly alone: number; readonly shared: number }[]): number {
  const left = cores.map((c) => ({ ...c, rest: c.shared > 0 ? 1 : 0 }));
  let now = 0;
  for (;;) {
    const active = left.filter((c) => c.rest > 0);
    if (active.length === 0) return now;
    const takes = (c: (typeof left)[number]): number => Math.max(c.alone, (c.shared * active.length) / cores.length);
    const step = Math.min(...active.map((c) => c.rest * takes(c)));
    now += step;
    for (const c of active) {
      c.rest -= step / takes(c);
      if (c.rest < 1e-12) c.rest = 0;
    }
  }
}

const nothing = (): Run => ({
  cycles: 0,
  busy: { S: 0, V: 0, M: 0, MTE1: 0, MTE2: 0, MTE3: 0, FIX: 0 },
  useful: { V: 0, M: 0 },
});
