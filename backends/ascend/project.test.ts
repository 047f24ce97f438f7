import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { emitKernels } from "../../codegen/emit/ascend/index.ts";
import { expectGolden } from "../../codegen/emit/testing.ts";
import { kernelBuilder, range, view, whole } from "../../codegen/tile/builder.ts";
import { Dim } from "../../ir/core/dim.ts";
import { apply } from "../../ir/core/scalar.ts";
import { parseLayer } from "../../ir/text/index.ts";
import * as native from "../../runtime/native.ts";
import { LackError } from "../backend.ts";
import { origin, testProgram } from "../simd-c/testing.ts";
import { findCompiler } from "../toolchain/compiler.ts";
import { emulatorBuild } from "./emulator-build.ts";
import { ascendIsa, createAscend } from "./index.ts";
import { cppCompiler } from "./support.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-ascend-project-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const layer = parseLayer(
  readFileSync(new URL("./fixtures/swiglu.moe", import.meta.url), "utf8"),
  "fixtures/swiglu.moe",
);
const backend = createAscend(native);
const target = backend.target("dav-2201");
const { program } = compileLayer(layer, target, "bf16");
const tree = await backend.emit(program, target);
const inBytes = await backend.emit(compileLayer(layer, target, "int8").program, target);

const golden = (name: string, text: string): void =>
  expectGolden(new URL(`./goldens/${name}.cpp`, import.meta.url), text);

