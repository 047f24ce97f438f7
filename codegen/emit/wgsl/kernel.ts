import { formatSpan } from "../../../ir/core/span.ts";
import { LaneNames } from "../../tile/lanes.ts";
import { sharesMemory } from "../../tile/shape.ts";
import { formatRange } from "../../tile/text.ts";
import type { GridCoordinate, Kernel } from "../../tile/types.ts";
import { add, type Code, constant, expression, primary, print, times } from "./code.ts";
import { type Assumptions, Context, guaranteedBytes } from "./context.ts";
import { type WgslFeature, type WgslLanguage, wgslFeatures } from "./language.ts";
import { emitStatements } from "./statements.ts";

/** A kernel as a WGSL module. */
export interface WgslModule {
  readonly text: string;
  readonly entryPoint: string;
  /** Storage bindings in order: binding number = position. The symbols, where used, follow them as a uniform buffer. */
  readonly bindings: readonly { readonly buffer: string; readonly access: "read" | "read_write" }[];
  /** Run-time symbols in the uniform buffer, in order; empty where the kernel uses none. */
  readonly symbols: readonly string[];
  /** Bytes of arrays per invocation, at module level and within the function. */
  readonly arrayBytes: number;
  /** Whether they are within what WGSL guarantees. */
  readonly fits: boolean;
  /** Invocations per workgroup. */
  readonly workgroupSize: number;
  /** Bytes of memory that a workgroup shares. */
  readonly sharedBytes: number;
  /** What it enables. */
  readonly features: readonly WgslFeature[];
  /** Lanes that every subgroup has at least; absent where kernels need not know. */
  readonly subgroupLanes?: number;
}

/**
 * Prints a kernel: each invocation runs one block of the grid. The work of a grid is numbered along the first two dimensions
 * of the dispatch, because one dimension takes 65,535 workgroups only. Where a coordinate has lanes, a workgroup is some of
 * them, so that all else of its invocations is the same.
 * Throws IrError where WGSL without extensions cannot say what the kernel does.
 */
export function emitKernel(kernel: Kernel, symbols: readonly string[], language: WgslLanguage): WgslModule {
  const assumptions: Assumptions = { indexed: new Set(), byElement: new Set(), broken: false };
  for (;;) {
    assumptions.broken = false;
    const module = attempt(kernel, symbols, language, assumptions);
    if (!assumptions.broken) return module;
  }
}

function attempt(
  kernel: Kernel,
  symbols: readonly string[],
  language: WgslLanguage,
  assumptions: Assumptions,
): WgslModule {
  const isShared = sharesMemory(kernel);
  const context = new Context(language, assumptions, new LaneNames(kernel), isShared);
  const entryPoint = context.names.unique(kernel.name);
  const used = symbols.filter((name) => usesSymbol(kernel, name));
  const members = used.map((name) => ({ name, member: context.names.unique(name) }));
  for (const { name, member } of members) context.define(name, primary("i32", `symbols.${member}`, { natural: true }));
  const buffers = kernel.buffers.map((buffer) => ({ buffer, memory: context.buffer(buffer) }));
  for (const { buffer, memory } of buffers) context.define(buffer.name, memory);
  const lanes = kernel.grid.find((g) => g.lanes);
  const workgroupSize = workgroupSizeOf(kernel, language);
  if (lanes) emitLanes(context, kernel, lanes, workgroupSize);
  else emitGrid(context, kernel);
  emitStatements(context, kernel.body);

  const declarations = buffers.map(({ buffer, memory }, i) => {
    const access = buffer.access === "read" ? "read" : "read_write";
    const vectors = memory.vectors && context.byVector.has(buffer.name);
    const element = vectors ? context.vectorType(memory) : memory.packed ? "u32" : memory.type;
    const shape = `${buffer.dtype}[${buffer.dims.join(", ")}]`;
    return `/* ${shape} */ @group(0) @binding(${i}) var<storage, ${access}> ${memory.name}: array<${element}>;`;
  });
  let sharedBytes = 0;
  for (const { memory, count } of context.shared) {
    const { type, perElement } = context.elementsOf(memory);
    const length = Math.ceil(count / perElement);
    sharedBytes += Math.ceil((length * elementBytes[type]) / 16) * 16;
    context.declarations.push(`var<workgroup> ${memory.name}: array<${type}, ${length}>;`);
  }
  if (used.length > 0) {
    declarations.push(
      "",
      "struct Symbols {",
      ...members.map(({ member }) => `  ${member}: i32,`),
      "}",
      `@group(0) @binding(${buffers.length}) var<uniform> symbols: Symbols;`,
    );
  }
  const subgroups = context.features.has("subgroups");
  const builtins = [
    ...(lanes
      ? ["@builtin(workgroup_id) id: vec3<u32>", "@builtin(local_invocation_index) lane: u32"]
      : ["@builtin(global_invocation_id) id: vec3<u32>"]),
    "@builtin(num_workgroups) groups: vec3<u32>",
    ...(subgroups ? ["@builtin(subgroup_invocation_id) subgroup_lane: u32"] : []),
  ];
  const main = [
    `@compute @workgroup_size(${workgroupSize})`,
    `fn ${entryPoint}(${builtins.join(", ")}) {`,
    ...(context.sharing.has(4) ? ["  let quad = i32(subgroup_lane & 3u);"] : []),
    ...(context.sharing.has(8)
      ? ["  let octet = i32(subgroup_lane & 7u);", "  let eight = subgroup_lane - (subgroup_lane & 7u);"]
      : []),
    ...context.lines,
    "}",
  ];
  const features = [...context.features].sort();
  const text = [
    ...features.map((feature) => wgslFeatures[feature].directive),
    ...header(kernel),
    "",
    ...declarations,
    ...(context.declarations.length > 0 ? ["", ...context.declarations] : []),
    ...helpersOf(main.join("\n"), language).flatMap((h) => ["", h]),
    "",
    ...main,
    "",
  ].join("\n");
  return {
    text,
    entryPoint,
    bindings: kernel.buffers.map((b) => ({ buffer: b.name, access: b.access === "read" ? "read" : "read_write" })),
    symbols: used,
    arrayBytes: context.privateBytes + context.functionBytes,
    fits: context.functionBytes <= guaranteedBytes,
    workgroupSize,
    sharedBytes,
    features,
    ...(context.sharing.has(8) ? { subgroupLanes: 8 } : {}),
  };
}

