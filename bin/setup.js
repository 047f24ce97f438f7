// Sets the checkout up: packages, system tools, dist/, the native addon, the software WebGPU adapter; with --browser what tests
// take besides: a browser, an emulation of AVX-512; with --lavapipe a second software adapter, Mesa's. `npm start` and `npm test` call it before all else. It is plain
// JavaScript, and imports packages only after it has installed them.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { codeOf, takeLock } from "./setup-lock.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const dist = join(root, "dist");
const modules = join(root, "node_modules");
const color = process.stdout.isTTY && process.env.NO_COLOR === undefined;

/** Something that this machine lacks, and what mends it. Exit status 3. */
class Lack extends Error {
  /**
   * @param {string} message
   * @param {string} mend
   */
  constructor(message, mend) {
    super(message);
    this.mend = mend;
  }
}

/** The sources do not compile: nothing that the machine lacks. Exit status 1. */
class Broken extends Error {}

/**
 * @typedef {object} Ended How a child process ended.
 * @property {number | null} status
 * @property {string} output what it printed on both streams
 */

/**
 * Runs a program without a shell.
 * @param {string} program
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, heard?: (line: string) => void }} [options] heard: hears of each line it prints
 * @returns {Promise<Ended>}
 */
function run(program, args, { env = process.env, heard } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    /** @param {Buffer} chunk */
    const take = (chunk) => {
      output += chunk;
      const line = chunk.toString().trimEnd().split("\n").at(-1);
      if (heard && line) heard(line);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error) => resolve({ status: null, output: error.message }));
    child.on("close", (status) => resolve({ status, output }));
  });
}

/** @param {string} text @param {number} count */
const lastLines = (text, count) => text.trimEnd().split("\n").slice(-count).join("\n");

/** @param {string} text */
const say = (text) => console.log(color ? `\x1b[32m✔\x1b[39m ${text}` : `✔ ${text}`);

/** @param {string} file @returns {string} its text, or "" where there is none */
const textOf = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");

// ---- packages -------------------------------------------------------------------------------------------------------

/** Installs the packages of package-lock.json, unless they are there. */
async function installPackages() {
  const stampFile = join(modules, ".unmoor-stamp");
  const text = textOf(join(root, "package-lock.json"));
  const stamp = createHash("sha256").update(`${process.platform} ${process.arch} ${text}`).digest("hex");
  if (textOf(stampFile) === stamp) return say("packages: installed already");
  const count = Object.keys(JSON.parse(text).packages).length - 1;
  const found = isInstalled(JSON.parse(text).packages);
  if (!found) await npmCi(count);
  try {
    writeFileSync(stampFile, stamp);
    linkCommand();
  } catch (error) {
    throw new Lack(`${modules} cannot be written (${codeOf(error)})`, `give this user write access to ${root}`);
  }
  say(found ? "packages: installed already" : "packages: installed as in package-lock.json");
}

/**
 * Whether node_modules holds what the lock file asks for, by the record that npm keeps of what it installed.
 * @param {Record<string, { version?: string, optional?: boolean }>} wanted
 */
function isInstalled(wanted) {
  const text = textOf(join(modules, ".package-lock.json"));
  if (text === "") return false;
  /** @type {Record<string, { version?: string }>} */
  const found = JSON.parse(text).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    const there = found[path];
    // Packages for other systems are optional, and npm leaves them out.
    return path === "" || (there === undefined ? optional === true : there.version === version);
  });
}

/** @param {number} count */
async function npmCi(count) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  console.log(`packages: installing up to ${count} with npm ci …`);
  const ticker = setInterval(
    () =>
      process.stdout.write(process.stdout.isTTY ? `\r  ${seconds()} s` : seconds() % 10 ? "" : `  ${seconds()} s …\n`),
    1_000,
  );
  // Only npm's own starter takes npm's arguments; this may run under another package manager.
  const starter = process.env.npm_execpath ?? "";
  const [program, ...before] = /^npm(-cli)?\.c?js$/.test(basename(starter)) ? [process.execPath, starter] : ["npm"];
  const env = { ...process.env };
  // Set by an npm that runs us from elsewhere, they would send the packages there.
  for (const name of ["npm_config_local_prefix", "npm_config_prefix", "npm_config_global", "npm_config_omit"])
    delete env[name];
  const args = [
    "ci",
    "--ignore-scripts",
    "--include=dev",
    "--include=optional",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const { status, output } = await run(program ?? "npm", [...before, ...args], { env });
  clearInterval(ticker);
  if (process.stdout.isTTY) process.stdout.write("\r");
  if (status === 0) return;
  // The reason comes first, advice of all kinds after it; and no stack traces.
  const errors = output.split("\n").filter((line) => !/^npm error(\s*|\s+at .*)$/.test(line));
  throw new Lack(
    `the packages cannot be installed: npm ci ended with ${status ?? "no status"}:\n${errors.slice(0, 8).join("\n")}`,
    "with the network at hand, run: npm ci --ignore-scripts",
  );
}

