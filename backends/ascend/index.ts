import type { Program } from "../../codegen/program.ts";
import type { Target } from "../../codegen/target.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { type Backend, type KernelSource, LackError, type LoadedLayer, type SourceTree } from "../backend.ts";
import type { Ability, Capability } from "../capability.ts";
import type { NativeHost, NativeMemory } from "../native-host.ts";
import { buildKey, cachedLibrary, cacheFolder } from "../toolchain/cache.ts";
import { buildLibrary, findCompiler, tryCompiler } from "../toolchain/compiler.ts";
import { emulated, emulatorBuild } from "./emulator-build.ts";
import { cppCompiler, supportHeaders } from "./support.ts";
import { ascendIsa, ascendTarget, type SocName } from "./target.ts";

export { ascendIsa, type SocName } from "./target.ts";

export interface AscendOptions {
  /** Where $CXX and the cache folder are looked up; the process's environment by default. */
  readonly env?: NodeJS.ProcessEnv;
  /** The chip that launches are made for and that the emulator stands for; 910B3 by default. */
  readonly soc?: SocName;
  /**
   * Decides the orders in which the emulator runs the blocks of a kernel, and the pipes of a block; 0 by default. Each run takes
   * the next one.
   */
  readonly seed?: number;
  /** How many seeds one run takes, one after the other: UNMOOR_ASCEND_SEEDS in the environment, or 1. */
  readonly seeds?: number;
  /**
   * A file that each run writes the modelled times of its instructions to, as Chrome trace JSON: UNMOOR_ASCEND_TRACE in the
   * environment, or none.
   */
  readonly trace?: string;
}

const emitter = () => import("../../codegen/emit/ascend/index.ts");
const interfaces = () => import("../../codegen/emit/c-family/interface.ts");

/**
 * The backend for Ascend NPUs: kernels as Ascend C in a CANN project. Here they run on the host emulator, never on hardware.
 * Faults that the emulator finds are thrown as errors that name kernel, block and line.
 */
export function createAscend<M extends NativeMemory>(host: NativeHost<M>, options: AscendOptions = {}): Backend {
  const env = options.env ?? process.env;
  const soc = options.soc ?? "910B3";
  const isa = ascendIsa(soc);

  const emit = async (program: Program): Promise<SourceTree> => {
    const { emitAscend } = await emitter();
    return new Map([...emitAscend(program, isa), ...supportHeaders()]);
  };

  const kernels = async (program: Program): Promise<ReadonlyMap<Kernel, KernelSource>> => {
    const { emitKernels, kernelPath } = await emitter();
    const emitted = emitKernels(program, isa);
    return new Map(
      [...emitted.prepare, ...emitted.kernels].map(({ kernel, text, local }) => {
        const memory = local.map(({ name, space, kind, position, bytes, count }) => ({
          name,
          space,
          use: `${kind} ${position}`,
          bytes: Math.ceil(bytes / 32) * 32, // as InitBuffer rounds
          count,
        }));
        return [kernel, { path: kernelPath(kernel), text, memory }];
      }),
    );
  };

  const load = async (program: Program): Promise<LoadedLayer> => {
    const compiler = await findCompiler(cppCompiler, env);
    const [{ emulatorHost }, { cInterface }] = await Promise.all([emitter(), interfaces()]);
    const { prefix } = cInterface(program);
    const sources = new Map(
      [...(await emit(program))].filter(
        ([path]) => /\.(h|cpp)$/.test(path) && path !== `${prefix}_launch.cpp` && path !== "main.cpp",
      ),
    );
    const { flags, objects, key } = await emulatorBuild(compiler, env);
    const build = () =>
      buildLibrary(compiler, sources, ["-shared", "-I.", ...flags], [emulatorHost, ...objects], emulated);
    const library = host.openLibrary(await cachedLibrary(cacheFolder("ascend", env), buildKey(sources, [key]), build));
    await library.run(`${prefix}_seed`, [], [options.seed ?? 0, options.seeds ?? seedsOf(env)]);
    const trace = Buffer.from(options.trace ?? env.UNMOOR_ASCEND_TRACE ?? "");
    if (trace.length > 0) await library.run(`${prefix}_trace`, [trace], [trace.length]);
    const { NativeLayer } = await import("../toolchain/native-layer.ts");
    return new NativeLayer(host, library, program, {
      evidence: "emulated",
      device: `Ascend emulator (${soc}, ${isa.name})`,
      tools: { [compiler.command.join(" ")]: compiler.version },
      failure: (symbol, status) => failure(symbol, status, () => library.text(`${prefix}_error`)),
    });
  };

  return {
    name: "ascend",
    isas: [ascendTarget.isa],
    target(name: string): Target {
      if (name === ascendTarget.isa) return ascendTarget;
      throw new IrError(`ascend has no variant "${name}"`, `Use ${ascendTarget.isa}.`);
    },
    bestIsa: async () => ascendTarget.isa,
    emit,
    usesGoldenData: true,
    kernels,
    load,
    probe: async (): Promise<Capability> => ({
      target: "ascend",
      compile: { ok: true, how: "Ascend C as text, in a project for CANN 8" },
      run: {
        ok: false,
        why: "no CANN and no NPU here",
        mend: "build the project of `unmoor compile --target ascend` on a machine with CANN 8 and an Ascend 910B or 910C",
      },
      emulate: await emulation(),
    }),
  };

  async function emulation(): Promise<Ability> {
    try {
      const compiler = await findCompiler(cppCompiler, env);
      const { command, version } = compiler;
      const works = ["works.cpp", "#include <cstdint>\n#include <thread>\nint works() { return 0; }\n"] as const;
      await tryCompiler(compiler, works, ["-std=c++17", "-fPIC", "-shared"], emulated);
      host.NativeMemory.allocate(64).free();
      return { ok: true, how: `host emulator of Ascend C, built by ${command.join(" ")}: ${version}` };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { ok: false, why, mend: error instanceof LackError ? error.mend : "npm run setup" };
    }
  }
}

function seedsOf(env: NodeJS.ProcessEnv): number {
  const text = env.UNMOOR_ASCEND_SEEDS ?? "1";
  const seeds = Number(text);
  if (!Number.isSafeInteger(seeds) || seeds < 1)
    throw new IrError(
      `UNMOOR_ASCEND_SEEDS has to be a whole number of at least 1, found "${text}"`,
      "Unset it, or give the number of orders of the pipes that each run of the emulator tries.",
    );
  return seeds;
}

function failure(symbol: string, status: number, report: () => string | null): Error {
  if (status === 3) return new Error(`the Ascend emulator found a fault in ${report() ?? symbol}`);
  const words = { 1: "a buffer is null", 2: "a dimension is negative" }[status] ?? "an unknown status";
  return new Error(`${symbol} returned ${status}: ${words}`);
}