/** Bytes of what shared memory is declared as. */
const elementBytes: Readonly<Record<string, number>> = {
  f32: 4,
  i32: 4,
  u32: 4,
  "vec2<u32>": 8,
  "vec4<f16>": 8,
  "vec4<f32>": 16,
};

/**
 * Invocations of a workgroup: all lanes where they share memory. Else few lanes take fewer invocations: whole quads, which are what
 * subgroups of any size have, or as many lanes as may read for each other.
 */
export function workgroupSizeOf(kernel: Kernel, { workgroupSize, subgroupLanes = 4 }: WgslLanguage): number {
  const lanes = kernel.grid.find((g) => g.lanes)?.extent.constant;
  if (sharesMemory(kernel)) return lanes ?? 1;
  return Math.min(workgroupSize, Math.ceil((lanes ?? workgroupSize) / subgroupLanes) * subgroupLanes);
}

/** Workgroups for one value of a kernel's first coordinate, where all that it counts besides is known and its blocks are lanes. */
export function workgroupsPerFirst(kernel: Kernel, language: WgslLanguage): number | undefined {
  const lanes = kernel.grid.at(-1)?.lanes === true && kernel.grid.length > 1;
  const counts = kernel.grid.slice(1).map(({ extent, lanes: own }) => {
    const { constant: count } = extent;
    return own && count !== undefined ? Math.ceil(count / workgroupSizeOf(kernel, language)) : count;
  });
  if (!lanes || counts.includes(undefined)) return undefined;
  return counts.reduce<number>((a, b) => a * (b ?? 1), 1);
}

/** The block's number, the guard for the last workgroup, and the block's coordinates. */
function emitGrid(context: Context, kernel: Kernel): void {
  const size = context.language.workgroupSize;
  const extents = kernel.grid.map(({ extent }) => context.dim(extent));
  const total = extents.reduce((a, b) => times(a, b), constant("i32", 1));
  context.line(`let block = i32(id.x + id.y * groups.x * ${size}u);`);
  context.line(`if (${print(total, "additive")} <= block || block < 0) { return; }`);
  defineCoordinates(context, kernel.grid, extents);
}

/**
 * The number of the workgroup, and the block's coordinates. Lanes beyond the last repeat its work without writing, because all
 * lanes take part in what they read together.
 */
