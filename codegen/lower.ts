import {
  type BlockFormat,
  type BlockFormatName,
  codeBytes,
  formatOf,
  groupOf,
  isBlockFormat,
  partsOf,
} from "../ir/core/block-formats.ts";
import { IrError } from "../ir/core/diagnostic.ts";
import { Dim } from "../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../ir/core/layer.ts";
import { dtypeBytes, type ElementType } from "../ir/core/types.ts";
import { choosersOf } from "../ir/ops/index.ts";
import { kernelProblems } from "./legality.ts";
import { copyReason, planMemory } from "./memory.ts";
import { leadingOperands } from "./passes/fuse.ts";
import { producers } from "./passes/rewrite.ts";
import { at } from "./place.ts";
import type { Program, ProgramBuffer } from "./program.ts";
import type { ScheduleContext } from "./schedule/context.ts";
import { schedules } from "./schedule/index.ts";
import { routeForms } from "./schedule/route-sorted.ts";
import type { Target } from "./target.ts";
import { decompose } from "./tile/decompose.ts";
import { reservedNames } from "./tile/part-spec.ts";
import { checkProgram } from "./tile/spec.ts";
import type { Kernel } from "./tile/types.ts";
import { uniqueName } from "./unique-name.ts";

/** Lowers a layer, after its passes, to a program: every operation becomes kernels by its schedule, every value a buffer. */
export function lowerLayer(layer: Layer, target: Target): Program {
  const buffers = nameBuffers(layer, target);
  const parts = (value: Value): readonly ProgramBuffer[] => {
    const found = buffers.get(value);
    if (!found) throw new IrError(`value ${value.name} has no buffer`, "Define a value before its use.");
    return found;
  };
  const dim = (d: Dim): Dim => d.substitute(layer.params);
  const lists = listBuffers(layer, target, buffers);
  const innerOf = ({ type }: Value): number => dim(type.dims.at(-1) ?? Dim.of(0)).constant ?? 0;
  const made = producers(layer);
  const context: ScheduleContext = {
    target,
    dim,
    buffer: (value) => {
      const [buffer, ...others] = parts(value);
      if (!buffer || others.length > 0)
        throw new IrError(`${value.name} is stored in blocks of ${value.type.dtype}`, "Use it in products only.");
      return buffer;
    },
    blocks: (value) => {
      const { dtype } = value.type;
      const [codes, ...beside] = parts(value);
      if (!isBlockFormat(dtype) || !codes)
        throw new IrError(`${value.name} is ${dtype}, which has no blocks`, "Store it in a block format.");
      const format = formatOf(dtype, innerOf(value));
      const [first, sums] = beside;
      if (first && codes.role === "temporary")
        return {
          format,
          codes,
          scales: [{ buffer: first, every: format.step }],
          mins: [],
          sums: sums && { buffer: sums, factor: sumFactor(layer, made, value, context) },
        };
      const all = partsOf(format).flatMap(({ every }, i) => (beside[i] ? [{ buffer: beside[i], every }] : []));
      const count = format.scales.length;
      const own = codes.dtype === "i8" ? { ...format, offset: 0 } : format;
      return { format: own, codes, scales: all.slice(0, count), mins: all.slice(count), sums: undefined };
    },
    list: (offsets) => lists.get(offsets),
    size: (d) => {
      const size = dim(d).constant;
      if (size === undefined)
        throw new IrError(
          `size ${d} must be known when the layer is compiled`,
          `Give a value for ${dim(d).symbols.join(", ")}.`,
        );
      return size;
    },
  };
  const kernelsOf = (operation: Operation) => {
    const schedule = schedules[operation.op];
    if (!schedule)
      throw new IrError(
        `${operation.op} cannot be compiled outside the body of mix`,
        "Use it inside the body given to mix.",
      );
    return at(operation.span, () => schedule(operation, context)).map((kernel) =>
      decompose(kernel, target.vector.space),
    );
  };
  const sorts = sortsOf(layer);
  const sorted = new Set(sorts.values());
  /** A router's kernels and those of its sort, which needs nothing else, may be one. */
  const runs = (operation: Operation) => {
    const sort = sorts.get(operation);
    if (sort === undefined) return sorted.has(operation) ? [] : kernelsOf(operation);
    const isLegal = (kernel: Kernel): boolean => kernelProblems(kernel, target, target.name).length === 0;
    const apart = [...kernelsOf(operation), ...kernelsOf(sort)];
    return at(operation.span, () => routeForms(operation, sort, context, apart, isLegal));
  };
  const isPrepared = (operation: Operation): boolean =>
    operation.results.every((r) => parts(r)[0]?.role === "prepared");
  const kernels = layer.body.filter((o) => !isPrepared(o)).flatMap(runs);
  const all = [...[...buffers.values()].flat(), ...lists.values()];
  return checkProgram({
    name: layer.name,
    params: layer.params,
    symbols: [...new Set(all.flatMap((b) => b.dims.flatMap((d) => d.symbols)))].sort(),
    buffers: all,
    prepare: layer.body.filter(isPrepared).flatMap(kernelsOf),
    kernels,
    choices: choosersOf(layer.body).map(({ results }) => {
      const [ids = "", weights] = results.map((r) => context.buffer(r).name);
      return weights === undefined ? { ids } : { ids, weights };
    }),
    results: layer.results.map(({ name, value }) => ({ name, buffer: context.buffer(value).name })),
    memory: planMemory(all, kernels),
  });
}

