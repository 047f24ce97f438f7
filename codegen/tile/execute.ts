import type { ElementType } from "../../ir/core/types.ts";
import {
  type Access,
  compileOffset,
  compileScalar,
  compileView,
  type Evaluate,
  type Machine,
  memoryOf,
  slotOf,
} from "./evaluate.ts";
import { Memory, makeArray } from "./memory.ts";
import { scalarTypeOf, statementsIn } from "./shape.ts";
import { statementHead } from "./text.ts";
import type { Statement } from "./types.ts";

/** A machine that knows which statement runs. */
export interface Executor extends Machine {
  /** Text of the statement that runs. */
  place: () => string;
}

export type Run = () => void;

/** A statement list as one closure. Tiles that it allocates are made once, and undefined anew at each run. */
export function compileList(list: readonly Statement[], machine: Executor): Run {
  const runs = list.map((s) => ({ run: compileStatement(s, machine), place: () => statementHead(s) }));
  return () => {
    for (const { run, place } of runs) {
      machine.place = place;
      run();
    }
  };
}

/** Runs statements up to each barrier, which it yields. */
export type Steps = () => Generator<Statement, void>;

/** As compileList, of statements with barriers. */
export function compileSteps(list: readonly Statement[], machine: Executor): Steps {
  const parts = list.map((s) => ({ steps: stepsOf(s, machine), place: () => statementHead(s) }));
  return function* () {
    for (const { steps, place } of parts) {
      machine.place = place;
      if (typeof steps !== "function") yield steps;
      else {
        const rest = steps();
        if (rest) yield* rest;
      }
    }
  };
}

/** What a statement does: a barrier is itself. */
function stepsOf(s: Statement, machine: Executor): Run | Steps | Statement {
  if (s.kind === "barrier") return s;
  if (![...statementsIn([s])].some((inner) => inner.kind === "barrier")) return compileStatement(s, machine);
  if (s.kind === "for") {
    const { from, to, slot } = loopOf(s, machine);
    const body = compileSteps(s.body, machine);
    return function* () {
      const end = to();
      for (let i = from(); i < end; i += s.step) {
        machine.values[slot] = i;
        yield* body();
      }
    };
  }
  if (s.kind !== "if") return compileStatement(s, machine);
  const condition = compileScalar(s.condition, machine);
  const [then, otherwise] = [compileSteps(s.then, machine), compileSteps(s.otherwise, machine)];
  return function* () {
    yield* condition() !== 0 ? then() : otherwise();
  };
}

const loopOf = (s: Extract<Statement, { kind: "for" }>, machine: Machine) => ({
  from: compileScalar(s.from, machine),
  to: compileScalar(s.to, machine),
  slot: slotOf(machine, s.name),
});

function compileStatement(s: Statement, machine: Executor): Run {
  const { values } = machine;
  switch (s.kind) {
    case "for": {
      const { from, to, slot } = loopOf(s, machine);
      const body = compileList(s.body, machine);
      return () => {
        const end = to();
        for (let i = from(); i < end; i += s.step) {
          values[slot] = i;
          body();
        }
      };
    }
    case "if": {
      const condition = compileScalar(s.condition, machine);
      const [then, otherwise] = [compileList(s.then, machine), compileList(s.otherwise, machine)];
      return () => (condition() !== 0 ? then() : otherwise());
    }
    case "let": {
      const value = compileScalar(s.value, machine);
      const slot = slotOf(machine, s.name);
      return () => {
        values[slot] = value();
      };
    }
    case "alloc": {
      const { name, dtype, dims, space } = s.tile;
      // Made for all lanes of the workgroup, before they start.
      if (space === "workgroup") return () => {};
      const data = makeArray(
        dtype,
        dims.reduce((a, b) => a * b, 1),
      );
      const memory = new Memory(name, dtype, dims, data, {
        trap: machine.trap,
        local: true,
        padded: space !== "exchange",
      });
      machine.memories.set(name, memory);
      return () => memory.undefineAll();
    }
    case "fill": {
      const dst = compileView(s.dst, machine);
      const value = compileScalar(s.value, machine);
      return () => {
        const v = value();
        for (const offset of dst.resolve()) dst.memory.store(offset, v);
      };
    }
    case "set": {
      const memory = memoryOf(machine, s.base);
      const offset = compileOffset(memory, s.index, machine);
      const value = compileScalar(s.value, machine);
      return () => memory.store(offset(), value());
    }
    case "copy":
      return compileCopy(s, machine);
    case "map":
      return compileMap(s, machine);
    case "mma":
      return compileMma(s, machine);
    case "reduce":
      return compileReduce(s, machine);
    case "top_k":
      return compileTopK(s, machine);
    case "barrier":
      return machine.trap("a barrier in a kernel whose lanes run one by one");
    case "prefetch": {
      const { resolve } = compileView(s.src, machine);
      return () => void resolve();
    }
  }
}

