import { isPerExpert } from "../../ir/core/bindings.ts";
import type { Diagnostic } from "../../ir/core/diagnostic.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { formatShape, heldInstead } from "../messages.ts";
import type { SafetensorsFile } from "../safetensors/index.ts";
import type { WeightMatch } from "./match.ts";

/** What is wrong with the tensors of a weight: one problem of each kind, that of the first tensor, which counts the others. */
export function tensorProblems(layer: Layer, match: WeightMatch, file: SafetensorsFile): readonly Diagnostic[] {
  const width = match.layout.shape.at(-1) ?? 1;
  if (match.source.format === "mxfp4" && width % 32 !== 0) {
    const message = `the tensor ${match.keys[0]} has blocks of 32, and the weight ${match.argument.value.name} has ${width} elements in a row`;
    const help = "Give the sizes of this checkpoint with --config or --param.";
    return [{ code: "U302", span: layer.span, message, expected: "a multiple of 32", found: String(width), help }];
  }
  const expected = expectedTensors(match);
  const found = [
    ...match.keys.map((key) => [key, expected.elements] as const),
    ...match.scales.map((key) => [key, expected.scales] as const),
    ...match.zeros.map((key) => [key, { ...expected.scales, dtypes: [...expected.scales.dtypes, "I8"] }] as const),
  ].flatMap(([key, tensor]) => problemOf(layer, match, file, key, tensor));
  const kinds = [...new Set(found.map((d) => d.code))];
  return kinds.map((code) => {
    const [first, ...rest] = found.filter((d) => d.code === code) as [Diagnostic, ...Diagnostic[]];
    return rest.length === 0 ? first : { ...first, message: `${first.message} (and ${rest.length} more like it)` };
  });
}

/** The problem of a file, or of a prefix in it, that has nothing of a layer. */
export function nothingProblem(
  layer: Layer,
  { prefix, weights }: { readonly prefix: string; readonly weights: readonly WeightMatch[] },
  fitting: readonly string[],
  file: SafetensorsFile,
): Diagnostic {
  const names = weights.flatMap((m) => m.keys.slice(0, 1));
  const [first = ""] = names;
  return {
    code: "U301",
    span: layer.span,
    message: `${file.path} holds none of the layer's weights${prefix === "" ? "" : ` behind the prefix ${prefix}`}`,
    expected: names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : ""),
    found: heldInstead(first, [...file.tensors.keys()]),
    help:
      fitting.length > 0
        ? `They stand behind ${fitting.slice(0, 5).join(", ")}${fitting.length > 5 ? ", …" : ""}: choose it with --prefix.`
        : "Give the checkpoint of this model, or correct the layer's weight names.",
  };
}

/** What a tensor may be: its shapes and dtypes. */
interface Expected {
  readonly shapes: readonly (readonly number[])[];
  readonly dtypes: readonly string[];
}

/** What a weight's tensors may be. */
function expectedTensors({ argument, source, layout }: WeightMatch): { elements: Expected; scales: Expected } {
  const { shape } = layout;
  const lead = shape.slice(0, -1);
  const width = shape.at(-1) ?? 1;
  if (source.format === "mxfp4") {
    const blocks = width / 32;
    return {
      elements: {
        shapes: [
          [...lead, blocks, 16],
          [...lead, width / 2],
        ],
        dtypes: ["U8", "I8"],
      },
      scales: { shapes: [[...lead, blocks]], dtypes: ["U8", "F8_E8M0"] },
    };
  }
  if (source.format === "fp8-128") {
    const blocks = shape.map((n, i) => (i < shape.length - 2 ? n : Math.ceil(n / 128)));
    return {
      elements: { shapes: [shape], dtypes: ["F8_E4M3"] },
      scales: { shapes: [blocks], dtypes: ["F32", "BF16", "F16", "F8_E8M0"] },
    };
  }
  if (source.format === "int8") {
    return {
      elements: { shapes: [shape], dtypes: ["I8"] },
      scales: { shapes: [[...lead, 1], lead], dtypes: ["F32", "BF16", "F16"] },
    };
  }
  const integers = argument.value.type.dtype === "i32";
  const plain = { shapes: [shape], dtypes: integers ? ["I32", "I64"] : ["F32", "F16", "BF16"] };
  return { elements: plain, scales: plain };
}

