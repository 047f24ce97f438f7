import { blockMultiple, hasWholeRows, isBlockFormat } from "../ir/core/block-formats.ts";
import { longestRow } from "../ir/core/blocks/rows.ts";
import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import { type Layer, walk } from "../ir/core/layer.ts";
import type { Span } from "../ir/core/span.ts";
import { dtypeBytes, formatType } from "../ir/core/types.ts";
import { bufferBytes } from "./memory.ts";
import { findCuts } from "./parts/cut.ts";
import { blockWeights } from "./passes/storage.ts";
import type { Program } from "./program.ts";
import type { Storage, Target } from "./target.ts";
import { sharesMemory } from "./tile/shape.ts";
import type { Kernel, Statement } from "./tile/types.ts";

/**
 * Whether a target can read weights in a storage, and in those that the author pinned, and whether the storage can hold them.
 * Throws DiagnosticError where not.
 */
export function checkStorage(layer: Layer, target: Target, storage: Storage): void {
  const pinned: Diagnostic[] = [];
  for (const { op, operands, span } of walk(layer.body)) {
    if (op !== "linear") continue;
    for (const { name, type } of operands.slice(1)) {
      if (Object.hasOwn(target.matmul.dot, type.dtype)) continue;
      pinned.push({
        code: "U211",
        span,
        message: `weights in ${type.dtype} cannot be multiplied on ${target.name} (${target.isa})`,
        expected: Object.keys(target.matmul.dot).join(" or "),
        found: `${name} is ${formatType(type)}`,
        help: 'Pin the weight to one of these, or leave its dtype out: Tensor<["I", "H"]>.',
      });
    }
  }
  if (pinned.length > 0) throw new DiagnosticError(pinned);
  if (target.storages.includes(storage)) {
    checkBlocks(layer, storage);
    return;
  }
  throw new DiagnosticError([
    {
      code: "U211",
      span: layer.span,
      message: `weights in ${storage} cannot be used on ${target.name} (${target.isa})`,
      expected: `storage ${target.storages.join(" or ")}`,
      found: storage,
      help: `Compile with --storage ${target.storages[0]}, or choose another target.`,
    },
  ]);
}

/** Rows of weights that a block format is to hold are made of whole blocks. */
function checkBlocks(layer: Layer, storage: Storage): void {
  if (!isBlockFormat(storage)) return;
  const elements = blockMultiple(storage);
  const found = blockWeights(layer).flatMap(({ value }): Diagnostic[] => {
    const row = value.type.dims.at(-1);
    const size = row?.substitute(layer.params).constant ?? 0;
    if (hasWholeRows(storage) && size > longestRow)
      return [
        {
          code: "U218",
          span: layer.span,
          message: `${storage} sums products of bytes in 32 bits, and the rows of the weight ${value.name} are too long for that`,
          expected: `at most ${longestRow} for ${row}`,
          found: String(size),
          help: "Choose other sizes with --param, or --storage bf16.",
        },
      ];
    if (size % elements === 0) return [];
    return [
      {
        code: "U218",
        span: layer.span,
        message: `${storage} stores blocks of ${elements}, which do not divide the rows of the weight ${value.name}`,
        expected: `a multiple of ${elements} for ${row}`,
        found: String(size),
        help: "Choose other sizes with --param, or --storage bf16.",
      },
    ];
  });
  if (found.length > 0) throw new DiagnosticError(found);
}

/**
 * Whether a target can do what a program needs, answered before anything is emitted: memory of each space, buffers of
 * each kernel and their sizes, grid sizes. Sizes that depend on run-time symbols are checked when the layer is launched.
 * Throws DiagnosticError with all that does not fit.
 */
