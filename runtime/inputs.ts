import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Dim } from "../ir/core/dim.ts";
import type { Argument, Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { narrowIntegers } from "./checkpoint/elements.ts";
import { checkIds } from "./ids.ts";
import { formatShape, heldInstead } from "./messages.ts";
import type { SafetensorsFile, TensorInfo } from "./safetensors/index.ts";
import { fromFloats } from "./tensors.ts";

export interface LoadedInputs {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Run-time symbols, such as T, as the shapes say. */
  readonly dims: Readonly<Record<string, number>>;
  /** Tensors of the file that no input uses. */
  readonly unused: readonly string[];
}

/**
 * Reads a layer's inputs from a file by argument name (F32, F16 and BF16, the latter widened exactly; I32 and I64 for
 * integers), and the run-time sizes from their shapes.
 * @throws DiagnosticError naming every missing or misshapen tensor, sizes that contradict each other, and ids of nothing
 */
export async function loadInputs(layer: Layer, file: SafetensorsFile): Promise<LoadedInputs> {
  const inputs = layer.args.filter((a) => a.role === "input");
  const problems: Diagnostic[] = [];
  const known = new Map<string, { readonly size: number; readonly from: string }>();
  for (const argument of inputs) {
    const { name, type } = argument.value;
    const info = file.tensors.get(name);
    if (!info) problems.push(missing(layer, argument, file));
    else if (!readable(argument, info)) problems.push(wrongType(layer, argument, file, info));
    else problems.push(...bindDims(layer, argument, file, info, type.dims, known));
  }
  const dims = Object.fromEntries([...known].map(([symbol, { size }]) => [symbol, size]));
  const symbols = new Set(inputs.flatMap((a) => a.value.type.dims.flatMap((d) => d.substitute(layer.params).symbols)));
  if (problems.length === 0) {
    for (const symbol of symbols) {
      if (Object.hasOwn(dims, symbol)) continue;
      problems.push({
        code: "U306",
        span: layer.span,
        message: `the shapes of the inputs do not tell the size ${symbol}`,
        expected: `an input with ${symbol} as a dimension of its own`,
        help: `Add an input with the dimension ${symbol} to the layer.`,
      });
    }
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  const tensors = new Map<string, Tensor>();
  for (const { value } of inputs) {
    const { shape } = file.info(value.name);
    const { dtype } = value.type;
    if (dtype === "i32") {
      const bytes = await file.read(value.name);
      const wide = file.info(value.name).dtype === "I64";
      const data = wide
        ? narrowIntegers(new BigInt64Array(bytes.buffer), value.name, file.path)
        : new Int32Array(bytes.buffer);
      tensors.set(value.name, { dtype, dims: shape, data });
    } else tensors.set(value.name, fromFloats(await file.readF32(value.name), shape, dtype));
  }
  checkIds(layer, tensors, file.path, dims);
  const used = new Set(inputs.map((a) => a.value.name));
  return { tensors, dims, unused: [...file.tensors.keys()].filter((k) => !used.has(k)) };
}

const dtypesFor = (argument: Argument): readonly string[] =>
  argument.value.type.dtype === "i32" ? ["I32", "I64"] : ["F32", "F16", "BF16"];

const readable = (argument: Argument, info: TensorInfo): boolean => dtypesFor(argument).includes(info.dtype);

const typeOf = (argument: Argument): string => formatDims(argument.value.type.dims);
const formatDims = (dims: readonly Dim[]): string => `[${dims.join(", ")}]`;

const missing = (layer: Layer, argument: Argument, file: SafetensorsFile): Diagnostic => ({
  code: "U304",
  span: layer.span,
  message: `${file.path} has no tensor for the input ${argument.value.name}`,
  expected: `${argument.value.name} ${typeOf(argument)}`,
  found: heldInstead(argument.value.name, [...file.tensors.keys()]),
  help: `Name a tensor of the file ${argument.value.name}.`,
});

const wrongType = (layer: Layer, argument: Argument, file: SafetensorsFile, info: TensorInfo): Diagnostic => ({
  code: "U303",
  span: layer.span,
  message: `the tensor ${argument.value.name} in ${file.path} has a type that cannot be read as this input`,
  expected: dtypesFor(argument).join(", "),
  found: info.dtype,
  help: "Convert it to one of these types.",
});

/** Holds a shape to an input's dimensions; run-time symbols take the size that they are first seen with. */
function bindDims(
  layer: Layer,
  argument: Argument,
  file: SafetensorsFile,
  info: TensorInfo,
  dims: readonly Dim[],
  known: Map<string, { readonly size: number; readonly from: string }>,
): readonly Diagnostic[] {
  const { name } = argument.value;
  const at = { span: layer.span, found: formatShape(info.shape) };
  const sized = dims.map((d) => d.substitute(layer.params));
  const expected = `${formatDims(dims)} = ${formatDims(sized)}`;
  const misshapen: Diagnostic = {
    ...at,
    code: "U305",
    message: `the tensor ${name} in ${file.path} has another shape than the input ${name}`,
    expected,
    help: "Give a tensor of this shape, or the right sizes with --param.",
  };
  if (info.shape.length !== dims.length) return [misshapen];
  for (const [i, dim] of sized.entries()) {
    const size = info.shape[i];
    const { constant, symbols } = dim;
    const [symbol] = symbols;
    if (constant !== undefined && constant !== size) return [misshapen];
    if (symbol === undefined || dim.toString() !== symbol) continue;
    const before = known.get(symbol);
    if (before && before.size !== size) {
      return [
        {
          ...at,
          code: "U306",
          message: `the inputs disagree on ${symbol}: ${before.size} in ${before.from}, ${size} in ${name}`,
          expected: `${name} ${formatDims(dims)} with ${symbol} = ${before.size}`,
          help: `Give inputs for the same ${symbol}.`,
        },
      ];
    }
    known.set(symbol, { size, from: name });
  }
  return [];
}
