import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { goldenData } from "../../runtime/golden.ts";
import * as native from "../../runtime/native.ts";
import { createAscend } from "./index.ts";
import { emulatorInclude } from "./support.ts";

/** The emitted CMakeLists.txt in each of its forms, configured, built and run against the stand-in for CANN in stand-in/. */

const found = spawnSync("cmake", ["--version"], { encoding: "utf8" }).status === 0;
const skipped = !found
  ? "left out: cmake is not installed (apt-get install cmake)"
  : process.env.UNMOOR_TEST_ALL === "1"
    ? undefined
    : "left out: in npm run test:all only";

const compiler = process.env.CXX ?? "g++";
const layer = parseLayer(readFileSync(new URL("./fixtures/swiglu.moe", import.meta.url), "utf8"), "swiglu.moe");
const backend = createAscend(native);

describe.skipIf(skipped !== undefined)(`the project's CMakeLists.txt ${skipped ?? ""}`, () => {
  let folder = "";
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "unmoor-ascend-cmake-"));
    const home = join(folder, "cann");
    cpSync(new URL("./stand-in", import.meta.url).pathname, home, { recursive: true });
    symlinkSync(emulatorInclude(), join(home, "emulator"));
    mkdirSync(join(home, "bin"));
    writeFileSync(join(home, "bin", "asc"), `#!/bin/sh\nexec "${process.execPath}" "${home}/source/asc.js" "$@"\n`, {
      mode: 0o755,
    });
    writeFileSync(join(home, "package.json"), '{"type":"module"}');
    mkdirSync(join(home, "lib64"));
    const includes = ["-I", join(home, "include"), "-I", join(home, "emulator")];
    const library = ["-shared", "-fPIC", join(home, "source", "acl.cpp"), "-o", join(home, "lib64", "libascendcl.so")];
    execFileSync(compiler, ["-std=c++17", ...includes, ...library], { stdio: "pipe" });
    const compilation = compileLayer(layer, backend.target("dav-2201"), "int8");
    mkdirSync(join(folder, "drawn"));
    for (const [path, content] of goldenData(compilation, { written: 0, drawn: 2 ** 28 }))
      writeFileSync(join(folder, "drawn", basename(path)), content);
    for (const [path, content] of [
      ...(await backend.emit(compilation.program, compilation.target)),
      ...goldenData(compilation),
    ]) {
      mkdirSync(dirname(join(folder, "project", path)), { recursive: true });
      writeFileSync(join(folder, "project", path), content);
    }
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs cmake, or a program that it built, where CANN's environment is set. */
  function run(command: string, args: readonly string[]) {
    const home = join(folder, "cann");
    const env = { ...process.env, CXX: compiler, ASCEND_HOME_PATH: home, CMAKE_PREFIX_PATH: home };
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env });
    return { status, output: stdout + stderr };
  }

  it.each([
    ["the package ASC", []],
    ["ascendc_library", ["-DUNMOOR_ASC=OFF", "-DSOC_VERSION=Ascend910B3"]],
    ["the emulator", [`-DUNMOOR_EMULATOR=${emulatorInclude()}`]],
  ] as const)(
    "with %s is configured and built, and its main tells right from wrong data",
    (form, options) => {
      const build = join(folder, form.replaceAll(" ", "-"));
      const configured = run("cmake", ["-S", join(folder, "project"), "-B", build, ...options]);
      expect(configured.status, configured.output).toBe(0);
      const built = run("cmake", ["--build", build, "--parallel", "2"]);
      expect(built.status, built.output).toBe(0);
      const main = join(build, "swiglu_main");
      const right = run(main, [join(folder, "project", "golden")]);
      expect(right, right.output).toEqual({
        status: 0,
        output: expect.stringContaining("agrees with the golden data"),
      });

      const drawn = run(main, [join(folder, "drawn")]);
      expect(drawn.status, drawn.output).toBe(0);

      const damaged = join(build, "damaged");
      cpSync(join(folder, "project", "golden"), damaged, { recursive: true });
      const path = join(damaged, "y.expected.f64");
      const bytes = readFileSync(path);
      bytes.writeDoubleLE(bytes.readDoubleLE(0) + 1, 0);
      writeFileSync(path, bytes);
      const wrong = run(main, [damaged]);
      expect(wrong.status, wrong.output).toBe(1);
      expect(run("cmake", ["--build", build, "--target", "test"]).status).toBe(0);
    },
    600_000,
  );
});
