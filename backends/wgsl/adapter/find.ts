/// <reference types="@webgpu/types" />
import { isMainThread } from "node:worker_threads";
import { LackError } from "../../backend.ts";
import { ADAPTER_KINDS, ADAPTER_VARIABLE, type AdapterKind, isSoftware } from "./info.ts";
import { isLavapipe, lavapipeDriver, loadVulkan, systemDrivers, systemHasVulkan, withDriver } from "./loader.ts";
import { type DawnClasses, pauseBetweenPolls } from "./polling.ts";
import { hasSwiftShader, installSwiftShader } from "./swiftshader.ts";

/** What a user may ask for. */
export type AdapterChoice = AdapterKind | "auto";

/** An adapter, with the Dawn instance that it lives in. */
export interface FoundAdapter {
  readonly kind: AdapterKind;
  /** Must be kept alive for as long as a device of it lives. */
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
}

const LAVAPIPE_MEND = "install Mesa 25 or newer; on Debian 12, from its backports: node bin/setup.js --lavapipe";

/**
 * What is asked for: by the caller, else by the environment variable UNMOOR_ADAPTER, else `auto`.
 * @throws LackError for an unknown name
 */
export function chooseAdapter(asked?: AdapterChoice): AdapterChoice {
  if (asked !== undefined && asked !== "auto") return check(asked, "the option adapter");
  const stated = process.env[ADAPTER_VARIABLE];
  return stated === undefined || stated === "" ? "auto" : check(stated, `the environment variable ${ADAPTER_VARIABLE}`);
}

function check(name: string, where: string): AdapterChoice {
  const known = [...ADAPTER_KINDS, "auto"] as const;
  const found = known.find((each) => each === name);
  if (found !== undefined) return found;
  throw new LackError(
    `${where} names the unknown WebGPU adapter "${name}": expected ${known.join(", ")}`,
    `set it to one of these, or leave it out`,
  );
}

/**
 * Finds an adapter: a real GPU, else SwiftShader, else lavapipe; or the one that is asked for, and no other.
 * @throws LackError saying for each adapter that was tried why it cannot be had
 */
export async function findAdapter(choice: AdapterChoice): Promise<FoundAdapter> {
  if (choice !== "auto") return requestAdapter(choice);
  const lacks: LackError[] = [];
  for (const kind of ADAPTER_KINDS) {
    try {
      if (kind === "system") mayHaveGpu();
      const found = await requestAdapter(kind);
      // A system may offer lavapipe as its only "GPU"; that one has its own, later turn.
      if (kind !== "system" || !found.software || driversAreNamed()) return found;
      lacks.push(new LackError("system: its driver computes on the CPU", "install the GPU's own driver"));
    } catch (error) {
      if (!(error instanceof LackError)) throw error;
      lacks.push(error);
    }
  }
  throw new LackError(
    `no WebGPU adapter can be had on this machine:\n${lacks.map((lack) => `  - ${lack.message}`).join("\n")}`,
    lacks.find((lack) => lack.message.startsWith(hasSwiftShader() ? "swiftshader" : "lavapipe"))?.mend ?? LAVAPIPE_MEND,
  );
}

/**
 * Asks one source for its adapter.
 * @throws LackError where it has none
 */
export async function requestAdapter(kind: AdapterKind): Promise<FoundAdapter> {
  const dawn = await loadDawn();
  const icd = await PREPARE[kind]();
  // A worker thread's process.env is a copy, which the Vulkan loader does not see.
  if (icd !== undefined && !isMainThread)
    throw new LackError(`${kind}: cannot be chosen from within a worker thread`, "open the device on the main thread");
  // Drivers are discovered within the call of requestAdapter, before its promise is returned.
  const { gpu, pending } = withDriver(icd, () => {
    const gpu = dawn.create([]);
    return { gpu, pending: gpu.requestAdapter({ powerPreference: "high-performance" }) };
  });
  const adapter = await pending.catch(() => null);
  if (adapter === null) throw NO_ADAPTER[kind](icd ?? "");
  const software = isSoftware(adapter.info);
  if (software) restBetweenPolls(dawn);
  return { kind, gpu, adapter, software };
}

