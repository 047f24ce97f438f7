import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findCompiler } from "../../backends/simd-c/toolchain.ts";
import { buildLibrary } from "../../backends/toolchain/compiler.ts";
import { type NativeLibrary, openLibrary } from "../../runtime/native.ts";
import { Arena } from "../arena.ts";
import { ggmlHeaders, ggmlLibraries, ggmlLoader, packages } from "./install.ts";
import type { LoadedPeer, Peer } from "./peer.ts";
import { bytesOf, gateUpOf, type Problem, requiredBytes } from "./problem.ts";
import type { Comparable } from "./shapes.ts";

/** ggml_type of each storage (ggml.h). */
const types = { f32: 0, bf16: 30, q8_0: 8, q4_0: 2 } as const satisfies Record<Comparable, number>;

const weighings = { all: 0, renormalised: 1, chosen: 2 } as const;

const nothing = new Uint8Array(64);

/** llama.cpp's MoE layer: a graph of its operators (ggml-layer.c) on the prebuilt libraries of node-llama-cpp. */
export const ggml: Peer = {
  name: "llama.cpp",
  async load(problem, threads) {
    const library = openLibrary(await build());
    const arena = new Arena();
    try {
      await call(library, "open", buffersOf(problem, arena), sizesOf(problem), threads);
    } catch (error) {
      library.close();
      arena.free();
      throw error;
    }
    const title = `llama.cpp of @node-llama-cpp/linux-x64 ${packages.version("@node-llama-cpp/linux-x64")}, ${library.text("peer_describe")}`;
    return loaded(library, arena, problem, threads, title);
  },
};

function loaded(library: NativeLibrary, arena: Arena, problem: Problem, threads: number, title: string): LoadedPeer {
  let tokens = 0;
  return {
    title,
    wake: async () => void (await call(library, "wake", [], [], threads)),
    rest: async () => void (await call(library, "rest", [], [])),
    async run(x, count) {
      tokens = count;
      await call(library, "give", [x], [count]);
      return call(library, "run", [], []);
    },
    async output() {
      const y = new Float32Array(tokens * problem.sizes.H);
      await call(library, "take", [y], []);
      return y;
    },
    async close() {
      await call(library, "close", [], []);
      library.close();
      arena.free();
    },
  };
}

/** Calls a function of ggml-layer.c. Returns its time in ns. */
async function call(
  library: NativeLibrary,
  name: string,
  buffers: readonly ArrayBufferView[],
  sizes: readonly number[],
  threads = 1,
): Promise<number> {
  const { status, nanoseconds } = await library.run(`peer_${name}`, buffers, sizes, { threads });
  if (status !== 0) throw new Error(`llama.cpp's layer cannot ${name}: status ${status}`);
  return nanoseconds[0] ?? 0;
}

function buffersOf(problem: Problem, arena: Arena): readonly Uint8Array[] {
  const folder = new TextEncoder().encode(`${ggmlLibraries()}\0`);
  const [gate, up] = gateUpOf(problem, arena)?.apart() ?? [nothing, nothing];
  const [gateBias, upBias] = gateUpOf(problem, arena, "Bias")?.apart() ?? [nothing, nothing];
  return [
    folder,
    requiredBytes(problem, "router"),
    bytesOf(problem, "routerBias") ?? nothing,
    gate,
    up,
    requiredBytes(problem, "down"),
    gateBias,
    upBias,
    bytesOf(problem, "downBias") ?? nothing,
  ];
}

function sizesOf({ sizes, shape, storage, weights }: Problem): readonly number[] {
  const { H, I, E, K } = sizes;
  const clamped = shape.activation === "clamped" ? 1 : 0;
  return [H, I, E, K, types[storage], weighings[shape.weigh], clamped, weights.has("downBias") ? 1 : 0];
}

let built: string | undefined;

/** Compiles ggml-layer.c against the headers and libraries of the package. Returns the library's path. */
async function build(): Promise<string> {
  if (built !== undefined) return built;
  const source = "ggml-layer.c";
  const [compiler, headers, libraries] = [await findCompiler(), ggmlHeaders(), ggmlLibraries()];
  const sources = new Map([[source, readFileSync(join(packages.folder, source), "utf8")]]);
  const args = ["-std=c11", "-O2", "-fPIC", "-shared", `-I${headers}`];
  const inputs = [
    source,
    `-L${libraries}`,
    "-l:libggml-base.so",
    `-l:${ggmlLoader()}`,
    `-Wl,-rpath,${libraries}`,
    "-lm",
  ];
  const what = { title: `the peer ${source}`, mend: "install gcc 10 or newer (apt-get install -y gcc)" };
  const bytes = await buildLibrary(compiler, sources, args, inputs, what);
  const folder = mkdtempSync(join(tmpdir(), "unmoor-peer-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  built = join(folder, "ggml-layer.so");
  writeFileSync(built, bytes, { mode: 0o700 });
  return built;
}
