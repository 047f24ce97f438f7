// Builds the native addon with node-gyp. Plain JavaScript, because set-up calls it before anything is compiled.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const output = join(here, "build", "Release", "unmoor.node");
const stampFile = join(here, "build", "unmoor.stamp");
const lock = join(here, "build.lock");
const LOCK_PATIENCE_MS = 5 * 60_000;
const INSTALL_TOOLS = "apt-get install -y g++ make python3";

/** See build.d.ts. */
export async function buildAddon({ force = false } = {}) {
  const stamp = fingerprint();
  if (!force && isCurrent(stamp)) return { path: output, built: false };
  await takeLock();
  try {
    if (!force && isCurrent(stamp)) return { path: output, built: false };
    const prefix = nodePrefix();
    requireTools();
    await runNodeGyp(prefix);
    writeFileSync(stampFile, stamp);
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
  return { path: output, built: true };
}

/** A hash of all that the built file depends on. */
function fingerprint() {
  const hash = createHash("sha256");
  hash.update([process.version, process.versions.modules, process.arch, realpathSync(process.execPath)].join(" "));
  hash.update(require("nan/package.json").version);
  hash.update(readFileSync(join(here, "binding.gyp")));
  for (const name of readdirSync(join(here, "src")).sort()) {
    hash.update(`\0${name}\0`).update(readFileSync(join(here, "src", name)));
  }
  return hash.digest("hex");
}

function isCurrent(stamp) {
  return existsSync(output) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;
}

/** The folder above the running node's bin/, which holds its headers: they always fit, and need no download. */
function nodePrefix() {
  const own = dirname(dirname(realpathSync(process.execPath)));
  const prefixes = [own, process.env.npm_config_nodedir].filter(Boolean);
  const fitting = prefixes.find((prefix) => headersVersion(prefix) === process.version);
  if (fitting !== undefined) return fitting;
  const found = headersVersion(own);
  throw new Error(
    `cannot build the native addon: the headers of node ${process.version} are missing ` +
      `(${join(own, "include", "node")} ${found === undefined ? "has none" : `has those of ${found}`}).\n` +
      "If node came from Debian, run as root: apt-get install -y libnode-dev\n" +
      "Otherwise install node from https://nodejs.org or NodeSource, which bring them, or name a folder with include/node in npm_config_nodedir.",
  );
}

/** The version of the node headers under a prefix, as in "v20.1.0"; undefined where there are none. */
function headersVersion(prefix) {
  const header = join(prefix, "include", "node", "node_version.h");
  if (!existsSync(header)) return undefined;
  const text = readFileSync(header, "utf8");
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  return `v${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
}

function requireTools() {
  const tools = {
    make: process.env.MAKE ?? "make",
    "g++": process.env.CXX ?? "g++",
    python3: process.env.npm_config_python ?? process.env.PYTHON ?? "python3",
  };
  const missing = Object.keys(tools).filter((name) => {
    // CXX may hold a launcher and flags, as in "ccache g++".
    const program = tools[name].trim().split(/\s+/)[0];
    return spawnSync(program, ["--version"], { stdio: "ignore" }).status !== 0;
  });
  if (missing.length === 0) return;
  throw new Error(
    `cannot build the native addon: this machine lacks ${missing.join(", ")}.\nOn Debian, run as root: ${INSTALL_TOOLS}`,
  );
}

async function runNodeGyp(prefix) {
  const gyp = join(dirname(require.resolve("node-gyp/package.json")), "bin", "node-gyp.js");
  const args = [gyp, "rebuild", "--directory", here, "--nodedir", prefix];
  // binding.gyp asks `node` where nan is: let that be this very node.
  const path = [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
  const child = spawn(process.execPath, args, {
    env: { ...process.env, PATH: path, MAKEFLAGS: process.env.MAKEFLAGS ?? "-j2" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const chunks = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  child.stderr.on("data", (chunk) => chunks.push(chunk));
  const status = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  if (status === 0 && existsSync(output)) return;
  const lines = Buffer.concat(chunks).toString("utf8").trimEnd().split("\n");
  const errors = lines.filter((line) => /\berror\b/i.test(line) && !line.startsWith("gyp ERR!")).slice(0, 10);
  throw new Error(
    `cannot build the native addon: node-gyp ended with ${status}. ` +
      `If a tool is missing, on Debian run as root: ${INSTALL_TOOLS}\n` +
      `It ran: ${[process.execPath, ...args].join(" ")}\n` +
      [...errors, "Its last lines:", ...lines.slice(-30)].join("\n"),
  );
}

/** Waits until no other process builds. mkdir is atomic; a lock whose owner has died is taken over. */
async function takeLock() {
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  for (let told = false; ; ) {
    try {
      mkdirSync(lock);
      writeFileSync(join(lock, "pid"), String(process.pid));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") {
        throw new Error(
          `cannot build the native addon: ${here} is not writable (${error.code}). Give this user write access to it.`,
        );
      }
    }
    if (lockIsStale()) rmSync(lock, { recursive: true, force: true });
    else if (Date.now() > deadline) {
      throw new Error(
        `another process has been building the native addon for minutes. If there is none, delete ${lock}.`,
      );
    } else {
      if (!told) console.error("another process is building the native addon; waiting for it");
      told = true;
      await sleep(200);
    }
  }
}

function lockIsStale() {
  try {
    const pid = Number(readFileSync(join(lock, "pid"), "utf8"));
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error.code === "ESRCH") return true;
    if (error.code === "EPERM") return false;
    // No pid yet: its owner is between the two steps of taking it, unless it died there.
    const age = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    return age !== undefined && Date.now() - age > 10_000;
  }
}
