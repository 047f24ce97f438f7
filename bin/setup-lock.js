// Keeps two set-ups of one checkout from running at the same time, as when `npm start` and `npm test` are started together.
import { mkdirSync, readFileSync, rmSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const owner = `${process.pid} ${hostname()} ${startOf(process.pid)}`;

/** @param {number} pid @returns {string} when a process started, which tells it from a later one with the same number */
function startOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19] ?? "?";
  } catch {
    return "?";
  }
}

/** @param {unknown} error @returns {string} the system's code, such as EACCES, or "" */
export function codeOf(error) {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** @param {string} file @returns {string} its text, or "" where there is none */
function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** @param {string} file @returns {boolean} whether it was made, false: it is there already */
function create(file) {
  try {
    writeFileSync(file, owner, { flag: "wx" });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** @param {string} lock @returns {boolean} whether its owner is gone */
function staleLock(lock) {
  try {
    const age = Date.now() - statSync(lock).mtimeMs;
    const [pid, host, started] = read(lock).split(" ");
    if (started === undefined) return age > 10_000; // its owner died while writing it
    if (host !== hostname()) return age > 120_000; // a live owner touches it every few seconds
    return !isAlive(Number(pid)) || startOf(Number(pid)) !== started;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false; // given back just now
    throw error;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM"; // it lives, and is another user's
  }
}

/**
 * Removes a stale lock. Guarded by a second file, so that of several who wait none removes the lock of another.
 * @param {string} lock
 */
function removeStaleLock(lock) {
  const guard = `${lock}.guard`;
  if (!create(guard)) {
    // Held for no longer than the lines below take, unless its owner died in between.
    const made = statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > 10_000) rmSync(guard, { force: true });
    return;
  }
  try {
    if (staleLock(lock)) unlinkSync(lock);
  } finally {
    rmSync(guard, { force: true });
  }
}

/** @param {number} pid whose children, and theirs, are to end */
function endChildren(pid) {
  for (const child of read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number)) {
    endChildren(child);
    try {
      process.kill(child, "SIGTERM");
    } catch {} // it has ended
  }
}

/**
 * Waits until no other set-up runs, and keeps others out until this process ends.
 * @param {string} folder where the lock is kept; it is made
 */
export async function takeLock(folder) {
  const lock = join(folder, ".setup.lock");
  try {
    mkdirSync(folder, { recursive: true });
    for (let told = false; !create(lock); await sleep(100)) {
      if (staleLock(lock)) removeStaleLock(lock);
      else if (!told) {
        told = true;
        console.log(`another set-up is under way (process ${read(lock).split(" ")[0]}); waiting for it`);
      }
    }
  } catch (error) {
    // Where nothing can be written, nothing can be corrupted; the step that needs to write says so.
    if (["EACCES", "EROFS", "EPERM"].includes(codeOf(error))) return;
    throw error;
  }
  process.on("exit", () => read(lock) === owner && rmSync(lock, { force: true }));
  for (const [signal, status] of /** @type {const} */ ([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ]))
    process.on(signal, () => {
      // Who gives the lock back must not leave a compiler behind that still writes.
      endChildren(process.pid);
      process.exit(status);
    });
  setInterval(() => {
    const now = new Date();
    try {
      utimesSync(lock, now, now);
    } catch {} // somebody removed dist/
  }, 5_000).unref();
}
