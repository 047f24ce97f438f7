import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { dirname } from "node:path";
import { LackError } from "../backends/backend.ts";

/** Bytes that a process may still take: what the system says is available, and no more than a container allows. */
export function availableMemory(): number {
  const system = kilobytes(textOf("/proc/meminfo"), "MemAvailable") ?? freemem();
  const limit = Number(textOf("/sys/fs/cgroup/memory.max"));
  const used = Number(textOf("/sys/fs/cgroup/memory.current"));
  return limit > 0 && used > 0 ? Math.min(system, limit - used) : system;
}

/** Bytes of this machine's last cache, which cores share; undefined where the system does not tell. */
export function lastCacheBytes(): number | undefined {
  const size = /^(\d+)K$/.exec(textOf("/sys/devices/system/cpu/cpu0/cache/index3/size").trim());
  return size?.[1] === undefined ? undefined : Number(size[1]) * 1024;
}

/** Free bytes on the disk that holds a folder, or holds the nearest folder above it that exists. */
export async function availableDisk(folder: string): Promise<number> {
  for (let at = folder; ; at = dirname(at)) {
    const status = await statfs(at).catch(() => undefined);
    if (status) return status.bavail * status.bsize;
    if (at === dirname(at)) return 0;
  }
}

/**
 * Throws LackError where memory for some work is lacking.
 * @param bytes an estimate of what the work takes at most
 */
export function requireMemory(bytes: number, what: string, mend: string): void {
  const available = availableMemory();
  if (bytes <= available) return;
  throw new LackError(`${what} needs about ${gigabytes(bytes)} of memory, and ${gigabytes(available)} are free`, mend);
}

/** A size for people: 1.2 GB, 640 MB. */
export const gigabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function kilobytes(text: string, name: string): number | undefined {
  const [, value] = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text) ?? [];
  return value === undefined ? undefined : Number(value) * 1024;
}
