import { availableParallelism } from "node:os";
import type { CpuMaker, VectorIsa } from "../../codegen/emit/c/index.ts";
import type { Program } from "../../codegen/program.ts";
import type { Target } from "../../codegen/target.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { type Backend, type KernelSource, LackError, type LoadedLayer, type SourceTree } from "../backend.ts";
import type { Ability, Capability } from "../capability.ts";
import type { NativeHost, NativeMemory } from "../native-host.ts";
import { buildKey, cachedLibrary, cacheFolder } from "../toolchain/cache.ts";
import { supportHeaders } from "./support.ts";
import { isaNames, scalar, simdTarget, simdTunings, vectorIsa } from "./targets.ts";
import { buildLibrary, findCompiler, libraryFlags, tryCompiler } from "./toolchain.ts";

const emitter = () => import("../../codegen/emit/c/index.ts");
const interfaces = () => import("../../codegen/emit/c-family/interface.ts");

const statuses: Readonly<Record<number, string>> = {
  1: "a buffer is null or misaligned",
  2: "a dimension is negative or the number of threads is below 1",
};

export interface SimdCOptions {
  /** Where $CC, the cache folder and so on are looked up; the process's environment by default. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Those who make CPUs, by what CPUID calls them. */
const makers: ReadonlyMap<string, CpuMaker> = new Map([
  ["GenuineIntel", "intel"],
  ["AuthenticAMD", "amd"],
]);

/** The backend that compiles layers to C11 with intrinsics, builds them with the machine's compiler and runs them natively. */
export function createSimdC<M extends NativeMemory>(host: NativeHost<M>, options: SimdCOptions = {}): Backend {
  const env = options.env ?? process.env;
  const threads = availableParallelism();
  const device = `${host.cpuModel()}, ${threads} thread${threads === 1 ? "" : "s"}`;

  const lacking = (isa: VectorIsa): readonly string[] => {
    const features = host.cpuFeatures();
    const needed = [...isa.features, ...isa.instructions.flatMap((i) => i.features ?? [])];
    return [...new Set(needed)].filter((f) => !features.has(f));
  };
  const requireFeatures = (isa: VectorIsa): void => {
    const missing = lacking(isa);
    if (missing.length === 0) return;
    throw new LackError(
      `this CPU (${host.cpuModel()}) cannot run ISA ${isa.name}: it lacks ${missing.join(", ")}`,
      `choose an ISA that it has: --isa ${runnable().join(" or --isa ")}`,
    );
  };
  const runnable = (): readonly string[] => isaNames.filter((name) => lacking(vectorIsa(name)).length === 0);

  const emit = async (program: Program, target: Target): Promise<SourceTree> => {
    const { emitC } = await emitter();
    const isa = vectorIsa(target.isa);
    return new Map([...emitC(program, isa, scalar), ...supportHeaders([isa, scalar])]);
  };

  const kernels = async (program: Program, target: Target): Promise<ReadonlyMap<Kernel, KernelSource>> => {
    const [{ emitSource }, { cInterface }] = await Promise.all([emitter(), interfaces()]);
    const path = `${cInterface(program).prefix}.c`;
    const emitted = emitSource(program, vectorIsa(target.isa), scalar);
    return new Map([...emitted.kernels].map(([kernel, text]) => [kernel, { path, text, memory: [] }]));
  };

  const load = async (program: Program, target: Target): Promise<LoadedLayer> => {
    const isa = vectorIsa(target.isa);
    requireFeatures(isa);
    const compiler = await findCompiler(env);
    const sources = await emit(program, target);
    const { cInterface } = await interfaces();
    const settings = [...compiler.command, compiler.version, ...libraryFlags(isa, compiler.version)];
    // The self-test and the Makefile change nothing in the library.
    const used = new Map([...sources].filter(([path]) => /\.[ch]$/.test(path) && path !== "selftest.c"));
    const build = () => buildLibrary(compiler, isa, used, `${cInterface(program).prefix}.c`);
    const path = await cachedLibrary(cacheFolder("simd-c", env), buildKey(used, settings), build);
    const { NativeLayer } = await import("../toolchain/native-layer.ts");
    return new NativeLayer(host, host.openLibrary(path), program, {
      tools: { [compiler.command.join(" ")]: compiler.version },
      evidence: "measured",
      device: `${device}, ${isa.title}`,
      failure: (symbol, status) =>
        new Error(`${symbol} returned ${status}: ${statuses[status] ?? "an unknown status"}`),
    });
  };

  const bestIsa = async (): Promise<string> => {
    const [first] = runnable();
    const maker = makers.get(host.cpuVendor() ?? "");
    const faster = first && maker && vectorIsa(first).faster?.[maker];
    const best = faster ?? first;
    if (best === undefined) throw new LackError("this CPU runs none of the simd-c ISAs", "run on x86-64 or aarch64");
    return best;
  };

  return {
    name: "simd-c",
    isas: isaNames,
    target: simdTarget,
    tunings: simdTunings,
    deviceName: async () => device,
    bestIsa,
    emit,
    emitVariants: async (programs) => {
      const { emitVariants } = await emitter();
      const variants = [...programs].map(([name, program]) => ({ isa: vectorIsa(name), program }));
      return new Map([
        ...emitVariants(variants, scalar),
        ...supportHeaders([scalar, ...variants.map((v) => v.isa)], ["unmoor_cpu.h"]),
      ]);
    },
    kernels,
    load,
    probe: async (): Promise<Capability> => {
      const emulate: Ability = { ok: false, why: "simd-c runs on the CPU itself", mend: "none is needed" };
      try {
        const compiler = await findCompiler(env);
        const { command, version } = compiler;
        const isa = await bestIsa();
        await tryCompiler(compiler, vectorIsa(isa));
        host.NativeMemory.allocate(64).free();
        return {
          target: "simd-c",
          compile: { ok: true, how: `${command.join(" ")}: ${version}` },
          run: {
            ok: true,
            how: `${host.cpuModel()}, ${vectorIsa(isa).title} (also ${runnable()
              .filter((name) => name !== isa)
              .join(", ")})`,
          },
          emulate,
        };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const lack: Ability = { ok: false, why, mend: error instanceof LackError ? error.mend : "npm run setup" };
        const compile: Ability =
          error instanceof LackError ? lack : { ok: true, how: "the C compiler of this machine" };
        return { target: "simd-c", compile, run: lack, emulate };
      }
    },
  };
}
