import type { Backend, KernelSource } from "../backends/backend.ts";
import type { Compilation } from "../codegen/compile.ts";
import { workspaceBytes } from "../codegen/memory.ts";
import { formatRange, printKernel, printProgram } from "../codegen/tile/text.ts";
import type { Kernel } from "../codegen/tile/types.ts";
import { layerHash, sha256 } from "../ir/core/hash.ts";
import { noSpan, type Span } from "../ir/core/span.ts";
import { printLayer } from "../ir/text/index.ts";
import { kernelWork } from "./work.ts";

/** The layer after one pass. */
export interface Stage {
  readonly pass: string;
  readonly summary: string;
  readonly changed: boolean;
  readonly hash: string;
  readonly ir: string;
  /** The place in the source of each line of `ir`. */
  readonly spans: readonly Span[];
}

export interface ExplainedKernel {
  readonly phase: "prepare" | "run";
  readonly name: string;
  readonly op: string;
  readonly summary: string;
  readonly span: Span;
  readonly grid: readonly string[];
  readonly work: readonly { readonly tokens: number; readonly flops: number; readonly bytes: number }[];
  /** Its text in tile IR. */
  readonly tile: string;
  readonly source: KernelSource;
}

/** All that a compilation for one target did, as data. */
export interface Explanation {
  readonly target: string;
  readonly isa: string;
  readonly storage: string;
  readonly tokens: readonly number[];
  readonly stages: readonly Stage[];
  readonly kernels: readonly ExplainedKernel[];
  /** Memory spaces of a limited size, in bytes per core or block. */
  readonly spaces: readonly { readonly name: string; readonly capacity: number }[];
  readonly memory: {
    readonly slots: readonly { readonly buffers: readonly string[]; readonly bytes: readonly number[] }[];
    readonly workspace: readonly number[];
    /** Buffers that are another one under a second name. */
    readonly aliases: Readonly<Record<string, string>>;
  };
  /** SHA-256 of the tile IR, and of each source file. */
  readonly program: string;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly hash: string }[];
}

/** Explains a compilation at some numbers of tokens. */
export async function explain(
  compilation: Compilation,
  backend: Backend,
  tokens: readonly number[],
): Promise<Explanation> {
  const { target, storage, program, lowered } = compilation;
  const dims = tokens.map((t) => Object.fromEntries(program.symbols.map((symbol) => [symbol, t])));
  const works = dims.map((d) => kernelWork(lowered, program, d));
  const sources = await backend.kernels(program, target);
  const kernel =
    (phase: "prepare" | "run") =>
    (k: Kernel): ExplainedKernel => ({
      phase,
      name: k.name,
      op: k.origin.op,
      summary: k.origin.summary,
      span: k.origin.span,
      grid: [...k.grid.map((g) => `${g.name} < ${g.extent}`), ...(k.when ? [`when ${formatRange(k.when)}`] : [])],
      work: works.map((work, i) => ({ tokens: tokens[i] ?? 0, ...(work.get(k.name) ?? { flops: 0, bytes: 0 }) })),
      tile: printKernel(k),
      source: sources.get(k) ?? { path: "", text: "", memory: [] },
    });
  return {
    target: target.name,
    isa: target.isa,
    storage,
    tokens,
    stages: stagesOf(compilation),
    kernels: [...program.prepare.map(kernel("prepare")), ...program.kernels.map(kernel("run"))],
    spaces: Object.entries(target.spaces).flatMap(([name, { capacity }]) =>
      capacity === undefined ? [] : [{ name, capacity }],
    ),
    memory: {
      slots: program.memory.slots.map((slot) => ({
        buffers: slot.buffers,
        bytes: dims.map((d) => Math.max(...slot.bytes.map((b) => b.evaluate(d)))),
      })),
      workspace: dims.map((d) => workspaceBytes(program, d)),
      aliases: Object.fromEntries(program.buffers.flatMap((b) => (b.alias === undefined ? [] : [[b.name, b.alias]]))),
    },
    program: textHash(printProgram(program)),
    files: [...(await backend.emit(program, target))]
      .map(([path, text]) => ({ path, bytes: new TextEncoder().encode(text).length, hash: textHash(text) }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

/** The buffers of a slot in words: "a, b = a" where b is a under a second name. */
export const slotText = (slot: Explanation["memory"]["slots"][number], { aliases }: Explanation["memory"]): string =>
  slot.buffers.map((name) => (aliases[name] === undefined ? name : `${name} = ${aliases[name]}`)).join(", ");

const textHash = (text: string): string => sha256(new TextEncoder().encode(text));

const stagesOf = ({ stages }: Compilation): readonly Stage[] =>
  stages.map(({ pass, layer }, i) => {
    const hash = layerHash(layer);
    const before = stages[i - 1];
    return {
      pass: pass?.name ?? "source",
      summary: pass?.summary ?? "the layer as written",
      changed: before === undefined || layerHash(before.layer) !== hash,
      hash,
      ir: printLayer(layer),
      spans: lineSpans(printLayer(layer, { spans: true })),
    };
  });

const printedSpan = / @ ("(?:[^"\\]|\\.)*"):(\d+):(\d+):(\d+)(?= \{$|$)/;

/** The place at the end of each line of a layer printed with places. */
const lineSpans = (text: string): readonly Span[] =>
  text.split("\n").map((line) => {
    const [, file, ...numbers] = printedSpan.exec(line) ?? [];
    if (file === undefined) return noSpan;
    const [at = 0, column = 0, length = 1] = numbers.map(Number);
    return { file: JSON.parse(file) as string, line: at, column, length };
  });