/** Evaluates valid counts into one array; undefined where there are none. */
function compileCounts(
  valid: Extract<Statement, { kind: "copy" }>["valid"],
  machine: Machine,
): () => Float64Array | undefined {
  if (!valid) return () => undefined;
  const closures = valid.map((v) => compileScalar(v, machine));
  const counts = new Float64Array(closures.length);
  return () => {
    for (let i = 0; i < closures.length; i++) counts[i] = closures[i]();
    return counts;
  };
}

function compileCopy(s: Extract<Statement, { kind: "copy" }>, machine: Machine): Run {
  const [dst, src] = [compileView(s.dst, machine), compileView(s.src, machine)];
  const counts = compileCounts(s.valid, machine);
  const elements = new Float64Array(dst.size);
  return () => {
    const limits = counts();
    src.memory.gather(src.resolve(limits), elements);
    dst.memory.scatter(dst.resolve(dst.memory.padded ? undefined : limits), elements);
  };
}

function compileMap(s: Extract<Statement, { kind: "map" }>, machine: Machine): Run {
  const { values } = machine;
  const dst = compileView(s.dst, machine);
  const counts = compileCounts(s.valid, machine);
  // Inputs of different maps may share a name with different types, but never a moment.
  const inputs = s.inputs.map(({ name, view }) => {
    const access = compileView(view, machine);
    return {
      access,
      slot: slotOf(machine, name),
      elements: new Float64Array(access.size),
      repeat: repetition(access.shape, dst.shape),
      limits: new Float64Array(access.shape.length),
    };
  });
  const value = compileScalar(s.value, machine);
  const results = new Float64Array(dst.size);
  return () => {
    const limits = counts();
    if (limits?.some((limit) => limit <= 0)) {
      if (dst.memory.local) dst.memory.undefine(dst.resolve());
      return;
    }
    for (const { access, elements, limits: own } of inputs) {
      const skipped = dst.shape.length - own.length;
      if (limits) for (let d = 0; d < own.length; d++) own[d] = Math.min(access.shape[d], limits[skipped + d]);
      access.memory.gather(access.resolve(limits && own), elements);
    }
    if (limits && dst.memory.local) dst.memory.undefine(dst.resolve());
    const offsets = dst.resolve(limits);
    for (let i = 0; i < results.length; i++) {
      if (offsets[i] < 0) continue;
      for (let n = 0; n < inputs.length; n++) values[inputs[n].slot] = inputs[n].elements[inputs[n].repeat[i]];
      results[i] = value();
    }
    dst.memory.scatter(offsets, results);
  };
}

/** For each element of `target`, row-major, the element of an input of `shape` that is repeated there. */
function repetition(shape: readonly number[], target: readonly number[]): Int32Array {
  let map: number[] = [0];
  for (let d = 0; d < target.length; d++) {
    const extent = d < target.length - shape.length ? 1 : shape[d - (target.length - shape.length)];
    map = map.flatMap((offset) =>
      Array.from({ length: target[d] }, (_, j) => offset * extent + (extent === 1 ? 0 : j)),
    );
  }
  return Int32Array.from(map);
}

