import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitC } from "../../codegen/emit/c/index.ts";
import { cInterface } from "../../codegen/emit/c-family/interface.ts";
import { planMemory, workspaceBytes } from "../../codegen/memory.ts";
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import { runProgram, type TypedArray } from "../../codegen/tile/interpreter.ts";
import { checkProgram } from "../../codegen/tile/spec.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { bf16ToF32, f32ToBf16 } from "../../ir/core/float16.ts";
import { noSpan } from "../../ir/core/span.ts";
import { elementArrays } from "../../ir/core/tensor.ts";
import { dtypeBytes, type ElementType } from "../../ir/core/types.ts";
import type { NativeHost, NativeMemory } from "../native-host.ts";
import { supportHeaders } from "./support.ts";
import { isaNames, scalar, vectorIsa } from "./targets.ts";
import { libraryFlags } from "./toolchain.ts";

/** Helpers for the tests of the C emitter: a program of a few kernels, built, run with guards, compared with the tile interpreter. */

export const origin = { op: "test", summary: "made by hand", span: noSpan };

/** A program around kernels; buffers in the order given. */
export function testProgram(
  name: string,
  buffers: readonly ProgramBuffer[],
  kernels: readonly Kernel[],
  prepare: readonly Kernel[] = [],
): Program {
  return checkProgram({
    name,
    params: {},
    symbols: [...new Set(buffers.flatMap((b) => b.dims.flatMap((d) => d.symbols)))].sort(),
    buffers,
    prepare,
    kernels,
    choices: [],
    results: buffers.filter((b) => b.role === "output").map((b) => ({ name: b.name, buffer: b.name })),
    memory: planMemory(buffers, kernels),
  });
}

/** Variants that this CPU runs. */
export const runnableIsas = (host: { cpuFeatures(): ReadonlySet<string> }): readonly string[] =>
  isaNames.filter((name) => vectorIsa(name).features.every((f) => host.cpuFeatures().has(f)));

/** mulberry32: numbers in [0, 1). */
export function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const GUARD = 256;
export const guardByte = 0xa5;

export const arrayOf = (dtype: ElementType) => elementArrays[dtype];

/** Floats uniform in [-1, 1), integers 0 … 9, bytes −127 … 127, as products of signed bytes take them; elements in their storage. */
export function randomArray(dtype: ElementType, count: number, random: () => number): TypedArray {
  if (dtype === "i32") return Int32Array.from({ length: count }, () => Math.floor(random() * 10));
  if (dtype === "i8") return Int8Array.from({ length: count }, () => Math.floor(random() * 255) - 127);
  const values = Float32Array.from({ length: count }, () => random() * 2 - 1);
  return dtype === "bf16" ? Uint16Array.from(values, f32ToBf16) : values;
}

/** Elements as numbers. */
export const numbers = (dtype: ElementType, array: TypedArray): number[] =>
  dtype === "bf16" ? Array.from(array, bf16ToF32) : [...array];

/** A built program of one variant. Close it. */
export class BuiltProgram<M extends NativeMemory> {
  readonly #host: NativeHost<M>;
  readonly #folder: string;
  readonly #library: ReturnType<NativeHost<M>["openLibrary"]>;
  readonly program: Program;

  constructor(host: NativeHost<M>, program: Program, isaName: string, flags: readonly string[] = []) {
    const isa = vectorIsa(isaName);
    const { prefix } = cInterface(program);
    this.#host = host;
    this.program = program;
    this.#folder = mkdtempSync(join(tmpdir(), "unmoor-emit-"));
    for (const [file, text] of [...emitC(program, isa, scalar), ...supportHeaders([isa, scalar])])
      writeFileSync(join(this.#folder, file), text);
    // Tests need no speed but that of the compiler.
    const args = [
      ...libraryFlags(isa, "gcc"),
      "-O1",
      "-Wall",
      "-Wextra",
      "-Werror",
      ...flags,
      "-o",
      "library.so",
      `${prefix}.c`,
      "-lm",
    ];
    execFileSync("gcc", args, { cwd: this.#folder, stdio: "pipe" });
    this.#library = host.openLibrary(join(this.#folder, "library.so"));
  }

  /** Runs preparation and kernels. Buffers lie between guards, and begin at any multiple of their element. Throws where a guard was written. */
  async run(
    given: ReadonlyMap<string, TypedArray>,
    dims: Readonly<Record<string, number>>,
    threads: number,
  ): Promise<Map<string, TypedArray>> {
    const { prefix, buffers, symbols } = cInterface(this.program);
    const memories = buffers.map((b) => {
      const bytes = b.dims.reduce((n, d) => n * d.evaluate(dims), dtypeBytes[b.dtype]);
      const memory = this.#host.NativeMemory.allocate(bytes + 2 * GUARD);
      const view = memory.bytesView();
      view.fill(guardByte);
      const data = given.get(b.name);
      if (data) view.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), GUARD);
      return { b, bytes, view, memory };
    });
    const bytes = workspaceBytes(this.program, dims);
    const workspace = this.#host.NativeMemory.allocate(bytes + 2 * GUARD);
    workspace.bytesView().fill(guardByte);
    const pointers = [...memories.map((m) => m.view.subarray(GUARD)), workspace.bytesView(GUARD)];
    const sizes = symbols.map((s) => dims[s] ?? 0);
    for (const name of ["prepare", "run"]) {
      const { status } = await this.#library.run(`${prefix}_${name}`, pointers, sizes, { threads });
      if (status !== 0) throw new Error(`${prefix}_${name} returned ${status}`);
    }
    const checked = [
      ...memories.map((m) => ({ name: m.b.name, bytes: m.bytes, view: m.view })),
      { name: "workspace", bytes, view: workspace.bytesView() },
    ];
    for (const { name, bytes: size, view } of checked) {
      const outside = [...view.subarray(0, GUARD), ...view.subarray(GUARD + size)];
      if (outside.some((x) => x !== guardByte)) throw new Error(`${name} was written outside its bounds`);
    }
    const results = memories.map(({ b, bytes: size, view }) => {
      const copy = view.slice(GUARD, GUARD + size);
      const Type = arrayOf(b.dtype);
      return [b.name, new Type(copy.buffer, 0, size / dtypeBytes[b.dtype])] as const;
    });
    for (const m of memories) m.memory.free();
    workspace.free();
    return new Map(results);
  }

  /** Status of NAME_run with these pointers. */
  async status(pointers: readonly ArrayBufferView[], dims: readonly number[], threads: number): Promise<number> {
    const { prefix } = cInterface(this.program);
    return (await this.#library.run(`${prefix}_run`, pointers, dims, { threads })).status;
  }

  describe(): string | null {
    return this.#library.text(`${cInterface(this.program).prefix}_describe`);
  }

  close(): void {
    this.#library.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What the tile interpreter says of a program. */
export function interpret(
  program: Program,
  given: ReadonlyMap<string, TypedArray>,
  dims: Readonly<Record<string, number>>,
): Map<string, TypedArray> {
  return runProgram(program, { weights: given, inputs: given, dims });
}
