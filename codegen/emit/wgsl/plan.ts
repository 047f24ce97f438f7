import { Dim } from "../../../ir/core/dim.ts";
import { formatSpan } from "../../../ir/core/span.ts";
import { dtypeBytes, type ElementType } from "../../../ir/core/types.ts";
import { type Cut, partsOf } from "../../parts/cut.ts";
import type { Launch } from "../../parts/launches.ts";
import { type Program, type ProgramBuffer, routingsOf } from "../../program.ts";
import type { Kernel } from "../../tile/types.ts";
import type { Indirect } from "./indirect.ts";
import type { WgslModule } from "./kernel.ts";
import { wgslFeatures } from "./language.ts";

/**
 * A sum of products: coefficient × the product of the factors' values, summed. Factors name run-time symbols. The value of
 * [{coefficient: 4, factors: ["T"]}, {coefficient: 4, factors: []}] at T = 3 is 16; that of [] is 0.
 */
type Polynomial = readonly { readonly coefficient: number; readonly factors: readonly string[] }[];

/** A program on WebGPU, as data: what to bind where, and how much of it to start. Written as plan.json. */
export interface LaunchPlan {
  readonly format: "unmoor-launch-plan";
  readonly version: 1;
  readonly name: string;
  readonly params: Readonly<Record<string, number>>;
  /** Run-time symbols that a run is given values for. */
  readonly symbols: readonly string[];
  readonly requires: {
    /** Features that a device is asked for, and those that the implementation of WGSL has. */
    readonly features: readonly string[];
    readonly languageFeatures: readonly string[];
    /** Lanes that every subgroup of the device has, at least; absent where kernels do not count on it. */
    readonly subgroupMinSize?: number;
    /** Limits by WebGPU's names; the device's limit is at least the largest of the values. */
    readonly limits: Readonly<Record<string, readonly Polynomial[]>>;
  };
  readonly buffers: readonly PlanBuffer[];
  /** Workspace: temporaries of one slot share memory, as they are never in use at the same time. */
  readonly slots: readonly { readonly bytes: readonly Polynomial[] }[];
  /** Run once when the weights are given. */
  readonly prepare: readonly PlanKernel[];
  /** Run at each call, in order. */
  readonly kernels: readonly PlanKernel[];
  readonly results: readonly { readonly name: string; readonly buffer: string }[];
  readonly routings: readonly { readonly ids: string; readonly weights: string }[];
}

interface PlanBuffer {
  readonly name: string;
  readonly dtype: ElementType;
  /** Row-major. */
  readonly dims: readonly Polynomial[];
  readonly bytes: Polynomial;
  readonly role: "input" | "weight" | "prepared" | "output" | "temporary";
  /** Position in `slots`, of a temporary. */
  readonly slot?: number;
  /** Of a weight in several buffers: it holds elements of the weight `of`, which has `elements` of them, from `first` on. */
  readonly part?: { readonly of: string; readonly first: number; readonly elements: number };
  /** First and last of the kernels, by their positions, that use it; absent where none does. */
  readonly lifetime?: readonly [number, number];
}

interface PlanKernel {
  /** Unique; kernels that work on parts of a weight have one module and a number after a dot. */
  readonly name: string;
  /** Path of the WGSL module, below the plan's folder. */
  readonly module: string;
  readonly entryPoint: string;
  readonly workgroupSize: number;
  /** Invocations per dimension of the grid, one for each block; numbered along x, then y of the dispatch. */
  readonly grid: readonly Polynomial[];
  /** Launched only where from ≤ the value of `of` < below (absent: no end): neighbours do the same for the other values. */
  readonly when?: { readonly of: Polynomial; readonly from: number; readonly below?: number };
  /**
   * Where the device has counted the workgroups that have work: three i32 from this byte of a buffer on. Those of the grid may be
   * started as well: the others return at once.
   */
  readonly indirect?: { readonly buffer: string; readonly offset: number };
  /** Storage buffers of group 0. */
  readonly bindings: readonly {
    readonly binding: number;
    readonly buffer: string;
    readonly access: "read" | "read_write";
  }[];
  /**
   * A uniform buffer of group 0 that holds the symbols as i32, in order; absent where the kernel uses none. `constants` are
   * the values of those that no run is given.
   */
  readonly symbols?: {
    readonly binding: number;
    readonly names: readonly string[];
    readonly constants: Readonly<Record<string, number>>;
  };
  /** What the kernel computes, and where in the layer's source it stands. */
  readonly origin: { readonly op: string; readonly summary: string; readonly source: string };
}

/** A kernel with the module printed for it. */
export interface PrintedKernel {
  /** As it is launched. */
  readonly kernel: Kernel;
  readonly path: string;
  readonly module: WgslModule;
  readonly launches: readonly Launch[];
  /** Where the device has counted its workgroups. */
  readonly indirect: Indirect | undefined;
}

const polynomial = (dim: Dim): Polynomial =>
  dim.terms.map(({ coefficient, factors }) => ({ coefficient, factors: [...factors] }));

