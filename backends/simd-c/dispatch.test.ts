import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { emitVariants } from "../../codegen/emit/c/index.ts";
import { workspaceBytes } from "../../codegen/memory.ts";
import type { Program } from "../../codegen/program.ts";
import type { TypedArray } from "../../codegen/tile/interpreter.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { parseLayer } from "../../ir/text/index.ts";
import * as native from "../../runtime/native.ts";
import { ForeignProgram, has, machineFor, writeSources } from "./foreign/testing.ts";
import { createSimdC } from "./index.ts";
import { isaNames, scalar, simdTarget, vectorIsa } from "./targets.ts";
import { BuiltProgram, generator, randomArray, runnableIsas } from "./testing.ts";

const seed = 77;
const layer = parseLayer(
  readFileSync(new URL("../../codegen/fixtures/longcat.moe", import.meta.url), "utf8").replace(
    "{H = 256, I = 128, E = 16, Z = 8, K = 4, scale = 6}",
    "{H = 40, I = 24, E = 5, Z = 2, K = 3, scale = 6}",
  ),
  "longcat.moe",
);
const programs = new Map(
  isaNames.map((name) => [name, compileLayer(layer, simdTarget(name), "bf16").program] as const),
);
const programOf = (isa: string): Program => programs.get(isa) as Program;
const backend = createSimdC(native);
const isX86 = process.arch === "x64";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The sources of some variants, in a folder of their own. */
async function sources(isas: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-dispatch-"));
  folders.push(folder);
  writeSources(folder, (await backend.emitVariants?.(new Map(isas.map((isa) => [isa, programOf(isa)])))) ?? []);
  return folder;
}

const make = (folder: string, ...given: readonly string[]): string =>
  execFileSync(
    "make",
    ["-s", "-j2", "CFLAGS=-std=c11 -O1 -ffp-contract=off -Wall -Wextra -Werror -Wno-unused-variable", ...given],
    {
      cwd: folder,
      encoding: "utf8",
    },
  );

let all = "";
beforeAll(async () => {
  all = await sources(isaNames);
  make(all, "CC=gcc", "selftest", "liblongcatMoe.so");
});

const runnable = runnableIsas(native);

test("the self-test passes in every variant that the CPU runs, and names those that it does not", async () => {
  const printed = execFileSync(join(all, "selftest"), { cwd: all, encoding: "utf8" });
  expect(printed).toContain(`longcatMoe: ${await backend.bestIsa()} is the best variant for this CPU\n`);
  for (const isa of isaNames) {
    if (runnable.includes(isa)) expect(printed).toContain(`longcatMoe: ${isa}: self-test passed\n`);
    else expect(printed).not.toContain(`longcatMoe: ${isa}: self-test passed\n`);
  }
});

test.skipIf(!has("clang"))(`clang builds it as well${has("clang") ? "" : " (skipped: clang is missing)"}`, async () => {
  expect(make(await sources(isaNames), "CC=clang", "check")).toContain(`longcatMoe: ${runnable[0]}: self-test passed`);
});

/** The CPUs of qemu, and the variants that each may use. TCG has no AVX-512. */
const emulated = [
  { cpu: "Nehalem", best: "scalar", passed: ["scalar"] },
  { cpu: "Haswell", best: "avx2", passed: ["avx2", "scalar"] },
] as const;
const canEmulate = isX86 && has("qemu-x86_64");

describe.each(emulated)("on an emulated $cpu", ({ cpu, best, passed }) => {
  test.skipIf(!canEmulate)(
    `${best} is chosen, and no instruction is met that the CPU lacks${canEmulate ? "" : " (skipped: qemu-x86_64 is missing, apt-get install -y qemu-user)"}`,
    () => {
      const ran = spawnSync("qemu-x86_64", ["-cpu", cpu, "./selftest"], { cwd: all, encoding: "utf8" });
      expect(ran.status, ran.stderr).toBe(0);
      expect(ran.stdout).toContain(`${best} is the best variant for this CPU`);
      expect([...ran.stdout.matchAll(/: (\S+): self-test passed/g)].map((m) => m[1])).toEqual(passed);
    },
  );
});