describe("the project", () => {
  it("has these files", () => {
    const kernels = program.kernels.map((k) => `kernels/${k.name}.cpp`);
    const others = ["CMakeLists.txt", "README.md", "emulator_host.cpp", "main.cpp", "unmoor_draw.h", "unmoor_kernel.h"];
    const own = ["swiglu.h", "swiglu_launch.cpp", "swiglu_tiling.h"];
    expect([...tree.keys()].sort()).toEqual([...kernels, ...others, ...own].sort());
  });

  it.each(["route_ids", "grouped_linear_h", "combine_y"])(
    "prints %s as in goldens/ (UPDATE_GOLDENS=1 writes it)",
    (name) => golden(name, tree.get(`kernels/${name}.cpp`) ?? ""),
  );

  it.each(["cast_x_int8", "grouped_linear_h"])(
    "prints %s in int8 as in goldens/ (UPDATE_GOLDENS=1 writes it)",
    (name) => {
      const text = inBytes.get(`kernels/${name}.cpp`) ?? "";
      golden(`int8_${name}`, text);
    },
  );

  it("compiles with all warnings, kernel by kernel and without the emulator's host, and so do the launches", async () => {
    for (const [path, text] of tree) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    // Enough of acl's names for a host compiler to read the launches.
    mkdirSync(join(folder, "stub", "acl"), { recursive: true });
    writeFileSync(
      join(folder, "stub", "acl", "acl.h"),
      [
        "#pragma once",
        "#include <cstdint>",
        "using aclrtStream = void *;",
        "#define ACLRT_LAUNCH_KERNEL(name) aclrtlaunch_##name",
      ].join("\n"),
    );
    for (const kernel of program.kernels) {
      const name = `swiglu_${kernel.name}`;
      // As the toolchain makes them: blocks and stream, then the kernel's own parameters.
      const own = new RegExp(`void ${name}\\(([^)]*)\\)`).exec(tree.get(`kernels/${kernel.name}.cpp`) ?? "")?.[1] ?? "";
      const parameters = ["uint32_t", "aclrtStream", ...own.split(",").map(() => "void *")].join(", ");
      writeFileSync(join(folder, "stub", `aclrtlaunch_${name}.h`), `uint32_t aclrtlaunch_${name}(${parameters});\n`);
    }
    const compiler = await findCompiler(cppCompiler);
    const [command = "", ...first] = compiler.command;
    const compile = (...args: readonly string[]) => {
      const flags = [...first, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", folder];
      execFileSync(command, [...flags, ...args], { stdio: "pipe" });
    };
    const sources = [...tree.keys()].filter((p) => p.startsWith("kernels/")).map((p) => join(folder, p));
    compile(...(await emulatorBuild(compiler)).flags, ...sources);
    compile("-std=c++17", "-I", join(folder, "stub"), join(folder, "swiglu_launch.cpp"));
  }, 300_000);

  it("says what was checked, and that it has not run on hardware", () => {
    const readme = tree.get("README.md") ?? "";
    expect(readme).toContain("None of it has been compiled by CANN or has run on hardware here.");
    for (const kernel of program.kernels) expect(readme).toContain(`| ${kernel.name} |`);
    expect(tree.get("CMakeLists.txt")).toContain("find_package(ASC REQUIRED)");
    expect(tree.get("CMakeLists.txt")).toContain("ascendc_library(swiglu_kernels STATIC");
  });

  it("declares vector and cube kernels as such, within each core's memory", () => {
    const { kernels } = emitKernels(program, ascendIsa());
    const spaces = ascendIsa().spaces;
    for (const k of kernels) {
      const cube = /linear/.test(k.kernel.name);
      const mix = k.kernel.name === "grouped_linear_h";
      expect(k.type).toBe(mix ? "MIX_AIC_1_2" : cube ? "AIC_ONLY" : "AIV_ONLY");
      for (const [space, bytes] of k.memory) expect(bytes).toBeLessThanOrEqual(spaces[space]?.capacity ?? 0);
    }
  });
});

describe("what does not fit", () => {
  const wide = (inputs: number, width: number) => {
    const buffers = Array.from({ length: inputs + 1 }, (_, i) => ({
      name: `x${i}`,
      dtype: "f32" as const,
      dims: [Dim.of("T"), Dim.of(width)],
      role: i === inputs ? ("output" as const) : ("input" as const),
    }));
    const k = kernelBuilder("wide", { ...origin, summary: "a sum of wide rows" });
    buffers.forEach((b, i) => {
      if (i < inputs) k.read(b);
      else k.write(b);
    });
    const row = k.grid("row", "T");
    const tiles = buffers.map((b) => k.alloc(`${b.name}_tile`, "f32", [width], "ub"));
    const named = Object.fromEntries(tiles.slice(0, inputs).map((t, i) => [`v${i}`, whole(t)]));
    for (const [i, t] of tiles.slice(0, inputs).entries())
      k.copy(whole(t), view(buffers[i] ?? "", row, range(0, width)));
    const [out] = tiles.slice(-1);
    if (!out) throw new Error("no tile");
    k.map(whole(out), named, (v) => Object.values(v).reduce((a, b) => apply("add", a, apply("exp", b))));
    k.copy(view(buffers[inputs] ?? "", row, range(0, width)), whole(out));
    return testProgram("wide", buffers, [k.build()]);
  };

  it("is refused in words, with the bytes", async () => {
    await expect(backend.emit(wide(4, 12_000), target)).rejects.toThrow(
      "a sum of wide rows does not fit into UB of dav-2201, with the room that its expressions need",
    );
  });

  it("keeps one tensor per queue before it is refused", () => {
    const { kernels } = emitKernels(wide(4, 6000), ascendIsa());
    const text = kernels[0]?.text ?? "";
    expect(text).toMatch(/InitBuffer\(x\d_tile_queue, 1, 24000\)/);
    expect(kernels[0]?.memory.get("ub")).toBeLessThanOrEqual(ascendIsa().spaces.ub?.capacity ?? 0);
  });

  it("is an operation that the vector unit lacks", async () => {
    const k = kernelBuilder("remainder", { ...origin, summary: "the remainder of rows" });
    const buffers = ["x", "y"].map((name, i) => ({
      name,
      dtype: "i32" as const,
      dims: [Dim.of(16)],
      role: i === 0 ? ("input" as const) : ("output" as const),
    }));
    const [x, y] = buffers;
    if (!x || !y) throw new Error("two buffers");
    k.read(x);
    k.write(y);
    k.map(whole(y), { a: whole(x) }, ({ a }) => apply("mod", a, { kind: "const", type: "i32", value: 3 }));
    await expect(backend.emit(testProgram("remainder", buffers, [k.build()]), target)).rejects.toThrow(
      "the remainder of rows cannot be written for Ascend: the vector unit of dav-2201 has no instruction for mod.i32",
    );
  });

  it("is a variant that does not exist", () => {
    expect(() => backend.target("dav-3101")).toThrow('ascend has no variant "dav-3101"');
  });
});

describe("the machine", () => {
  it("can emulate, and never runs", async () => {
    const { compile, run, emulate } = await backend.probe();
    expect(compile.ok).toBe(true);
    expect(run).toMatchObject({ ok: false, why: "no CANN and no NPU here" });
    expect(emulate.ok).toBe(true);
  });

  it("lacks a compiler: said with what mends it", async () => {
    const lacking = createAscend(native, { env: { CXX: "/nonexistent/c++" } });
    const error = await lacking.load(program, target).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LackError);
    expect(error).toMatchObject({ mend: "unset CXX, or apt-get install -y g++" });
    expect((await lacking.probe()).emulate).toMatchObject({ ok: false, mend: "unset CXX, or apt-get install -y g++" });
  });

  it("reports a fault of a kernel in words, with kernel and line", async () => {
    // Reads rows that nobody wrote.
    const buffers = (["input", "temporary", "output"] as const).map((role) => ({
      name: role === "input" ? "x" : role === "output" ? "y" : "t",
      dtype: "f32" as const,
      dims: [Dim.of("T"), Dim.of(16)],
      role,
    }));
    const [x, t, y] = buffers;
    if (!x || !t || !y) throw new Error("three buffers");
    const first = kernelBuilder("first", origin);
    first.read(x);
    first.write(t);
    first.copy(view(t, 0, range(0, 16)), view(x, 0, range(0, 16)));
    const second = kernelBuilder("second", origin);
    second.read(t);
    second.write(y);
    const row = second.grid("row", "T");
    second.copy(view(y, row, range(0, 16)), view(t, row, range(0, 16)));
    const faulty = testProgram("faulty", buffers, [first.build(), second.build()]);
    const loaded = await createAscend(native).load(faulty, target);
    await loaded.setWeights(new Map());
    const data = new Float32Array(32);
    await expect(loaded.run(new Map([["x", { dtype: "f32", dims: [2, 16], data }]]), { T: 2 })).rejects.toThrow(
      /the Ascend emulator found a fault in kernel second, block 1 of 2 \(vector core AIV\), second\.cpp:\d+: DataCopyPad/,
    );
    await loaded.close();
  }, 300_000);
});
