import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** What /proc/cpuinfo says of the first processor. */
export interface CpuInfo {
  /** Instruction-set features by Linux's names: `avx2`, `avx512_vnni`; on aarch64 `asimd`, `sve`. */
  readonly features: ReadonlySet<string>;
  /** Who made it, as "GenuineIntel"; undefined where the file does not say. */
  readonly vendor: string | undefined;
  /** The processor's name; undefined where the file does not say, as on most aarch64. */
  readonly model: string | undefined;
}

/** Reads the text of /proc/cpuinfo. x86 names the features "flags", aarch64 "Features", RISC-V "isa". */
export function parseCpuInfo(text: string): CpuInfo {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    const key = line.slice(0, colon).trim();
    if (colon > 0 && !fields.has(key)) fields.set(key, line.slice(colon + 1).trim());
  }
  const features = fields.get("flags") ?? fields.get("Features") ?? fields.get("isa") ?? "";
  const implementer = fields.get("CPU implementer");
  const arm = implementer === undefined ? undefined : `ARM implementer ${implementer} part ${fields.get("CPU part")}`;
  return {
    features: new Set(features.split(/\s+/).filter(Boolean)),
    vendor: fields.get("vendor_id"),
    model: fields.get("model name") ?? arm,
  };
}

let own: CpuInfo | undefined;

function ownCpu(): CpuInfo {
  own ??= parseCpuInfo(readCpuInfo());
  return own;
}

function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return ""; // not Linux: no features are known, and none may be assumed
  }
}

/** The instruction-set features of this machine, by Linux's names; empty where the system does not tell. */
export function cpuFeatures(): ReadonlySet<string> {
  return ownCpu().features;
}

/** Who made this machine's processor, as in "GenuineIntel"; undefined where the system does not tell. */
export function cpuVendor(): string | undefined {
  return ownCpu().vendor;
}

/** The name of this machine's processor, as in "AMD EPYC 7763". */
export function cpuModel(): string {
  return ownCpu().model ?? cpus()[0]?.model ?? "unknown processor";
}