test.skipIf(!isX86)("instructions stand only in the files of variants that need them", () => {
  const code = (file: string): string =>
    execFileSync("objdump", ["-d", "--no-show-raw-insn", file], { cwd: all, encoding: "utf8", maxBuffer: 1 << 28 });
  const vectors = /%[yz]mm|\bv[a-z0-9]+ps\b/;
  for (const file of ["longcatMoe.o", "longcatMoe_scalar.o", "selftest.o"]) expect(code(file)).not.toMatch(vectors);
  const [avx2, avx512, vnni, bf16] = ["avx2", "avx512", "avx512_vnni", "avx512_bf16"].map((isa) =>
    code(`longcatMoe_${isa}.o`),
  );
  expect(avx2).toMatch(/%ymm/);
  expect(avx2).not.toMatch(/%zmm|%k[0-7]/);
  expect(avx512).toMatch(/%zmm/);
  for (const each of [avx512, vnni]) expect(each).not.toMatch(/vdpbf16ps|vcvtneps2bf16/);
  expect(bf16).toMatch(/vdpbf16ps/);
});

/** Emulated 64-bit ARM, and the variants that each may use. */
const arms = [
  { cpu: "cortex-a53", best: "neon", passed: ["neon", "scalar"] },
  { cpu: "cortex-a76", best: "neon-dotprod", passed: ["neon-dotprod", "neon", "scalar"] },
  { cpu: "max", best: "neon-bf16", passed: ["neon-bf16", "neon-dotprod", "neon", "scalar"] },
] as const;
const arm = machineFor(vectorIsa("neon"), native);

test.skipIf(typeof arm === "string")(
  `on 64-bit ARM each CPU gets its best variant${typeof arm === "string" ? ` (skipped: ${arm})` : ""}`,
  async () => {
    if (typeof arm === "string") return;
    const folder = await sources(isaNames);
    make(folder, `CC=${arm.compiler.join(" ")}`, "selftest");
    for (const { cpu, best, passed } of arms) {
      const ran = spawnSync("qemu-aarch64", ["-cpu", cpu, "./selftest"], { cwd: folder, encoding: "utf8" });
      expect(ran.status, ran.stderr).toBe(0);
      expect(ran.stdout).toContain(`${best} is the best variant for this CPU`);
      expect([...ran.stdout.matchAll(/: (\S+): self-test passed/g)].map((m) => m[1])).toEqual(passed);
    }
  },
);

const wasm = machineFor(vectorIsa("wasm-simd128"), native);

test.skipIf(typeof wasm === "string")(
  `the module for WebAssembly gives what the program gives${typeof wasm === "string" ? ` (skipped: ${wasm})` : ""} (seed ${seed})`,
  async () => {
    if (typeof wasm === "string") return;
    const isa = vectorIsa("wasm-simd128");
    const program = programOf(isa.name);
    const T = 5;
    const given = randomGiven(program, T);
    const folder = await sources(isaNames);
    make(folder, "longcatMoe_wasm_simd128.wasm");
    const { instance } = await WebAssembly.instantiate(readFileSync(join(folder, "longcatMoe_wasm_simd128.wasm")));
    const exports = instance.exports as unknown as WasmExports;
    const buffers = program.buffers.filter((b) => b.role !== "temporary");
    const sizes = [...buffers.map((b) => bytesOf(b, T)), workspaceBytes(program, { T })];
    let end = exports.__heap_base.value;
    const place = (bytes: number): number => {
      const start = Math.ceil(end / 64) * 64;
      end = start + bytes;
      return start;
    };
    const [dims, pointers] = [place(8), place(4 * sizes.length)];
    const places = sizes.map(place);
    exports.memory.grow(Math.max(0, Math.ceil((end - exports.memory.buffer.byteLength) / 65536)));
    new BigInt64Array(exports.memory.buffer, dims, 1)[0] = BigInt(T);
    new Uint32Array(exports.memory.buffer, pointers, places.length).set(places);
    buffers.forEach((b, i) => {
      const data = given.get(b.name);
      if (data) new Uint8Array(exports.memory.buffer, places[i]).set(new Uint8Array(data.buffer, 0, data.byteLength));
    });
    for (const run of [exports.longcatMoe_wasm_simd128_prepare, exports.longcatMoe_wasm_simd128_run])
      expect(run(pointers, dims, 1)).toBe(0);
    const alone = new ForeignProgram(program, isa, wasm, ["-Wno-unused-variable"]);
    const expected = await alone.run(given, { T }, 1);
    alone.close();
    buffers.forEach((b, i) => {
      if (b.role !== "output") return;
      const other = expected.get(b.name) as TypedArray;
      expect(
        Buffer.from(exports.memory.buffer, places[i], bytesOf(b, T)).equals(Buffer.from(other.buffer)),
        b.name,
      ).toBe(true);
    });
  },
);

