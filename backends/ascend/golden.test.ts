import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { type GoldenLimits, goldenData, withDraws, withoutGolden } from "../../runtime/golden.ts";
import * as native from "../../runtime/native.ts";
import { fillSeeded } from "../../runtime/safetensors/index.ts";
import { createAscend } from "./index.ts";
import { supportHeaders } from "./support.ts";

/** The project as it is written, its main and its golden data, built against the emulator in place of CANN. */

let folder = "";
const layer = parseLayer(readFileSync(new URL("./fixtures/swiglu.moe", import.meta.url), "utf8"), "swiglu.moe");
const backend = createAscend(native);
const compilation = compileLayer(layer, backend.target("dav-2201"), "bf16");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-ascend-golden-"));
  const files = [...(await backend.emit(compilation.program, compilation.target)), ...goldenData(compilation)];
  for (const [path, content] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const emulator = new URL("./emulator/include", import.meta.url).pathname;
  const flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", "-I", emulator, "-I", folder];
  // Drawn weights come in several pieces, the last of them shorter.
  flags.push("-DUNMOOR_PIECE=1001");
  const sources = ["main.cpp", "swiglu_launch.cpp"].map((path) => join(folder, path));
  execFileSync(process.env.CXX ?? "g++", [...flags, ...sources, "-o", join(folder, "main")], { stdio: "pipe" });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(golden: string, env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(join(folder, "main"), [join(folder, golden)], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

/** Writes golden data to a folder beside the usual; the names of its files. */
function write(name: string, limits: GoldenLimits): readonly string[] {
  const files = [...goldenData(compilation, limits)].map(([path, content]) => [basename(path), content] as const);
  mkdirSync(join(folder, name), { recursive: true });
  for (const [path, content] of files) writeFileSync(join(folder, name, path), content);
  return files.map(([path]) => path).sort();
}

/** A copy of the golden data with one file changed. */
function changed(name: string, file: string, change: (bytes: Buffer) => Buffer): string {
  cpSync(join(folder, "golden"), join(folder, name), { recursive: true });
  const path = join(folder, name, file);
  writeFileSync(path, change(readFileSync(path)));
  return name;
}

describe("the project's main", () => {
  it.each(["Ascend910B3", "Ascend910B1", "Ascend910_9391"])("agrees with the golden data on %s", (soc) => {
    const { status, stdout, stderr } = run("golden", { UNMOOR_ASCEND_SOC: soc, UNMOOR_ASCEND_SEED: "3" });
    expect(stderr).toBe("");
    expect(stdout).toContain("agrees with the golden data");
    expect(status).toBe(0);
  });

  it("draws weights that are too large for files, the same as the oracle", () => {
    const names = write("drawn", { written: 0, drawn: 2 ** 28 });
    expect(names.filter((name) => name.endsWith(".bin"))).toEqual(["bias.bin", "x.bin"]);
    expect(run("drawn")).toMatchObject({ status: 0, stderr: "" });
    const list = join(folder, "drawn", "drawn.txt");
    expect(readFileSync(list, "utf8")).toMatch(/^seed \d+\nrouter 0\.\d+\ngate /);
    writeFileSync(list, readFileSync(list, "utf8").replace(/seed \d+/, "seed 77"));
    expect(run("drawn").status).toBe(1);
    writeFileSync(list, "");
    expect(run("drawn")).toMatchObject({ status: 2, stderr: expect.stringContaining("router.bin cannot be read") });
  });

  it("exits with 1 where a result is not what is expected", () => {
    const golden = changed("wrong", "y.expected.f64", (bytes) => {
      bytes.writeDoubleLE(bytes.readDoubleLE(8 * 17) + 1, 8 * 17);
      return bytes;
    });
    const { status, stdout } = run(golden);
    expect(stdout).toMatch(/y: 1 elements differ; element 17 is \S+, expected \S+ \+- /);
    expect(status).toBe(1);
  });

  it("exits with 1 where an input is another one", () => {
    const golden = changed("input", "x.bin", (bytes) => {
      bytes.writeFloatLE(bytes.readFloatLE(40) + 2, 40);
      return bytes;
    });
    expect(run(golden).status).toBe(1);
  });

  it("exits with 2 where data is missing or cut short, and names it", () => {
    expect(run("nowhere")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("nowhere/dims.txt has no size T"),
    });
    const golden = changed("short", "gate.bin", (bytes) => bytes.subarray(2));
    expect(run(golden)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/gate\.bin has \d+ bytes, expected/),
    });
  });

  it("exits with 2 on a chip of another architecture, or that the emulator does not stand for", () => {
    expect(run("golden", { UNMOOR_ASCEND_SOC: "Ascend310P3" })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("Ascend310P3"),
    });
  });
});

describe("unmoor_draw.h draws what fillSeeded draws", () => {
  const elements = 4099;
  const dtypes = { F32: "float, [](float x) { return x; }", BF16: "uint16_t, toBfloat16", F16: "uint16_t, toHalf" };
  it.each([2 ** -16, 2 ** -14, 0.125, 2 ** 15])("with scale %d", (scale) => {
    const own = mkdtempSync(join(tmpdir(), "unmoor-ascend-draw-"));
    try {
      for (const [name, text] of supportHeaders()) writeFileSync(join(own, name), text);
      const parts = Object.values(dtypes).map((each) => {
        const [type, encode] = each.split(", ");
        return `put(unmoor::drawElements<${type}>(draw, 0, ${elements}, ${encode?.startsWith("[") ? encode : `unmoor::${encode}`}));`;
      });
      writeFileSync(
        join(own, "draw.cpp"),
        [
          '#include "unmoor_draw.h"',
          "#include <cstdio>",
          "static void put(const std::vector<char> &bytes) { std::fwrite(bytes.data(), 1, bytes.size(), stdout); }",
          `int main() { const unmoor::Draw draw("w.gate", ${2 ** 33 + 5}ull, ${scale}); ${parts.join(" ")} }`,
        ].join("\n"),
      );
      const flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"];
      execFileSync(process.env.CXX ?? "g++", [...flags, join(own, "draw.cpp"), "-o", join(own, "draw")]);
      const found = execFileSync(join(own, "draw"), { encoding: "buffer" });
      const wanted = (["F32", "BF16", "F16"] as const).map((dtype) => {
        const target = new Uint8Array(elements * (dtype === "F32" ? 4 : 2));
        fillSeeded(target, { seed: 2 ** 33 + 5, name: "w.gate", dtype, scale });
        return target;
      });
      expect(found.equals(Buffer.concat(wanted))).toBe(true);
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  });
});

it("golden data is left out where weights are large, and told why", () => {
  const large = parseLayer(
    `layer @large {H = 4096} (input auto %x: f32[T, H], weight auto %w: f32[H, H]) {
  %y = linear(%x, %w) : f32[T, H]
  return y = %y
}
`,
    "large.moe",
  );
  const compiled = compileLayer(large, backend.target("dav-2201"), "bf16");
  expect(goldenData(compiled).size).toBe(0);
  expect(withoutGolden(compiled, withDraws(16))).toContain(
    "the weights take 32 MiB, and the oracle is made to wait for up to 16 MiB. --golden 32 ",
  );
});