/** Makes `npx unmoor` find the command: npm links the commands of dependencies only. */
function linkCommand() {
  const link = join(modules, ".bin", "unmoor");
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), join(root, "bin", "unmoor.js")), link);
  chmodSync(join(root, "bin", "unmoor.js"), 0o755);
}

// ---- system packages ------------------------------------------------------------------------------------------------

/** @typedef {{ output: string }} Progress a line of what is going on now */

/** The tools that compile and build, and Debian's package of each. */
const TOOLS = { gcc: "g++", "g++": "g++", make: "make", python3: "python3" };
const INSTALL = `apt-get install -y ${[...new Set(Object.values(TOOLS))].join(" ")}`;

/** @param {string} tool */
function isOnPath(tool) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const missingTools = () => Object.entries(TOOLS).filter(([tool]) => !isOnPath(tool));

/** @param {Progress} progress @returns {Promise<string>} */
async function systemPackages(progress) {
  const missing = missingTools();
  const names = missing.map(([tool]) => tool).join(", ");
  if (missing.length === 0) return `system packages: ${Object.keys(TOOLS).join(", ")} are there`;
  if (!isOnPath("apt-get"))
    throw new Lack(`this machine lacks ${names}`, "install them with the system's package manager");
  if (process.getuid?.() !== 0) throw new Lack(`this machine lacks ${names}`, `run: sudo ${INSTALL}`);
  const packages = [...new Set(missing.map(([, name]) => name))];
  const ended = await aptInstall(packages, progress);
  const left = missingTools().map(([tool]) => tool);
  if (ended.status === 0 && left.length === 0) return `system packages: installed ${packages.join(", ")}`;
  throw new Lack(
    `this machine lacks ${left.join(", ") || names}, and apt-get could not install it:\n${lastLines(ended.output, 4)}`,
    `with the network at hand, run: apt-get update && ${INSTALL}`,
  );
}

/** @param {string[]} packages @param {Progress} progress @returns {Promise<Ended>} */
async function aptInstall(packages, progress) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  /** @param {string[]} args */
  const apt = (args) =>
    run("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], {
      env,
      heard: (line) => {
        progress.output = line;
      },
    });
  const install = () => apt(["install", "-y", "--no-install-recommends", ...packages]);
  const ended = await install();
  if (ended.status === 0) return ended;
  // A fresh system has no package lists, or old ones.
  await apt(["update"]);
  return install();
}

/** A browser for the tests of the page, which are skipped without one: it may be missing. @param {Progress} progress */
async function browser(progress) {
  const found = () => ["chromium", "chromium-browser", "google-chrome"].find(isOnPath);
  const there = process.env.UNMOOR_CHROMIUM ?? found();
  if (there) return `browser: ${there} is there`;
  if (isOnPath("apt-get") && process.getuid?.() === 0) await aptInstall(["chromium"], progress);
  if (found()) return "browser: installed chromium";
  return "browser: none, so the tests of the page are skipped (apt-get install chromium, or set UNMOOR_CHROMIUM)";
}

/** What tests of AVX-512 take on a CPU without it; they are skipped where it is missing. @param {Progress} progress */
async function avx512Emulation(progress) {
  const there = () => existsSync("/usr/include/simde/x86/avx512.h");
  if (there()) return "emulation of AVX-512: SIMDe is there";
  if (process.arch === "x64" && isOnPath("apt-get") && process.getuid?.() === 0)
    await aptInstall(["libsimde-dev"], progress);
  if (there()) return "emulation of AVX-512: installed SIMDe";
  return "emulation of AVX-512: none, so its tests are skipped on other CPUs (apt-get install libsimde-dev)";
}

/** Mesa's lavapipe, as new as WebGPU takes it: Debian 12 has it in its backports. @param {Progress} progress */
async function lavapipe(progress) {
  const version = async () => (await run("dpkg-query", ["-W", "mesa-vulkan-drivers"])).output.match(/\t(\d\S*)/)?.[1];
  const isNew = (/** @type {string | undefined} */ found) => Number.parseInt(found ?? "0", 10) >= 25;
  if (isNew(await version())) return `lavapipe: Mesa ${await version()} is there`;
  const command = "apt-get install -y -t bookworm-backports mesa-vulkan-drivers";
  if (!isOnPath("apt-get")) throw new Lack("lavapipe: there is no apt-get", "install Mesa 25 or newer");
  if (process.getuid?.() !== 0) throw new Lack("lavapipe: not installed", `run: sudo ${command}`);
  const ended = await aptInstall(["-t", "bookworm-backports", "mesa-vulkan-drivers"], progress);
  const found = await version();
  if (ended.status === 0 && isNew(found)) return `lavapipe: installed Mesa ${found}`;
  throw new Lack(
    `lavapipe: Mesa 25 could not be installed:\n${lastLines(ended.output, 4)}`,
    `add the backports to apt's sources (deb http://deb.debian.org/debian bookworm-backports main), then: apt-get update && ${command}`,
  );
}

// ---- dist/ ----------------------------------------------------------------------------------------------------------