/** Node has it; the types of its library do not. */
declare const WebAssembly: { instantiate(bytes: Uint8Array): Promise<{ instance: { exports: object } }> };

interface WasmExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly __heap_base: { readonly value: number };
  readonly longcatMoe_wasm_simd128_prepare: (buffers: number, dims: number, threads: number) => number;
  readonly longcatMoe_wasm_simd128_run: (buffers: number, dims: number, threads: number) => number;
}

const bytesOf = (b: Program["buffers"][number], T: number): number =>
  b.dims.reduce((n, d) => n * d.evaluate({ T }), dtypeBytes[b.dtype]);

/** Random inputs and weights. */
function randomGiven(program: Program, T: number): Map<string, TypedArray> {
  const random = generator(seed);
  return new Map(
    program.buffers
      .filter((b) => b.role === "input" || b.role === "weight")
      .map((b) => [b.name, randomArray(b.dtype, bytesOf(b, T) / dtypeBytes[b.dtype], random)]),
  );
}

/** The bytes of every output of a library, run once. */
async function outputsOf(path: string, program: Program, given: ReadonlyMap<string, TypedArray>, T: number) {
  const library = native.openLibrary(path);
  const { NativeMemory } = native;
  const buffers = program.buffers.filter((b) => b.role !== "temporary" && b.role !== "prepared");
  const outputs = new Map<string, Uint8Array>();
  const memory = (bytes: number): Uint8Array => NativeMemory.allocate(Math.max(64, bytes)).bytesView();
  const pointers = buffers.map((b) => {
    const view = memory(bytesOf(b, T));
    const data = given.get(b.name);
    if (data) view.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    if (b.role === "output") outputs.set(b.name, view.subarray(0, bytesOf(b, T)));
    return view;
  });
  const prepared = program.buffers.filter((b) => b.role === "prepared");
  pointers.push(memory(prepared.reduce((sum, b) => sum + Math.ceil(bytesOf(b, T) / 64) * 64, 0)));
  pointers.push(memory(workspaceBytes(program, { T })));
  for (const name of ["prepare", "run"])
    expect((await library.run(`longcatMoe_${name}`, pointers, [T], { threads: 2 })).status).toBe(0);
  const copies = new Map([...outputs].map(([name, view]) => [name, Buffer.from(view)]));
  const isa = library.text("longcatMoe_isa");
  library.close();
  return { isa, outputs: copies };
}

test.each(runnable)(`%s gives the same bits through the dispatcher as alone (seed ${seed})`, async (isa) => {
  const program = programOf(isa);
  const T = 6;
  const given = randomGiven(program, T);
  const folder = await sources([...new Set([isa, "scalar"])]);
  make(folder, "CC=gcc", "CFLAGS=-std=c11 -O1 -ffp-contract=off -fno-math-errno", "liblongcatMoe.so");
  const found = await outputsOf(join(folder, "liblongcatMoe.so"), program, given, T);
  expect(found.isa).toBe(isa);
  const alone = new BuiltProgram(native, program, isa, ["-Wno-unused-variable"]);
  const expected = await alone.run(given, { T }, 2);
  alone.close();
  expect([...found.outputs.keys()]).toContain("y");
  for (const [name, bytes] of found.outputs) {
    const other = expected.get(name);
    expect(other && bytes.equals(Buffer.from(other.buffer, other.byteOffset, other.byteLength)), `${isa} ${name}`).toBe(
      true,
    );
  }
});

describe("variants that cannot stand together", () => {
  test("are refused by name", () => {
    const avx2 = programOf("avx2");
    const other: Program = {
      ...avx2,
      buffers: avx2.buffers.map((b) => (b.name === "down" ? { ...b, dtype: "f32" } : b)),
    };
    expect(() =>
      emitVariants(
        [
          { isa: vectorIsa("avx2"), program: avx2 },
          { isa: scalar, program: other },
        ],
        scalar,
      ),
    ).toThrow("down is no buffer of every variant");
    expect(() => emitVariants([], scalar)).toThrow("a layer has no variant");
  });
});