function emitLanes(context: Context, kernel: Kernel, lanes: GridCoordinate, size: number): void {
  const { name, extent } = lanes;
  const count = extent.constant ?? 1;
  // No name that a kernel may have.
  const chunk = "chunk of lanes";
  const grid = [...kernel.grid.filter((g) => g !== lanes), { name: chunk }];
  const extents = grid.map((g) => ("extent" in g ? context.dim(g.extent) : constant("i32", Math.ceil(count / size))));
  const total = extents.reduce((a, b) => times(a, b), constant("i32", 1));
  context.line("let block = i32(id.x + id.y * groups.x);");
  context.line(`if (${print(total, "additive")} <= block || block < 0) { return; }`);
  defineCoordinates(context, grid, extents);
  const first = times(context.scalar({ kind: "var", type: "i32", name: chunk }), constant("i32", size));
  const own = add(first, primary("i32", "i32(lane)", { natural: true }));
  const held = context.names.unique(name);
  if (count % size === 0) context.line(`let ${held} = ${print(own)};`);
  else {
    context.line(`let inside = ${print(own, "additive")} < ${count};`);
    context.line(`let ${held} = min(${print(own)}, ${count - 1});`);
    context.guardWrites();
  }
  context.define(name, primary("i32", held, { natural: true }));
}

/** Names the coordinates of block number `block`, outermost first. */
function defineCoordinates(
  context: Context,
  grid: readonly { readonly name: string; readonly listed?: string }[],
  extents: readonly Code[],
): void {
  let rest: Code = primary("i32", "block", { natural: true });
  const coordinates: { name: string; listed: string | undefined; value: Code }[] = [];
  for (const [i, { name, listed }] of [...grid.entries()].reverse()) {
    const extent = extents[i] ?? constant("i32", 1);
    const whole = extent.constant === 1;
    const value = whole ? constant("i32", 0) : i === 0 ? rest : operation("%", rest, extent);
    coordinates.unshift({ name, listed, value });
    if (i > 0 && !whole) rest = operation("/", rest, extent);
  }
  for (const { name, listed, value } of coordinates) {
    if (listed !== undefined) {
      // Where as many blocks are started as there could be, those beyond the list do nothing.
      const list = context.memory(listed);
      const at = context.hold("place_in_list", value);
      context.line(`if (${print(context.read(list, [constant("i32", 0)]))} <= ${print(at)}) { return; }`);
      const held = context.names.unique(name);
      context.line(`let ${held} = ${print(context.read(list, [add(at, constant("i32", 1))]))};`);
      context.define(name, primary("i32", held, { natural: true }));
      continue;
    }
    if (value.constant !== undefined) {
      context.define(name, value);
      continue;
    }
    const held = context.names.unique(name);
    context.line(`let ${held} = ${print(value)};`);
    context.define(name, primary("i32", held, { natural: true }));
  }
}

const operation = (sign: "/" | "%", a: Code, b: Code): Code =>
  expression("i32", `${print(a, "multiplicative")} ${sign} ${print(b, "unary")}`, "multiplicative");

function header(kernel: Kernel): string[] {
  const { op, summary, span } = kernel.origin;
  const grid = kernel.grid.map(({ name, extent }) => `${name} < ${extent}`).join(", ");
  return [
    `// ${oneLine(summary)}`,
    `// ${oneLine(op)} at ${oneLine(formatSpan(span))}`,
    `// One invocation computes one block: ${oneLine(grid) || "the only one"}.`,
    ...(kernel.when
      ? [`// Launched when ${oneLine(formatRange(kernel.when))}; for other sizes another kernel is.`]
      : []),
  ];
}

/** Text that cannot end a line comment. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: WGSL ends a line at each of these.
const oneLine = (text: string): string => text.replace(/[\u000a-\u000d\u0085\u2028\u2029\0]+/g, " ");

function helpersOf(text: string, language: WgslLanguage): string[] {
  return Object.entries(language.helpers).flatMap(([name, declaration]) =>
    new RegExp(`\\b${name}\\(`).test(text) ? [declaration] : [],
  );
}

/** Whether a symbol occurs in the dimensions of the kernel, or in an expression where nothing local has its name. */
function usesSymbol(kernel: Kernel, symbol: string): boolean {
  const dims = [...kernel.grid.map((g) => g.extent), ...kernel.buffers.flatMap((b) => b.dims.slice(1))];
  return dims.some((d) => d.symbols.includes(symbol)) || mentions(kernel.body, symbol);
}

function mentions(value: unknown, name: string): boolean {
  if (Array.isArray(value)) return value.some((v) => mentions(v, name));
  if (typeof value !== "object" || value === null) return false;
  if ("kind" in value && value.kind === "var" && "name" in value) return value.name === name;
  return Object.values(value).some((v) => mentions(v, name));
}