/** @param {string} folder @param {RegExp} name @returns {string[]} the files below it, as paths from the root */
function filesBelow(folder, name) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/** @param {Progress} progress @returns {Promise<string>} */
async function compile(progress) {
  /** @type {{ include: string[], exclude: string[] }} */
  const { include, exclude } = JSON.parse(textOf(join(root, "tsconfig.json")));
  const inputs = include
    .filter((folder) => folder !== "test" && !folder.endsWith(".ts"))
    .flatMap((folder) => filesBelow(join(root, folder), /(?<!\.test|\.test-d)\.(ts|json)$/))
    .filter((file) => !exclude.some((folder) => file.startsWith(`${folder}/`)));
  const hash = createHash("sha256").update(textOf(join(modules, ".unmoor-stamp")));
  for (const file of ["tsconfig.json", "tsconfig.build.json", ...inputs])
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  const stamp = hash.digest("hex");
  const stampFile = join(dist, ".setup-stamp");
  const outputs = inputs
    .filter((file) => /(?<!\.d)\.ts$/.test(file))
    .map((file) => join("dist", file.replace(/ts$/, "js")));
  const whole = outputs.every((file) => existsSync(join(root, file)));
  if (whole && textOf(stampFile) === stamp) return `TypeScript: dist/ is up to date (${outputs.length} modules)`;
  // tsc trusts its record of what it wrote, and would leave out what was deleted since.
  if (!whole) rmSync(join(dist, ".tsbuildinfo"), { force: true });
  progress.output = `tsc: compiling ${outputs.length} modules`;
  const tsc = join(modules, "typescript", "bin", "tsc");
  const { status, output } = await run(process.execPath, [tsc, "-p", "tsconfig.build.json"]);
  if (status !== 0)
    throw new Broken(`the TypeScript sources do not compile; tsc -p tsconfig.build.json says:\n${output.trimEnd()}`);
  const expected = new Set(outputs);
  for (const file of filesBelow(dist, /\.js$/))
    if (!expected.has(file)) for (const each of [file, `${file}.map`]) rmSync(join(root, each), { force: true });
  writeFileSync(stampFile, stamp);
  return `TypeScript: compiled ${outputs.length} modules to dist/`;
}

// ---- the native addon and the WebGPU adapter --------------------------------------------------------------------------

/** @returns {Promise<string>} */
async function addon() {
  const { buildAddon } = await import("../runtime/addon/build.js");
  const { built } = await buildAddon();
  return built ? "native addon: built" : "native addon: built already";
}

/** @returns {Promise<string>} */
async function adapter() {
  const found = await import(pathToFileURL(join(dist, "backends", "wgsl", "adapter", "index.js")).href);
  try {
    const { name, folder, installed } = await found.ensureSoftwareAdapter();
    return installed ? `WebGPU: unpacked ${name} into ${folder}` : `WebGPU: ${name} is there (${folder})`;
  } catch (error) {
    const { message, mend } = /** @type {Lack} */ (error);
    if (process.platform === "linux" && process.arch === "x64") throw new Lack(message, mend ?? "run: npm run setup");
    // No software adapter is made for such a machine. Its GPU may do, and the other targets need none.
    return `WebGPU: no software adapter for this kind of machine: ${message} (${mend})`;
  }
}

// ---- all of it ------------------------------------------------------------------------------------------------------

async function main() {
  const version = process.versions.node;
  if (Number(version.split(".")[0]) < 20)
    throw new Lack(
      `Unmoor needs Node 20 or newer; this is Node ${version} (${process.execPath})`,
      "install Node 20 or newer",
    );
  await takeLock(dist);
  await installPackages();
  const { Listr } = await import("listr2");
  /** @type {unknown} What went wrong: told once, at the end, and not by listr2. */
  let failure;
  /** @param {string} title @param {(progress: Progress) => Promise<string>} work */
  const step = (title, work) => ({
    title,
    /** @param {unknown} _ @param {Progress & { title: string }} task */
    task: async (_, task) => {
      try {
        task.title = await work(task);
      } catch (error) {
        failure = error;
        throw new Error("see below");
      }
    },
  });
  const tasks = [
    step("system packages", systemPackages),
    ...(process.argv.includes("--browser") ? [step("browser", browser), step("AVX-512", avx512Emulation)] : []),
    ...(process.argv.includes("--lavapipe") ? [step("lavapipe", lavapipe)] : []),
    step("TypeScript", compile),
    step("native addon", addon),
    step("WebGPU", adapter),
  ];
  const list = new Listr(tasks, { renderer: process.stdout.isTTY ? "default" : "simple" });
  await list.run().catch((error) => {
    throw failure ?? error;
  });
}

try {
  await main();
} catch (error) {
  const { message, mend } = error instanceof Error ? /** @type {Lack} */ (error) : new Lack(String(error), "");
  console.error(`\nset-up failed: ${message}`);
  if (mend) console.error(`to mend it: ${mend}`);
  process.exitCode = error instanceof Broken ? 1 : 3;
}
