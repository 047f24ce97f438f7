import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir, constants as os } from "node:os";
import { delimiter, join } from "node:path";
import { LackError } from "../../backend.ts";

const SONAME = "libvulkan.so.1";
/** glibc's flag "keep it mapped when it is closed"; Node has no name for it. */
const RTLD_NODELETE = 0x1000;

/** The variables by which a Vulkan loader picks drivers; a driver is forced by setting the first two. */
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"];
const FILTER_VARIABLES = ["VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE"];

/** Whether the dynamic linker finds a Vulkan loader on this system. */
export function systemHasVulkan(): boolean {
  const stated = (process.env.LD_LIBRARY_PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  if (stated.some((folder) => existsSync(join(folder, SONAME)))) return true;
  try {
    return readFileSync("/etc/ld.so.cache").includes(SONAME);
  } catch {
    return false;
  }
}

/** The driver files (ICDs) that the system's Vulkan loader would read, or that the user named. */
export function systemDrivers(): string[] {
  const named = DRIVER_VARIABLES.flatMap((name) => (process.env[name] ?? "").split(delimiter)).filter(
    (path) => path !== "",
  );
  if (named.length > 0) return named;
  return driverFolders().flatMap((folder) => {
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.filter((name) => name.endsWith(".json")).map((name) => join(folder, name));
  });
}

/** The system's driver file of Mesa's lavapipe for this architecture. */
export function lavapipeDriver(): string | undefined {
  const files = systemDrivers().filter(isLavapipe);
  const machine = process.arch === "x64" ? "x86_64" : process.arch === "arm64" ? "aarch64" : process.arch;
  // Debian's newer file has no architecture in its name.
  return files.find((file) => file.includes(machine)) ?? files.find((file) => /lvp_icd\.json$/.test(file));
}

/** Whether a driver file is lavapipe's. */
export function isLavapipe(file: string): boolean {
  return /(^|\/)lvp_icd[^/]*\.json$/.test(file);
}

function driverFolders(): string[] {
  const split = (value: string | undefined, standard: string) => (value || standard).split(delimiter);
  const roots = [
    ...split(process.env.XDG_CONFIG_HOME, join(homedir(), ".config")),
    ...split(process.env.XDG_CONFIG_DIRS, "/etc/xdg"),
    "/etc",
    ...split(process.env.XDG_DATA_HOME, join(homedir(), ".local", "share")),
    ...split(process.env.XDG_DATA_DIRS, "/usr/local/share:/usr/share"),
  ];
  return [...new Set(roots)].map((root) => join(root, "vulkan", "icd.d"));
}

/**
 * Maps a Vulkan loader into this process, so that Dawn, which asks the dynamic linker for "libvulkan.so.1", finds it.
 *
 * LD_LIBRARY_PATH is read only when a process starts, so it cannot help here. `process.dlopen` maps the library and then
 * throws, because it is no Node addon, and closes it again; RTLD_NODELETE keeps it mapped all the same.
 * @throws LackError where the library cannot be mapped
 */
export function loadVulkan(library: string): void {
  if (isMapped(library)) return;
  let reason = "it did not stay mapped";
  try {
    process.dlopen({ exports: {} }, library, os.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    if (error instanceof Error) reason = error.message;
  }
  if (isMapped(library)) return;
  throw new LackError(
    `the Vulkan loader ${library} cannot be loaded: ${reason}`,
    `install the system's own: apt-get install -y libvulkan1; or, if that folder is mounted noexec, point XDG_CACHE_HOME elsewhere`,
  );
}

function isMapped(library: string): boolean {
  return readFileSync("/proc/self/maps", "utf8").includes(library);
}

/**
 * Calls `discover` with the Vulkan loader confined to one driver file; undefined: as the environment is.
 * Only what `discover` does before it returns is confined: the environment is then as before, also for child processes.
 */
export function withDriver<T>(icd: string | undefined, discover: () => T): T {
  if (icd === undefined) return discover();
  const before = new Map([...DRIVER_VARIABLES, ...FILTER_VARIABLES].map((name) => [name, process.env[name]]));
  for (const name of before.keys()) delete process.env[name];
  process.env.VK_DRIVER_FILES = icd;
  process.env.VK_ICD_FILENAMES = icd; // the older name, for older loaders
  try {
    return discover();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