function compileMma(s: Extract<Statement, { kind: "mma" }>, machine: Machine): Run {
  const [acc, a, b] = [s.acc, s.a, s.b].map((view) => compileView(view, machine)) as [Access, Access, Access];
  const [m, n] = acc.shape;
  const k = a.shape[1];
  /** Distance of b's elements along n, and along k. */
  const [across, along] = s.transposed ? [1, n] : [k, 1];
  const init: Evaluate = s.init ? compileScalar(s.init, machine) : () => 0;
  const rows: Evaluate = s.rows ? compileScalar(s.rows, machine) : () => m;
  const [sums, left, right] = [acc, a, b].map(({ size }) => new Float64Array(size));
  const round = isFloatMemory(acc.memory.dtype) ? Math.fround : (value: number) => checkedInt(value, machine);
  const { half, values } = s;
  const symmetric = b.memory.dtype === "i8";
  return () => {
    const taken = Math.min(m, rows());
    if (taken <= 0) return;
    const offsets = acc.resolve([taken, n]);
    if (init() !== 0) sums.fill(0);
    else acc.memory.gather(offsets, sums);
    a.memory.gather(a.resolve([taken, k]), left);
    b.memory.gather(b.resolve(), right);
    if (symmetric && left.includes(-128))
      machine.trap("a factor of signed bytes is -128: beside signed weights they go from -127 to 127");
    if (half !== undefined)
      for (let j = 0; j < right.length; j++) right[j] = half === "low" ? right[j] & 15 : right[j] >> 4;
    if (values !== undefined) for (let j = 0; j < right.length; j++) right[j] = values[right[j]] ?? 0;
    for (let i = 0; i < taken; i++) {
      for (let j = 0; j < n; j++) {
        let sum = sums[i * n + j];
        for (let x = i * k, y = j * across, end = x + k; x < end; x++, y += along)
          sum = round(sum + left[x] * right[y]);
        sums[i * n + j] = sum;
      }
    }
    acc.memory.scatter(offsets, sums);
  };
}

function compileReduce(s: Extract<Statement, { kind: "reduce" }>, machine: Machine): Run {
  const [dst, src] = [compileView(s.dst, machine), compileView(s.src, machine)];
  const length = src.shape.at(-1) ?? 1;
  const elements = new Float64Array(src.size);
  const results = new Float64Array(dst.size);
  const round = isFloatMemory(src.memory.dtype) ? Math.fround : (value: number) => checkedInt(value, machine);
  const combine = s.op === "sum" ? (x: number, y: number) => round(x + y) : Math.max;
  return () => {
    src.memory.gather(src.resolve(), elements);
    for (let i = 0; i < results.length; i++) {
      let value = elements[i * length];
      for (let j = 1; j < length; j++) value = combine(value, elements[i * length + j]);
      results[i] = value;
    }
    dst.memory.scatter(dst.resolve(), results);
  };
}

const isFloatMemory = (dtype: ElementType): boolean => scalarTypeOf(dtype) === "f32";

const checkedInt = (value: number, machine: Machine): number =>
  value === (value | 0) ? value : machine.trap(`the sum ${value} is no i32`);

/** Selects by descending key; of equal keys the lowest index first. NaN comes after every number. */
function compileTopK(s: Extract<Statement, { kind: "top_k" }>, machine: Machine): Run {
  const [keys, ids] = [compileView(s.keys, machine), compileView(s.ids, machine)];
  const elements = new Float64Array(keys.size);
  const order = Array.from(elements, (_, i) => i);
  const results = new Float64Array(ids.size);
  const rank = (key: number): number => (Number.isNaN(key) ? Number.NEGATIVE_INFINITY : key);
  return () => {
    const offsets = keys.resolve();
    keys.memory.gather(offsets, elements);
    const compare = (i: number, j: number): number => {
      const [a, b] = [rank(elements[i]), rank(elements[j])];
      return a === b ? Number(Number.isNaN(elements[i])) - Number(Number.isNaN(elements[j])) || i - j : b > a ? 1 : -1;
    };
    results.set([...order].sort(compare).slice(0, results.length));
    keys.memory.undefine(offsets);
    ids.memory.scatter(ids.resolve(), results);
  };
}
