import { type BlockFormat, blockFormats, codeBytes, isBlockFormat } from "../ir/core/block-formats.ts";
import { IrError } from "../ir/core/diagnostic.ts";
import { Dim } from "../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../ir/core/layer.ts";
import { dtypeBytes, type ElementType } from "../ir/core/types.ts";
import { choosersOf } from "../ir/ops/index.ts";
import { copyReason, planMemory } from "./memory.ts";
import { at } from "./place.ts";
import type { Program, ProgramBuffer } from "./program.ts";
import type { ScheduleContext } from "./schedule/context.ts";
import { schedules } from "./schedule/index.ts";
import type { Target } from "./target.ts";
import { decompose } from "./tile/decompose.ts";
import { reservedNames } from "./tile/part-spec.ts";
import { checkProgram } from "./tile/spec.ts";

/** Lowers a layer, after its passes, to a program: every operation becomes kernels by its schedule, every value a buffer. */
export function lowerLayer(layer: Layer, target: Target): Program {
  const buffers = nameBuffers(layer, target);
  const parts = (value: Value): readonly ProgramBuffer[] => {
    const found = buffers.get(value);
    if (!found) throw new IrError(`value ${value.name} has no buffer`, "Define a value before its use.");
    return found;
  };
  const dim = (d: Dim): Dim => d.substitute(layer.params);
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
      const [codes, scales, sums] = parts(value);
      if (!isBlockFormat(dtype) || !codes || !scales)
        throw new IrError(`${value.name} is ${dtype}, which has no blocks`, "Store it in a block format.");
      return { format: blockFormats[dtype], codes, scales, sums };
    },
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
  const isPrepared = (operation: Operation): boolean =>
    operation.results.every((r) => parts(r)[0]?.role === "prepared");
  const kernels = layer.body.filter((o) => !isPrepared(o)).flatMap(kernelsOf);
  const all = [...buffers.values()].flat();
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

/** Buffers for every value, each with a unique name that every target's language accepts, and its role. */
function nameBuffers(layer: Layer, target: Target): Map<Value, readonly ProgramBuffer[]> {
  const names = new Set<string>();
  const unique = (hint: string): string => {
    const base = hint.replace(/\W/g, "_").replace(/^(?=\d)/, "_");
    let name = base;
    for (let i = 1; names.has(name); i++) name = `${base}_${i}`;
    names.add(name);
    return name;
  };
  const buffers = new Map<Value, readonly ProgramBuffer[]>();
  const roleOf = (value: Value): ProgramBuffer["role"] | undefined => buffers.get(value)?.[0]?.role;
  const add = (value: Value, role: ProgramBuffer["role"], padded: boolean, packed: boolean): void => {
    const dims = value.type.dims.map((d) => d.substitute(layer.params));
    const parts = isBlockFormat(value.type.dtype)
      ? blockParts(blockFormats[value.type.dtype], dims, role === "temporary", packed)
      : [{ suffix: "", dtype: unshared(value.type.dtype, role, target), dims }];
    buffers.set(
      value,
      parts.map(({ suffix, ...type }, i) => {
        const buffer: ProgramBuffer = { name: unique(`${value.name}${suffix}`), ...type, role };
        return padded && i === 0 ? padRows(buffer, target) : buffer;
      }),
    );
  };
  for (const { value, role } of layer.args) {
    add(value, role, false, false);
    const [codes, scales] = buffers.get(value) ?? [];
    const { dtype } = value.type;
    if (isBlockFormat(dtype) && codes && scales)
      buffers.set(value, [{ ...codes, blocks: { format: dtype, scales: scales.name } }, scales]);
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

/** The buffers of a value in a block format, as BlockBuffers describes them: codes, scales, sums. */
function blockParts(
  format: BlockFormat,
  dims: readonly Dim[],
  activations: boolean,
  packed: boolean,
): { readonly suffix: string; readonly dtype: ElementType; readonly dims: readonly Dim[] }[] {
  if (packed) {
    const lead = dims.slice(0, -2);
    const rows = dims.at(-2) ?? Dim.of(1);
    return [
      { suffix: "", dtype: "u8", dims: [...lead, Dim.of(codeBytes(format) / 4), rows, Dim.of(4)] },
      { suffix: "_scales", dtype: "f16", dims: [...lead, rows] },
    ];
  }
  const lead = dims.slice(0, -1);
  const blocks = (dims.at(-1)?.evaluate() ?? 0) / format.elements;
  if (activations)
    return [
      { suffix: "", dtype: "i8", dims },
      { suffix: "_scales", dtype: "f32", dims: [...lead, Dim.of(blocks)] },
      { suffix: "_sums", dtype: "i32", dims: [...lead, Dim.of(blocks)] },
    ];
  return [
    { suffix: "", dtype: "u8", dims: [...lead, Dim.of(blocks * codeBytes(format))] },
    { suffix: "_scales", dtype: "f16", dims: [...lead, Dim.of(blocks)] },
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