export function checkLegality(layer: Layer, program: Program, target: Target): void {
  const found: Diagnostic[] = [];
  const where = `${target.name} (${target.isa})`;
  // Kernels that do the same for other sizes have the same problems.
  const ofKernels = [...program.prepare, ...program.kernels].flatMap((kernel) => kernelProblems(kernel, target, where));
  found.push(...new Map(ofKernels.map((problem) => [JSON.stringify(problem), problem])).values());
  const limit = target.limits.bufferBytes;
  const { cuts, uncut } =
    target.limits.cutsWeights && limit !== undefined ? findCuts(program, limit) : { cuts: new Map(), uncut: new Map() };
  for (const buffer of program.buffers) {
    if (buffer.role === "output" && target.onlyRead?.some((s) => s === buffer.dtype)) {
      found.push({
        code: "U211",
        span: layer.span,
        message: `kernels on ${where} read ${buffer.dtype}, but do not write it`,
        expected: "results in f32 or i32",
        found: `${buffer.name}: ${buffer.dtype}`,
        help: `Return cast(${buffer.name}, "f32"), or choose another target.`,
      });
    }
    const bytes = bufferBytes(buffer).constant;
    if (bytes !== undefined && limit !== undefined && bytes > limit && !cuts.has(buffer.name)) {
      const reason = uncut.get(buffer.name);
      found.push({
        code: "U213",
        span: layer.span,
        message: `${buffer.name} is too large for one buffer on ${where}`,
        expected: `at most ${megabytes(limit)}`,
        found: `${megabytes(bytes)}${reason === undefined ? "" : `, which cannot be cut: ${reason}`}`,
        help: "Choose smaller sizes or fewer experts with --param, another --storage, or another target.",
      });
    }
  }
  if (found.length > 0) throw new DiagnosticError(found);
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** What of a kernel the target does not take. */
export function kernelProblems(kernel: Kernel, target: Target, where: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  const problem = (code: string, message: string, expected: string, is: string, help: string): void => {
    const span: Span = kernel.origin.span;
    found.push({ code, span, message, expected, found: is, help });
  };
  for (const [space, bytes] of Object.entries(spaceUse(kernel, target))) {
    const description = target.spaces[space];
    if (description === undefined) {
      problem(
        "U214",
        `${kernel.origin.summary} needs the memory space ${space}, which ${where} does not have`,
        Object.keys(target.spaces).join(", "),
        space,
        "Choose another target.",
      );
    } else if (description.capacity !== undefined && bytes > description.capacity) {
      problem(
        "U214",
        `${kernel.origin.summary} does not fit into the memory space ${space} of ${where}`,
        `at most ${description.capacity} bytes per block`,
        `${bytes} bytes`,
        "Choose smaller sizes with --param, or another target.",
      );
    }
  }
  const lanes = sharesMemory(kernel) ? (kernel.grid.at(-1)?.extent.constant ?? 1) : 1;
  const most = target.limits.workgroupLanes;
  if (most !== undefined && lanes > most) {
    problem(
      "U214",
      `${kernel.origin.summary} shares memory among more lanes than a workgroup of ${where} has`,
      `at most ${most}`,
      `${lanes}`,
      "Choose another schedule, or a device that allows more.",
    );
  }
  const buffers = target.limits.buffersPerKernel;
  if (buffers !== undefined && kernel.buffers.length > buffers) {
    problem(
      "U215",
      `${kernel.origin.summary} reads and writes more buffers than ${where} allows in a kernel`,
      `at most ${buffers}`,
      `${kernel.buffers.length}`,
      "Split the expression into smaller steps.",
    );
  }
  const blocks = kernel.grid.reduce((n, g) => n * (g.extent.constant ?? 1), 1);
  if (target.limits.blocks !== undefined && blocks > target.limits.blocks) {
    problem(
      "U216",
      `${kernel.origin.summary} needs more blocks than ${where} allows`,
      `at most ${target.limits.blocks}`,
      `${blocks}`,
      "Choose smaller sizes with --param.",
    );
  }
  return found;
}

/** The most bytes that a block's tiles take at once, per memory space. */
export function spaceUse(kernel: Kernel, target: Target): Record<string, number> {
  const most: Record<string, number> = {};
  const visit = (body: readonly Statement[], outer: Readonly<Record<string, number>>): void => {
    const live: Record<string, number> = { ...outer };
    for (const statement of body) {
      if (statement.kind === "alloc") {
        const { tile } = statement;
        const bytes = tile.dims.reduce((a, b) => a * b, dtypeBytes[tile.dtype]);
        const alignment = target.spaces[tile.space]?.alignment ?? 1;
        live[tile.space] = (live[tile.space] ?? 0) + Math.ceil(bytes / alignment) * alignment;
        most[tile.space] = Math.max(most[tile.space] ?? 0, live[tile.space] ?? 0);
      } else if (statement.kind === "for") visit(statement.body, live);
      else if (statement.kind === "if") {
        visit(statement.then, live);
        visit(statement.otherwise, live);
      }
    }
  };
  visit(kernel.body, {});
  return most;
}