function problemOf(
  layer: Layer,
  match: WeightMatch,
  file: SafetensorsFile,
  key: string,
  { shapes, dtypes }: Expected,
): readonly Diagnostic[] {
  const info = file.tensors.get(key);
  const weight = match.argument.value.name;
  const { span } = layer;
  const { layout, source } = match;
  const sizes = shapes.map(formatShape).join(" or ");
  const expected = source.format !== undefined || layout.dims === sizes ? sizes : `${layout.dims} = ${sizes}`;
  if (info === undefined) {
    return [
      {
        code: "U301",
        span,
        message: `the weight ${weight} needs the tensor ${key}, which ${file.path} does not hold`,
        expected: `${key} ${expected}`,
        found: heldInstead(key, [...file.tensors.keys()]),
        help:
          expertsHelp(match, file) ??
          staticHelp(key, file) ??
          `Give a file that holds it (under this name, or whole as ${weight}), or correct the layer's weight names.`,
      },
    ];
  }
  if (!shapes.some((shape) => shape.length === info.shape.length && shape.every((n, i) => n === info.shape[i]))) {
    const isScale = !match.keys.includes(key);
    const help =
      isScale && source.format === "int8"
        ? "Bytes are read with one scale for each row: give a checkpoint that is quantised by output channels."
        : "Give the sizes of this checkpoint with --config or --param, or another file.";
    const message = `the tensor ${key} in ${file.path} has another shape than ${isScale ? "the scales of " : ""}the weight ${weight}`;
    return [{ code: "U302", span, message, expected, found: formatShape(info.shape), help }];
  }
  if (!dtypes.includes(info.dtype)) {
    const message = `the tensor ${key} in ${file.path} has a type that cannot be read as a weight`;
    const help = "Convert the checkpoint to one of these types.";
    return [{ code: "U303", span, message, expected: dtypes.join(", "), found: info.dtype, help }];
  }
  return [];
}

/** The mend where a file holds the first experts and not the others. */
function expertsHelp({ argument, source, keys }: WeightMatch, file: SafetensorsFile): string | undefined {
  const held = keys.filter((key) => file.tensors.has(key)).length;
  const first = keys.findIndex((key) => !file.tensors.has(key));
  const [count] = argument.value.type.dims;
  if (!isPerExpert(source) || count === undefined || held === 0 || first !== held) return undefined;
  const help = `The file holds experts 0 to ${held - 1}, the layer has ${count} = ${keys.length}`;
  return count.symbols.join() === String(count) ? `${help}: give --param ${count}=${held}, or --config.` : `${help}.`;
}

/** The mend where a matrix is signed bytes whose scales are folded into those of the activations: W8A8 of msModelSlim, not W8A8_DYNAMIC. */
function staticHelp(key: string, file: SafetensorsFile): string | undefined {
  const folded = key.replace(/weight_scale$/, "deq_scale");
  if (folded === key || !file.tensors.has(folded)) return undefined;
  return `The matrix is for activations with a fixed scale, which ${folded} contains. Give a checkpoint whose activations are scaled as they come (W8A8_DYNAMIC), or one that is not quantised.`;
}

/**
 * Tensors that stand where the layer's own do, and that it does not use: it would compute something else than the model does.
 * They stand there when they share the first part of a published name: mlp of mlp.experts.0.up_proj.weight.
 */
export function unusedProblem(
  layer: Layer,
  prefix: string,
  matches: readonly WeightMatch[],
  unused: readonly string[],
  file: SafetensorsFile,
): Diagnostic | undefined {
  const roots = new Set(
    matches.flatMap(({ source }) => (source.tensor.includes(".") ? [source.tensor.split(".")[0]] : [])),
  );
  const inside = unused.filter((key) => {
    const rest = key.slice(prefix.length);
    return key.startsWith(prefix) && rest.includes(".") && roots.has(rest.split(".")[0]);
  });
  const [first] = inside;
  if (first === undefined) return undefined;
  const shown = `${inside.slice(0, 3).join(", ")}${inside.length > 3 ? `, … ${inside.at(-1)}` : ""}`;
  const beyond = matches.find(({ source, keys }) => {
    const [before = "", after = ""] = (prefix + source.tensor).split("{e}");
    return isPerExpert(source) && first.startsWith(before) && first.endsWith(after) && !keys.includes(first);
  });
  const count = beyond?.argument.value.type.dims[0];
  return {
    code: "U308",
    span: layer.span,
    message: `${file.path} holds ${inside.length} tensor${inside.length === 1 ? "" : "s"} beside the layer's own that it does not use`,
    expected: `only what ${layer.name} uses, in ${[...roots].map((root) => `${prefix}${root}`).join(", ")}`,
    found: shown,
    help:
      count === undefined
        ? "The model computes with them, so the layer's result would be another. Mend the layer, or accept it with --allow-unused."
        : `The layer has ${count} = ${beyond?.keys.length} experts, the file more: give the right number with --config or --param.`,
  };
}
