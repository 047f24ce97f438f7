import { LackError } from "../../backend.ts";
import type { Ability, Capability } from "../../capability.ts";
import { type AdapterDescription, describeAdapter } from "./device.ts";
import {
  type AdapterChoice,
  chooseAdapter,
  type FoundAdapter,
  findAdapter,
  mayHaveGpu,
  requestAdapter,
} from "./find.ts";
import { ADAPTER_KINDS, type AdapterKind } from "./info.ts";
import { lavapipeDriver } from "./loader.ts";
import { hasSwiftShader, installSwiftShader } from "./swiftshader.ts";

/** A source of adapters, and what it gives on this machine. */
export type AdapterReport =
  | { readonly kind: AdapterKind; readonly ok: true; readonly description: AdapterDescription }
  | { readonly kind: AdapterKind; readonly ok: false; readonly why: string; readonly mend: string };

/** Asks every source of adapters what it gives on this machine. Never throws for a lack. */
export async function listAdapters(): Promise<AdapterReport[]> {
  const reports: AdapterReport[] = [];
  for (const kind of ADAPTER_KINDS) reports.push(await report(kind));
  return reports;
}

async function report(kind: AdapterKind): Promise<AdapterReport> {
  try {
    if (kind === "system") mayHaveGpu();
    return { kind, ok: true, description: describeAdapter(await requestAdapter(kind)) };
  } catch (error) {
    if (!(error instanceof LackError)) throw error;
    return { kind, ok: false, why: error.message, mend: error.mend };
  }
}

/**
 * Makes a software adapter ready, so that WGSL runs on a machine without a GPU: unpacks SwiftShader, or finds lavapipe
 * where SwiftShader is not built for the machine.
 * @throws LackError where neither can be had
 */
export async function ensureSoftwareAdapter(): Promise<{ name: string; folder: string; installed: boolean }> {
  if (!hasSwiftShader()) {
    const found = await requestAdapter("lavapipe");
    return { name: describeAdapter(found).name, folder: lavapipeDriver() ?? "", installed: false };
  }
  const { folder, installed } = await installSwiftShader();
  // What is there and whole was seen working when it was unpacked.
  if (installed) await requestAdapter("swiftshader");
  return { name: "SwiftShader", folder, installed };
}

/** What this machine can do with WGSL. */
export async function probeWebGpu(): Promise<Capability> {
  const choice = chooseAdapter();
  const best = await attempt(() => findAdapter(choice));
  const hardware = best.found !== undefined && !best.found.software;
  const software = hardware ? await attempt(() => findSoftware(choice)) : best;
  return {
    target: "wgsl",
    compile: { ok: true, how: "WGSL is text; the device compiles it when it is loaded" },
    run: hardware
      ? best.ability
      : {
          ok: false,
          why: "no GPU that WebGPU can use",
          mend: "install the GPU's Vulkan driver; on Debian for AMD and Intel: apt-get install -y libvulkan1 mesa-vulkan-drivers",
        },
    emulate: software.ability,
  };
}

async function attempt(find: () => Promise<FoundAdapter>): Promise<{ found?: FoundAdapter; ability: Ability }> {
  try {
    const found = await find();
    const { name, backend } = describeAdapter(found);
    return { found, ability: { ok: true, how: `${name} by ${backend}` } };
  } catch (error) {
    if (!(error instanceof LackError)) throw error;
    return { ability: { ok: false, why: error.message, mend: error.mend } };
  }
}

async function findSoftware(choice: AdapterChoice): Promise<FoundAdapter> {
  if (choice === "auto") return requestAdapter(hasSwiftShader() ? "swiftshader" : "lavapipe");
  throw new LackError(`UNMOOR_ADAPTER allows only the adapter "${choice}", which is a GPU`, "unset UNMOOR_ADAPTER");
}