/** The factor of the sums of an activation's codes: one for the activation and all permuted copies of it. */
function sumFactor(layer: Layer, made: ReadonlyMap<Value, Operation>, value: Value, context: ScheduleContext): number {
  const sourceOf = (v: Value): Value => {
    const from = made.get(v);
    return from?.op === "permute" ? sourceOf(from.operands[0] ?? v) : v;
  };
  const source = sourceOf(value);
  const offsets = new Set<number>();
  for (const product of layer.body) {
    const [x] = product.operands;
    const weight = product.operands[leadingOperands(product)];
    if (!product.op.endsWith("linear") || !x || !weight || sourceOf(x) !== source) continue;
    const { format, mins } = context.blocks(weight);
    offsets.add(mins.length > 0 ? 0 : format.offset);
  }
  const [offset = 0] = offsets;
  return offsets.size === 1 && offset !== 0 ? -offset : 1;
}

/** The dispatch that sorts what each router chose. */
function sortsOf({ body }: Layer): ReadonlyMap<Operation, Operation> {
  const routes = new Map(body.flatMap((o) => (o.op === "route" && o.results[0] ? [[o.results[0], o] as const] : [])));
  const sorts = new Map<Operation, Operation>();
  for (const operation of body) {
    const [ids] = operation.operands;
    const route = operation.op === "dispatch" && ids ? routes.get(ids) : undefined;
    if (route && !sorts.has(route)) sorts.set(route, operation);
  }
  return sorts;
}

/** For the offsets of each dispatch, where the target asks for it, a buffer that lists the experts with rows. */
function listBuffers(
  { body }: Layer,
  { matmul }: Target,
  buffers: ReadonlyMap<Value, readonly ProgramBuffer[]>,
): ReadonlyMap<Value, ProgramBuffer> {
  const names = new Set([...buffers.values()].flat().map((b) => b.name));
  const lists = new Map<Value, ProgramBuffer>();
  if (matmul.kind !== "registers" || !matmul.listed) return lists;
  for (const { op, results } of body) {
    const [offsets] = results;
    const [buffer] = (offsets && buffers.get(offsets)) ?? [];
    if (op !== "dispatch" || offsets === undefined || buffer === undefined) continue;
    lists.set(offsets, { ...buffer, name: uniqueName("experts_hit", names), role: "temporary" });
  }
  return lists;
}

/** Buffers for every value, each with a unique name that every target's language accepts, and its role. */
function nameBuffers(layer: Layer, target: Target): Map<Value, readonly ProgramBuffer[]> {
  const names = new Set<string>();
  const unique = (hint: string): string => uniqueName(hint.replace(/\W/g, "_").replace(/^(?=\d)/, "_"), names);
  const buffers = new Map<Value, readonly ProgramBuffer[]>();
  const roleOf = (value: Value): ProgramBuffer["role"] | undefined => buffers.get(value)?.[0]?.role;
  const add = (value: Value, role: ProgramBuffer["role"], padded: boolean, packed: boolean): void => {
    const dims = value.type.dims.map((d) => d.substitute(layer.params));
    const parts = isBlockFormat(value.type.dtype)
      ? blockParts(formatOf(value.type.dtype, dims.at(-1)?.constant ?? 0), dims, {
          activations: role === "temporary",
          packed,
          signed: takesSigned(target, value.type.dtype, packed),
        })
      : [{ suffix: "", dtype: value.type.dtype, dims }];
    buffers.set(
      value,
      parts.map(({ suffix, ...type }, i) => {
        // One block writes a whole panel.
        const dtype = packed ? type.dtype : unshared(type.dtype, role, target);
        const buffer: ProgramBuffer = { name: unique(`${value.name}${suffix}`), ...type, dtype, role };
        return padded && i === 0 ? padRows(buffer, target) : buffer;
      }),
    );
  };
  for (const { value, role } of layer.args) {
    add(value, role, false, false);
    const [codes, ...beside] = buffers.get(value) ?? [];
    const { dtype } = value.type;
    if (isBlockFormat(dtype) && codes)
      buffers.set(value, [{ ...codes, blocks: { format: dtype, parts: beside.map((b) => b.name) } }, ...beside]);
  }
  for (const name of reservedNames) names.add(name);
  const activations = new Set(layer.body.flatMap((o) => (o.op.endsWith("linear") ? o.operands.slice(0, 1) : [])));
  const given = new Set(layer.results.map((r) => r.value));
  const choosers = new Set(choosersOf(layer.body));
  for (const { name, value } of layer.results) {
    if (buffers.has(value))
      throw new IrError(`result ${name} is an argument of the layer`, "Return a value that the layer computes.");
  }
  if (given.size !== layer.results.length)
    throw new IrError("one value is returned under two names", "Return each value once.");
  for (const operation of layer.body) {
    const known = operation.operands.every((v) => ["weight", "prepared"].includes(roleOf(v) ?? ""));
    for (const result of operation.results) {
      const isOutput = given.has(result) || choosers.has(operation);
      const role = isOutput ? "output" : known ? "prepared" : "temporary";
      add(result, role, role === "temporary" && activations.has(result), operation.op === "pack");
      if (operation.op === "reshape") shareMemory(operation, result);
    }
  }
  return buffers;

  /** A reshape moves nothing where its operand's memory can stand for its result. */
  function shareMemory(operation: Operation, result: Value): void {
    const [x] = operation.operands;
    const [from] = (x && buffers.get(x)) ?? [];
    const [to] = buffers.get(result) ?? [];
    if (from && to && copyReason(from, to) === undefined)
      buffers.set(result, [{ ...to, alias: from.alias ?? from.name }]);
  }
}

