import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LackError } from "../../backends/backend.ts";
import { orLack, peerPackages, run } from "../peer-packages.ts";

/** llama.cpp and ONNX Runtime, as they are pinned beside this file. */
export const packages = peerPackages("peers");
const { folder: peersFolder, modules } = packages;

/** The folder of ggml's prebuilt libraries. */
export const ggmlLibraries = (): string => join(modules, "@node-llama-cpp", "linux-x64", "bins", "linux-x64");

/** The folder of ggml's headers. */
export const ggmlHeaders = (): string => join(modules, ".llama.cpp", "ggml", "include");

/** The file name of the library that loads ggml's backends: it has a version in it. */
export function ggmlLoader(): string {
  const found = readdirSync(ggmlLibraries()).find((name) => /^libggml\.(v[\d.]+\.)?so$/.test(name));
  if (found === undefined) throw new Error(`no libggml.*.so in ${ggmlLibraries()}`);
  return found;
}

interface PeersPackage {
  /** The package that carries ggml's sources, and the hash of its archive. */
  readonly sources: { readonly package: string; readonly integrity: string };
}

/** Installs the peers as their package.json and lock say, unless they are there. */
export async function installPeers(note: (text: string) => void): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new LackError("the peers are pinned for Linux on x86-64", "run the bench there");
  if (packages.installed()) return;
  note("installing llama.cpp and ONNX Runtime into bench/peers/node_modules: some 350 MB, once");
  await packages.install(() =>
    orLack(peersFolder, "apt-get install -y git tar, and have the network at hand", () =>
      unpackHeaders((packages.manifest as PeersPackage).sources),
    ),
  );
}

/** Takes ggml's headers out of the sources that a package carries as a git bundle. That package itself, with its many dependencies, is not installed. */
async function unpackHeaders(sources: PeersPackage["sources"]): Promise<void> {
  const folder = mkdtempSync(join(modules, ".archive-"));
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
    const repository = join(modules, ".llama.cpp");
    await run("git", ["clone", "--quiet", "--no-checkout", join(folder, bundle), repository]);
    await run("git", ["-C", repository, "checkout", "--quiet", "HEAD", "--", "ggml/include"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
