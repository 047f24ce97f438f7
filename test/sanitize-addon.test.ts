/**
 * The native addon under AddressSanitizer and UndefinedBehaviorSanitizer: its own tests, in a node that loads a sanitised build of it
 * instead. With UNMOOR_TEST_ALL=1 (npm run test:sanitize).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "./support.ts";

const root = resolve(import.meta.dirname, "..");
const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const sanitizers = "-fsanitize=address,undefined";

/** Builds the addon's sources, changed, with sanitizers, and runs its tests. */
function testAddon(change: (text: string) => string = (text) => text) {
  const folder = temporaryFolder();
  for (const name of ["binding.gyp", "build.js", "src"])
    cpSync(join(root, "runtime", "addon", name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const memory = join(folder, "src", "memory.cc");
  writeFileSync(memory, change(readFileSync(memory, "utf8")));
  const build = `import(${JSON.stringify(pathToFileURL(join(folder, "build.js")).href)}).then((m) => m.buildAddon())`;
  execFileSync(process.execPath, ["-e", build], {
    env: { ...process.env, CXXFLAGS: `${sanitizers} -fno-sanitize-recover=all -g -O1`, LDFLAGS: sanitizers },
  });

  // Node opens this file wherever the addon's is asked for.
  const built = JSON.stringify(join(folder, "build", "Release", "unmoor.node"));
  const instead = join(folder, "instead.cjs");
  writeFileSync(
    instead,
    `const open = process.dlopen;
process.dlopen = (module, path, ...rest) =>
  open.call(process, module, path.endsWith("unmoor.node") ? ${built} : path, ...rest);
`,
  );
  const runtimes = ["libasan.so", "libubsan.so"].map((name) =>
    execFileSync(process.env.CXX ?? "g++", [`-print-file-name=${name}`], { encoding: "utf8" }).trim(),
  );
  return spawnSync(process.execPath, [vitest, "run", "runtime/native.test.ts"], {
    cwd: root,
    encoding: "utf8",
    env: {
      ...process.env,
      NO_COLOR: "1",
      // Node itself leaves memory to the system when it ends.
      ASAN_OPTIONS: "detect_leaks=0",
      LD_PRELOAD: runtimes.join(" "),
      NODE_OPTIONS: `--require ${instead}`,
    },
  });
}

describe.runIf(process.env.UNMOOR_TEST_ALL === "1")("the addon under sanitizers", { timeout: 600_000 }, () => {
  test("its tests pass", () => {
    const { status, stdout, stderr } = testAddon();
    expect(stdout + stderr).not.toMatch(/AddressSanitizer|runtime error/);
    expect(stdout).toMatch(/Tests +\d+ passed/);
    expect(status).toBe(0);
  });

  test("memory that is read after its end is noticed", () => {
    const release = /( *bytes_in_use -= .*\n)( *delete region;\n)/;
    const { status, stderr } = testAddon((text) => {
      expect(text).toMatch(release);
      return text.replace(release, "$2$1");
    });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/AddressSanitizer: heap-use-after-free/);
  });
});