/** Whether products take a format's codes of bytes as signed ones: all of them on a matrix unit, those in panels on some CPUs. */
const takesSigned = ({ matmul }: Target, format: BlockFormatName, packed: boolean): boolean =>
  matmul.kind === "cube" || (packed && format !== "q8_16" && matmul.dot[format]?.signed === true);

/**
 * The buffers of a value in a block format, as BlockBuffers describes them: codes, then scales and minima, or scale and sums.
 * `signed`: products take codes of weights as signed bytes, and then need no sums.
 */
function blockParts(
  format: BlockFormat,
  dims: readonly Dim[],
  {
    activations,
    packed,
    signed,
  }: { readonly activations: boolean; readonly packed: boolean; readonly signed: boolean },
): { readonly suffix: string; readonly dtype: ElementType; readonly dims: readonly Dim[] }[] {
  const { step } = format;
  const codes = format.codes === "f8" ? "f8" : signed ? "i8" : "u8";
  if (packed) {
    const [steps = Dim.of(1), rows = Dim.of(1)] = dims.slice(-3);
    const lead = dims.slice(0, -3);
    const group = groupOf(format);
    const inner = steps.evaluate() * step;
    return [
      {
        suffix: "",
        dtype: codes,
        dims: [...lead, steps, Dim.of(codeBytes(format, step) / group), rows, Dim.of(group)],
      },
      ...partsOf(format).map(({ suffix, dtype, every }) => ({
        suffix: `_${suffix}`,
        dtype,
        dims: [...lead, Dim.of(inner / every), rows],
      })),
    ];
  }
  const lead = dims.slice(0, -1);
  const inner = dims.at(-1)?.evaluate() ?? 0;
  if (activations)
    return [
      { suffix: "", dtype: "i8", dims },
      { suffix: "_scales", dtype: "f32", dims: [...lead, Dim.of(inner / step)] },
      ...(signed ? [] : [{ suffix: "_sums", dtype: "i32" as const, dims: [...lead, Dim.of(inner / step)] }]),
    ];
  return [
    { suffix: "", dtype: codes, dims: [...lead, Dim.of(codeBytes(format, inner))] },
    ...partsOf(format).map(({ suffix, dtype, every }) => ({
      suffix: `_${suffix}`,
      dtype,
      dims: [...lead, Dim.of(inner / every)],
    })),
  ];
}

/** f32 in place of a dtype that the target does not write, for what lies between kernels. */
const unshared = (dtype: ElementType, role: ProgramBuffer["role"], { onlyRead = [] }: Target): ElementType =>
  (role === "prepared" || role === "temporary") && onlyRead.some((s) => s === dtype) ? "f32" : dtype;

/** Rows moved apart where the target asks for it. */
function padRows(buffer: ProgramBuffer, target: Target): ProgramBuffer {
  const padding = target.matmul.kind === "registers" ? target.matmul.rowPadding : undefined;
  const columns = buffer.dims.at(-1)?.constant;
  if (padding === undefined || columns === undefined || (columns * dtypeBytes[buffer.dtype]) % padding.every !== 0)
    return buffer;
  return { ...buffer, dims: [...buffer.dims.slice(0, -1), Dim.of(columns + padding.bytes / dtypeBytes[buffer.dtype])] };
}
