import type { Compilation } from "../codegen/compile.ts";
import { bufferBytes } from "../codegen/memory.ts";
import { removeDeadCode } from "../codegen/passes/clean.ts";
import type { Program } from "../codegen/program.ts";
import { isLaunched } from "../codegen/tile/launch.ts";
import { IrError } from "../ir/core/diagnostic.ts";
import { Dim } from "../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../ir/core/layer.ts";
import { elementCount, tensorBytes } from "../ir/core/types.ts";
import type { Cost } from "../ir/ops/definition.ts";
import { operationFlops } from "../ir/ops/index.ts";

/** What the tokens of one router chose, as far as work depends on it. */
interface Routed {
  /** Rows that FFN experts compute. */
  readonly rows: number;
  /** Slots: tokens × K. */
  readonly slots: number;
  /** FFN experts that got at least one row, of how many. */
  readonly hit: number;
  readonly experts: number;
}

/**
 * The work of a layer at a routing that happened: floating-point operations of the rows that were routed, and the bytes that
 * must pass at least (each weight of an expert that was hit once, rows of a table for each id, other weights, inputs and results
 * once).
 * @param layer after its experts were grouped
 * @param choices expert ids [T, K] by router, in order
 * @throws IrError where the layer's experts are not grouped
 */
export function workOf(layer: Layer, dims: Readonly<Record<string, number>>, choices: readonly Int32Array[]): Cost {
  const sizes = { ...layer.params, ...dims };
  /** Weights, and what is made of them at load: the weights that it is made of. */
  const constant = new Map<Value, readonly Value[]>();
  for (const { role, value } of layer.args) if (role === "weight") constant.set(value, [value]);
  const routers = new Map<Value, Int32Array>();
  const routed = new Map<Value, Routed>();
  const sharedWeights = new Map<Value, number>();
  let flops = 0;
  for (const operation of layer.body) {
    const { op, operands, results } = operation;
    if (operands.length > 0 && operands.every((v) => constant.has(v))) {
      const origins = operands.flatMap((v) => constant.get(v) ?? []);
      for (const result of results) constant.set(result, origins);
      continue;
    }
    if (op === "mix") throw new IrError("the layer's experts are not grouped", "Count the work after that pass.");
    const [ids] = results;
    const [table, rows] = operands;
    if (op === "gather" && table && rows && constant.has(table) && isUsedOnce(layer, table)) {
      const all = table.type.dims[0]?.evaluate(sizes) ?? 1;
      sharedWeights.set(table, Math.min(1, elementCount(rows.type).evaluate(sizes) / all));
    }
    if (op === "route" && ids) routers.set(ids, choices[routers.size] ?? new Int32Array());
    if (op === "dispatch") {
      const choice = operands[0] && routers.get(operands[0]);
      const experts = operation.attributes.ffn instanceof Dim ? operation.attributes.ffn.evaluate(sizes) : 0;
      if (choice) for (const result of results) routed.set(result, countRouted(choice, experts));
    }
    const source = operands.map((v) => routed.get(v)).find((r) => r !== undefined);
    const byRow = op === "grouped_linear" || op === "combine";
    const counted = operationFlops(operation, source && byRow ? { ...sizes, rows: source.rows } : sizes);
    // An elementwise op on rows counts every slot.
    flops += source && !byRow && source.slots > 0 ? (counted * source.rows) / source.slots : counted;
    if (source && op !== "combine") for (const result of results) routed.set(result, source);
    if (op === "grouped_linear" && source) {
      for (const weight of operands.flatMap((v) => constant.get(v) ?? []))
        sharedWeights.set(weight, source.experts === 0 ? 0 : source.hit / source.experts);
    }
  }
  const bytesOf = (value: Value): number =>
    tensorBytes(
      value.type.dtype,
      value.type.dims.map((d) => d.evaluate(sizes)),
    );
  const read = layer.args.reduce((sum, { value }) => sum + bytesOf(value) * (sharedWeights.get(value) ?? 1), 0);
  const written = layer.results.reduce((sum, { value }) => sum + bytesOf(value), 0);
  return { flops: Math.round(flops), bytes: Math.round(read + written) };
}

const isUsedOnce = (layer: Layer, value: Value): boolean =>
  layer.body.filter((o) => o.operands.includes(value)).length === 1;

function countRouted(choice: Int32Array, experts: number): Routed {
  const hit = new Set<number>();
  let rows = 0;
  for (const id of choice) {
    if (id >= experts) continue;
    rows++;
    hit.add(id);
  }
  return { rows, slots: choice.length, hit: hit.size, experts };
}

/**
 * Work of each kernel of a lowered layer when every slot goes to an FFN expert and they are spread evenly: operations, and each of
 * its buffers once, of experts' weights those that are hit. An operation's floating-point operations count where its first
 * result is written.
 * @param lowered the layer that the program was made of
 */
export function kernelWork(
  lowered: Layer,
  program: Program,
  dims: Readonly<Record<string, number>>,
): ReadonlyMap<string, Cost> {
  const sizes = { ...program.params, ...dims };
  const writers = new Map<string, Operation>();
  for (const operation of lowered.body) {
    const [first] = operation.results;
    if (first) writers.set(first.name.replace(/\W/g, "_"), operation);
  }
  const buffers = new Map(program.buffers.map((b) => [b.name, b]));
  return new Map(
    [...program.prepare, ...program.kernels].map((kernel) => {
      if (!isLaunched(kernel, sizes)) return [kernel.name, { flops: 0, bytes: 0 }] as const;
      let flops = 0;
      let bytes = 0;
      const product = kernel.buffers.map((b) => writers.get(b.name)).find((o) => o?.op === "grouped_linear");
      const rows = product?.results[0]?.type.dims[0]?.evaluate(sizes) ?? 0;
      for (const { name, access } of kernel.buffers) {
        const buffer = buffers.get(name);
        if (!buffer) continue;
        const experts = buffer.dims[0]?.evaluate(sizes) ?? 1;
        const ofExperts = product !== undefined && (buffer.role === "weight" || buffer.role === "prepared");
        const hit = ofExperts ? Math.min(rows, experts) / experts : 1;
        bytes += Math.round(bufferBytes(buffer).evaluate(sizes) * hit) * (access === "readwrite" ? 2 : 1);
        const operation = access === "read" ? undefined : writers.get(name);
        if (operation) flops += operationFlops(operation, sizes);
      }
      return [kernel.name, { flops, bytes }] as const;
    }),
  );
}

/** The layer whose work is counted: with experts grouped, without what nobody uses, and before anything that depends on the target. */
export function grouped({ stages, lowered }: Compilation): Layer {
  return removeDeadCode(stages.find((s) => s.pass?.name === "group-experts")?.layer ?? lowered);
}