/** The plan that runs the printed kernels of a program. */
export function makePlan(
  program: Program,
  cuts: ReadonlyMap<string, Cut>,
  prepare: readonly PrintedKernel[],
  kernels: readonly PrintedKernel[],
): LaunchPlan {
  const slotOf = new Map(program.memory.slots.flatMap((slot, i) => slot.buffers.map((name) => [name, i] as const)));
  const planned = (list: readonly PrintedKernel[]): PlanKernel[] => list.flatMap(planKernels);
  const [atLoad, atRun] = [planned(prepare), planned(kernels)];
  const describe = (name: string, b: ProgramBuffer, dims: readonly Dim[]): PlanBuffer => {
    const slot = b.role === "temporary" ? slotOf.get(b.name) : undefined;
    const uses = atRun.flatMap((k, i) =>
      k.indirect?.buffer === name || k.bindings.some(({ buffer }) => buffer === name) ? [i] : [],
    );
    const [first] = uses;
    return {
      name,
      dtype: b.dtype,
      dims: dims.map(polynomial),
      bytes: polynomial(dims.reduce((x, y) => x.times(y), Dim.of(dtypeBytes[b.dtype]))),
      role: b.role,
      ...(slot === undefined ? {} : { slot }),
      ...(first === undefined ? {} : { lifetime: [first, uses.at(-1) ?? first] as const }),
    };
  };
  const buffers = program.buffers.flatMap((b): PlanBuffer[] => {
    const cut = cuts.get(b.name);
    if (!cut) return [describe(b.name, b, b.dims)];
    const elements = cut.dims.reduce((x, y) => x * y, 1);
    return partsOf(cut).map(({ name, first, dims }) => ({
      ...describe(
        name,
        b,
        dims.map((d) => Dim.of(d)),
      ),
      part: { of: b.name, first, elements },
    }));
  });
  const all = [...atLoad, ...atRun];
  const bound = new Set(all.flatMap((k) => k.bindings.map((b) => b.buffer)));
  const bytes = unique(buffers.filter((b) => bound.has(b.name)).map((b) => b.bytes));
  const count = Math.max(0, ...all.map((k) => k.bindings.length));
  const workgroupSize = Math.max(1, ...all.map((k) => k.workgroupSize));
  const sharedBytes = Math.max(0, ...[...prepare, ...kernels].map((k) => k.module.sharedBytes));
  const subgroupLanes = Math.max(0, ...[...prepare, ...kernels].map((k) => k.module.subgroupLanes ?? 0));
  const features = [...new Set([...prepare, ...kernels].flatMap((k) => k.module.features))].sort();
  return {
    format: "unmoor-launch-plan",
    version: 1,
    name: program.name,
    params: program.params,
    symbols: program.symbols,
    requires: {
      features: features.filter((f) => wgslFeatures[f].ofDevice),
      languageFeatures: features.filter((f) => !wgslFeatures[f].ofDevice),
      ...(subgroupLanes > 0 ? { subgroupMinSize: subgroupLanes } : {}),
      limits: {
        maxStorageBuffersPerShaderStage: [[{ coefficient: count, factors: [] }]],
        maxStorageBufferBindingSize: bytes,
        maxBufferSize: unique([...bytes, ...program.memory.slots.flatMap((s) => s.bytes.map(polynomial))]),
        maxComputeInvocationsPerWorkgroup: [[{ coefficient: workgroupSize, factors: [] }]],
        ...(sharedBytes > 0 ? { maxComputeWorkgroupStorageSize: [[{ coefficient: sharedBytes, factors: [] }]] } : {}),
      },
    },
    buffers,
    slots: program.memory.slots.map((s) => ({ bytes: s.bytes.map(polynomial) })),
    prepare: atLoad,
    kernels: atRun,
    results: program.results,
    routings: routingsOf(program),
  };
}

/** A kernel's launches: one, or one for each combination of the parts of weights that it works on. */
function planKernels({ kernel, path, module, launches, indirect }: PrintedKernel): PlanKernel[] {
  const { op, summary, span } = kernel.origin;
  return launches.map(({ constants, parts }, i) => ({
    name: launches.length === 1 ? kernel.name : `${kernel.name}.${i}`,
    module: path,
    entryPoint: module.entryPoint,
    workgroupSize: module.workgroupSize,
    grid: kernel.grid.map((g) => polynomial(g.lanes ? padded(g.extent, module) : g.extent.substitute(constants))),
    ...(kernel.when ? { when: { ...kernel.when, of: polynomial(kernel.when.of) } } : {}),
    ...(indirect ? { indirect: { buffer: indirect.buffer, offset: 4 * indirect.first } } : {}),
    bindings: module.bindings.map(({ buffer, access }, binding) => ({
      binding,
      buffer: parts[buffer] ?? buffer,
      access,
    })),
    ...(module.symbols.length === 0
      ? {}
      : { symbols: { binding: module.bindings.length, names: module.symbols, constants: ownOf(module, constants) } }),
    origin: { op, summary, source: formatSpan(span) },
  }));
}

/** Lanes fill whole workgroups. */
const padded = ({ constant: lanes = 1 }: Dim, { workgroupSize }: WgslModule): Dim =>
  Dim.of(Math.ceil(lanes / workgroupSize) * workgroupSize);

const ownOf = ({ symbols }: WgslModule, constants: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(constants).filter(([name]) => symbols.includes(name)));

/** Without repetitions, and of the constants only the largest. */
function unique(values: readonly Polynomial[]): Polynomial[] {
  const symbolic = new Map<string, Polynomial>();
  let largest = 0;
  for (const value of values) {
    if (value.some((t) => t.factors.length > 0)) symbolic.set(JSON.stringify(value), value);
    else
      largest = Math.max(
        largest,
        value.reduce((a, t) => a + t.coefficient, 0),
      );
  }
  return [...(largest > 0 ? [[{ coefficient: largest, factors: [] }]] : []), ...symbolic.values()];
}