/** Makes each source ready to be asked, and gives its driver file where one is to be forced. */
const PREPARE = {
  system: async () => {
    if (process.platform !== "linux") return undefined; // Metal and Direct3D need no loader
    if (systemHasVulkan()) return undefined;
    if (!driversAreNamed())
      throw new LackError(
        "system: no Vulkan on this system (libvulkan.so.1 is missing)",
        "install the Vulkan loader and the GPU's driver; on Debian: apt-get install -y libvulkan1 mesa-vulkan-drivers",
      );
    loadVulkan((await installSwiftShader()).loader);
    return undefined;
  },
  swiftshader: async () => {
    const { icd, loader } = await installSwiftShader().catch((error: unknown) => {
      throw error instanceof LackError ? new LackError(`swiftshader: ${error.message}`, error.mend) : error;
    });
    if (!systemHasVulkan()) loadVulkan(loader);
    return icd;
  },
  lavapipe: async () => {
    const icd = process.platform === "linux" ? lavapipeDriver() : undefined;
    if (icd === undefined)
      throw new LackError("lavapipe: not installed (no lvp_icd*.json among the Vulkan drivers)", LAVAPIPE_MEND);
    if (!systemHasVulkan()) loadVulkan((await installSwiftShader()).loader);
    return icd;
  },
} satisfies Record<AdapterKind, () => Promise<string | undefined>>;

const NO_ADAPTER = {
  system: () =>
    new LackError(
      "system: its GPU drivers offer no adapter that WebGPU can use",
      "install the GPU's own driver, or set UNMOOR_ADAPTER=swiftshader",
    ),
  swiftshader: (icd) =>
    new LackError(
      `swiftshader: its driver ${icd} offers no adapter`,
      "point XDG_CACHE_HOME at a folder that is not mounted noexec",
    ),
  lavapipe: (icd) =>
    new LackError(`lavapipe: the driver ${icd} offers no adapter; Mesa older than 25 is known not to`, LAVAPIPE_MEND),
} satisfies Record<AdapterKind, (icd: string) => LackError>;

/** Whether the user picked the system's drivers by a variable of the Vulkan loader. */
function driversAreNamed(): boolean {
  return [process.env.VK_DRIVER_FILES, process.env.VK_ICD_FILENAMES].some(
    (value) => value !== undefined && value !== "",
  );
}

/** Throws where the system has no driver but lavapipe: asking Dawn would print the loader's complaints. */
export function mayHaveGpu(): void {
  if (process.platform !== "linux" || !systemHasVulkan() || driversAreNamed()) return;
  if (systemDrivers().some((file) => !isLavapipe(file))) return;
  throw new LackError(
    "system: no Vulkan driver for a GPU is installed",
    "install the GPU's driver; on Debian for AMD and Intel: apt-get install -y mesa-vulkan-drivers",
  );
}

/** Once in a process. */
let rests = false;

function restBetweenPolls({ globals }: typeof import("webgpu")): void {
  if (rests) return;
  rests = true;
  pauseBetweenPolls(globals as unknown as DawnClasses);
}

async function loadDawn(): Promise<typeof import("webgpu")> {
  try {
    const dawn = await import("webgpu");
    // GPUBufferUsage and its like are globals in a browser; kernels' host code is the same in both places.
    for (const [name, value] of Object.entries(dawn.globals))
      if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    return dawn;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new LackError(
      `Dawn, the WebGPU implementation, does not load on ${process.platform} ${process.arch}: ${reason}`,
      "run npm ci; if the message names GLIBC or GLIBCXX, a newer Linux is needed (Debian 12 or later)",
    );
  }
}
