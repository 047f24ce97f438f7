import { type Backend, LackError } from "../backends/backend.ts";
import { type TargetName, targetNames } from "../codegen/target.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import { noSpan } from "../ir/core/span.ts";

/** How each backend is made. Only what a command needs is imported. */
const loaders = {
  "simd-c": async () => {
    const [{ createSimdC }, native] = await Promise.all([import("../backends/simd-c/index.ts"), import("./native.ts")]);
    return createSimdC(native);
  },
  wgsl: async () => (await import("../backends/wgsl/index.ts")).createWgsl(),
  ascend: async () => {
    const [{ createAscend }, native] = await Promise.all([
      import("../backends/ascend/index.ts"),
      import("./native.ts"),
    ]);
    return createAscend(native);
  },
} satisfies Record<TargetName, () => Promise<Backend>>;

const made = new Map<TargetName, Promise<Backend>>();

/** The backend of a target, made at the first call. */
export function loadBackend(name: TargetName): Promise<Backend> {
  let backend = made.get(name);
  if (!backend) {
    backend = loaders[name]();
    made.set(name, backend);
  }
  return backend;
}

export type BackendSource = (name: TargetName) => Promise<Backend>;

/** A backend with the variant to compile for. */
export interface ChosenTarget {
  readonly backend: Backend;
  readonly isa: string;
  /** Folder of tuning records; absent where they are not asked. */
  readonly records?: string;
}

/** A target that this machine cannot do, why, and what mends it. */
export interface SkippedTarget {
  readonly target: TargetName;
  readonly why: string;
  readonly mend: string;
}

/**
 * The variant of each target: the named one where the target has it, else the best. A target whose code is only written
 * (`need` is "emit") takes its first variant where this machine runs none.
 * @throws DiagnosticError where no target has the named variant, LackError where this machine runs no variant of a target
 */
export async function chooseTargets(
  source: BackendSource,
  names: readonly TargetName[],
  isa: string | undefined,
  need: "emit" | "run",
): Promise<ChosenTarget[]> {
  const backends = await Promise.all(names.map(source));
  checkIsa(backends, isa);
  return Promise.all(backends.map(async (backend) => ({ backend, isa: await variant(backend, isa, need) })));
}

/**
 * All targets that this machine runs or emulates, and those that it does not.
 * @throws DiagnosticError where no target has the named variant, LackError where this machine runs no target
 */
export async function runnableTargets(
  source: BackendSource,
  isa: string | undefined,
): Promise<{ readonly chosen: ChosenTarget[]; readonly skipped: SkippedTarget[] }> {
  const chosen: ChosenTarget[] = [];
  const skipped: SkippedTarget[] = [];
  const backends = await Promise.all(targetNames.map(source));
  checkIsa(backends, isa);
  for (const backend of backends) {
    const { compile, run, emulate } = await backend.probe();
    const lack = !compile.ok ? compile : run.ok || emulate.ok ? undefined : emulate;
    if (lack) skipped.push({ target: backend.name, why: lack.why, mend: lack.mend });
    else chosen.push({ backend, isa: await variant(backend, isa, "run") });
  }
  if (chosen.length > 0) return { chosen, skipped };
  throw new LackError(
    `this machine runs no target: ${skipped.map((s) => `${s.target}: ${s.why}`).join("; ")}`,
    skipped[0]?.mend ?? "npm run setup",
  );
}

async function variant(backend: Backend, isa: string | undefined, need: "emit" | "run"): Promise<string> {
  if (isa !== undefined && backend.isas.includes(isa)) return isa;
  const [first, second] = backend.isas;
  if (first !== undefined && second === undefined) return first;
  try {
    return await backend.bestIsa();
  } catch (error) {
    if (need === "emit" && first !== undefined && error instanceof LackError) return first;
    throw error;
  }
}

function checkIsa(backends: readonly Backend[], isa: string | undefined): void {
  if (isa === undefined || backends.some((b) => b.isas.includes(isa))) return;
  const expected = backends.map((b) => `${b.isas.join(", ")} (${b.name})`).join("; ");
  throw new DiagnosticError([
    {
      code: "U407",
      span: noSpan,
      message: `no chosen target has the variant ${isa}`,
      expected,
      found: isa,
      help: "Give one of these to --isa, or leave --isa out for the best that this machine runs.",
    },
  ]);
}
