// The compiler of the stand-in's language ASC: g++ with the headers of unmoor's emulator, after launches
// kernel<<<blocks, nullptr, stream>>>(…) became calls of the emulator's launcher.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(dirname(fileURLToPath(import.meta.url)));
const compiler = process.env.CXX ?? "g++";

/** @param {readonly string[]} args */
function run(args) {
  const { status, stdout, stderr } = spawnSync(compiler, args, { encoding: "utf8", maxBuffer: 2 ** 30 });
  process.stderr.write(stderr);
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

/** @param {string} text @param {string} kernel */
function typeOf(text, kernel) {
  const [, type] = new RegExp(`void\\s+${kernel}\\s*\\([^)]*\\)\\s*\\{[^}]*?(KERNEL_TYPE_\\w+)`).exec(text) ?? [];
  if (type !== undefined) return type;
  process.stderr.write(`asc: ${kernel} is launched, but no kernel of that name says its type\n`);
  return process.exit(1);
}

const given = process.argv.slice(2);
const source = given[given.indexOf("-c") + 1];
if (!given.includes("-c") || source === undefined) run(given);
else {
  if (!given.includes("--npu-arch=dav-2201")) {
    process.stderr.write("asc: expected --npu-arch=dav-2201\n");
    process.exit(1);
  }
  const object = given[given.indexOf("-o") + 1] ?? "a.o";
  const flags = given.filter((arg) => !["-c", source, "-o", object].includes(arg) && !arg.startsWith("--npu-arch="));
  const headers = ["-I", join(home, "emulator"), "-include", "unmoor/acl_device.h"];
  const text = run(["-std=c++17", ...flags, ...headers, "-E", source]);
  const launches = /\b(\w+)<<<([^;]*?), nullptr, (\w+)>>>\(/g;
  const launched = text.replaceAll(
    launches,
    (_, kernel, blocks, stream) =>
      `unmoor::ascend::acl::Launcher{"${kernel}", ${typeOf(text, kernel)}, ${kernel}}(${blocks}, ${stream}, `,
  );
  const folder = mkdtempSync(join(tmpdir(), "unmoor-asc-"));
  const unit = join(folder, "unit.ii");
  writeFileSync(unit, launched);
  run(["-std=c++17", ...flags, "-c", unit, "-o", object]);
  rmSync(folder, { recursive: true, force: true });
}
