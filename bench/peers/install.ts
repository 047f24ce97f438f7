import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { LackError } from "../../backends/backend.ts";
import { installFolder } from "../../runtime/version.ts";

const run = promisify(execFile);

/** Where the peers' own package.json and lock are, and where they are installed. */
export const peersFolder = (): string => join(installFolder(), "bench", "peers");

const modules = (): string => join(peersFolder(), "node_modules");

/** Requires a module of an installed peer. */
export const requirePeer = (name: string): unknown => createRequire(join(peersFolder(), "package.json"))(name);

/** The folder of ggml's prebuilt libraries. */
export const ggmlLibraries = (): string => join(modules(), "@node-llama-cpp", "linux-x64", "bins", "linux-x64");

/** The folder of ggml's headers. */
export const ggmlHeaders = (): string => join(modules(), ".llama.cpp", "ggml", "include");

/** The file name of the library that loads ggml's backends: it has a version in it. */
export function ggmlLoader(): string {
  const found = readdirSync(ggmlLibraries()).find((name) => /^libggml\.(v[\d.]+\.)?so$/.test(name));
  if (found === undefined) throw new Error(`no libggml.*.so in ${ggmlLibraries()}`);
  return found;
}

/** The version of an installed peer. */
export function peerVersion(name: string): string {
  const file = join(modules(), name, "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

interface PeersPackage {
  /** The package that carries ggml's sources, and the hash of its archive. */
  readonly sources: { readonly package: string; readonly integrity: string };
}

/** Installs the peers as their package.json and lock say, unless they are there. Their own install scripts do not run. */
export async function installPeers(note: (text: string) => void): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new LackError("the peers are pinned for Linux on x86-64", "run the bench there");
  const folder = peersFolder();
  const [wanted, lock] = ["package.json", "package-lock.json"].map((name) => readFileSync(join(folder, name), "utf8"));
  const pinned = `${wanted}${lock}`;
  const stamp = join(modules(), ".unmoor-stamp");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === pinned) return;
  note("installing llama.cpp and ONNX Runtime into bench/peers/node_modules: some 350 MB, once");
  await orLack("with the network at hand, run: npm ci --ignore-scripts", async () => {
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
  });
  await orLack("apt-get install -y git tar, and have the network at hand", async () => {
    await unpackHeaders((JSON.parse(wanted ?? "") as PeersPackage).sources);
  });
  writeFileSync(stamp, pinned);
}

/** Takes ggml's headers out of the sources that a package carries as a git bundle. That package itself, with its many dependencies, is not installed. */
async function unpackHeaders(sources: PeersPackage["sources"]): Promise<void> {
  const folder = mkdtempSync(join(modules(), ".archive-"));
  try {
    await run("npm", ["pack", sources.package, "--pack-destination", folder], { cwd: folder });
    const [archive = ""] = readdirSync(folder);
    const hash = createHash("sha512")
      .update(readFileSync(join(folder, archive)))
      .digest("base64");
    if (`sha512-${hash}` !== sources.integrity)
      throw new Error(`${archive} has the hash sha512-${hash}, expected ${sources.integrity}`);
    const bundle = join("package", "llama", "gitRelease.bundle");
    await run("tar", ["-xzf", join(folder, archive), "-C", folder, bundle]);
    const repository = join(modules(), ".llama.cpp");
    await run("git", ["clone", "--quiet", "--no-checkout", join(folder, bundle), repository]);
    await run("git", ["-C", repository, "checkout", "--quiet", "HEAD", "--", "ggml/include"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function orLack(mend: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const said = error instanceof Error ? error.message.split("\n").slice(0, 3).join(" ") : String(error);
    throw new LackError(`the peers could not be installed in ${peersFolder()}: ${said}`, mend);
  }
}
