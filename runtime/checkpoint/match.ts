import { isPerExpert, sourcesOf, type TensorSource } from "../../ir/core/bindings.ts";
import { type Diagnostic, DiagnosticError } from "../../ir/core/diagnostic.ts";
import type { Argument, Layer } from "../../ir/core/layer.ts";
import { noSpan } from "../../ir/core/span.ts";
import type { SafetensorsFile } from "../safetensors/index.ts";
import { type NumericLayout, numericLayout } from "./layout.ts";
import { nothingProblem, tensorProblems, unusedProblem } from "./problems.ts";

/** Where a checkpoint holds a weight: one tensor, or one for each expert. */
export interface WeightMatch {
  readonly argument: Argument;
  readonly source: TensorSource;
  readonly keys: readonly string[];
  /** The tensors with the scales, in the order of `keys`; none where the source has no format. */
  readonly scales: readonly string[];
  /** Tensors that say which code of int8 stands for 0: all their elements must be 0. */
  readonly zeros: readonly string[];
  readonly layout: NumericLayout;
}

/** Where a checkpoint holds the weights of a layer. */
export interface CheckpointMatch {
  /** What stands before all published names: "model.layers.3.". */
  readonly prefix: string;
  readonly weights: readonly WeightMatch[];
  /** Tensors that no weight uses. */
  readonly unused: readonly string[];
}

export interface MatchOptions {
  /** What stands before all published names; a dot at its end may be left out. Default: whatever fits, if one alone does. */
  readonly prefix?: string;
  /** Accept tensors that stand where the layer's own do and that it does not use. */
  readonly allowUnused?: boolean;
}

/**
 * Finds a layer's weights in a checkpoint, by published names behind one prefix, or under the names that the layer gives them.
 * @throws DiagnosticError naming every missing or misshapen tensor (U301 … U303), several prefixes that fit (U307), and tensors
 * that stand beside the layer's own and are not used (U308)
 */
export function matchWeights(layer: Layer, file: SafetensorsFile, options: MatchOptions = {}): CheckpointMatch {
  const weights = layer.args.filter((a) => a.role === "weight");
  const found = choosePrefix(layer, weights, file, options.prefix);
  const problems = found.weights.flatMap((match) => tensorProblems(layer, match, file));
  if (problems.length > 0) throw new DiagnosticError(problems);
  const used = new Set(found.weights.flatMap(tensorsOf));
  const unused = [...file.tensors.keys()].filter((key) => !used.has(key));
  if (options.allowUnused !== true) {
    const problem = unusedProblem(layer, found.prefix, found.weights, unused, file);
    if (problem !== undefined) throw new DiagnosticError([problem]);
  }
  return { ...found, unused };
}

type Found = Omit<CheckpointMatch, "unused">;

function choosePrefix(
  layer: Layer,
  weights: readonly Argument[],
  file: SafetensorsFile,
  given: string | undefined,
): Found {
  const candidates = prefixesIn(layer, weights, file).map((prefix) => matchAt(layer, weights, file, prefix));
  const held = (match: WeightMatch): number => tensorsOf(match).filter((key) => file.tensors.has(key)).length;
  const whole = (match: WeightMatch): boolean => held(match) === tensorsOf(match).length;
  const complete = candidates.filter((c) => c.weights.every(whole));
  const [first, second] = complete;
  const choose = (): Found => {
    if (given !== undefined) {
      return matchAt(layer, weights, file, given === "" || given.endsWith(".") ? given : `${given}.`);
    }
    if (first !== undefined && second !== undefined) throw new DiagnosticError([ambiguous(complete, file)]);
    // Where nothing fits, what is lacking is told for the prefix that has the most.
    const most = (c: Found): number =>
      c.weights.reduce((sum, m) => sum + (whole(m) ? 2 : held(m) / tensorsOf(m).length), 0);
    return first ?? candidates.reduce((a, b) => (most(b) > most(a) ? b : a));
  };
  const found = choose();
  if (found.weights.length > 0 && found.weights.every((m) => held(m) === 0)) {
    throw new DiagnosticError([nothingProblem(layer, found, complete.map(shownPrefix), file)]);
  }
  return found;
}

const tensorsOf = ({ keys, scales, zeros }: WeightMatch): readonly string[] => [...keys, ...scales, ...zeros];
const shownPrefix = ({ prefix }: Found): string => (prefix === "" ? '""' : prefix);

/** All that stands before a published name in the file. The empty prefix is always one. */
function prefixesIn(layer: Layer, weights: readonly Argument[], file: SafetensorsFile): readonly string[] {
  const prefixes = new Set([""]);
  for (const argument of weights) {
    const { name } = argument.value;
    for (const source of sourcesOf(name, layer.bindings[name])) {
      const ending = `.${nameOf(source.tensor, 0)}`;
      for (const key of file.tensors.keys()) {
        if (key.endsWith(ending)) prefixes.add(key.slice(0, 1 - ending.length));
      }
    }
  }
  return [...prefixes];
}

const nameOf = (pattern: string, expert: number): string => pattern.replace("{e}", String(expert));

function matchAt(layer: Layer, weights: readonly Argument[], file: SafetensorsFile, prefix: string): Found {
  return { prefix, weights: weights.map((argument) => matchWeight(layer, argument, file, prefix)) };
}

/** The first source that is there whole, else the weight under its own name, else the source of which the most is there. */
function matchWeight(layer: Layer, argument: Argument, file: SafetensorsFile, prefix: string): WeightMatch {
  const { name, type } = argument.value;
  const at = (written: TensorSource, before: string): WeightMatch => {
    const layout = numericLayout(layer, argument, written);
    const count = isPerExpert(written) ? (type.dims[0]?.evaluate(layer.params) ?? 0) : 1;
    const keys = (pattern: string) => Array.from({ length: count }, (_, e) => before + nameOf(pattern, e));
    const stored = file.tensors.get(keys(written.tensor)[0] ?? "")?.dtype;
    const isInt8 = stored === "I8" && type.dtype !== "i32" && layout.shape.length > 1;
    const source = isInt8 ? asInt8(written) : written;
    const scales = source.scales === undefined ? [] : keys(source.scales);
    const zeros =
      source.format === "int8"
        ? zeroSuffixes.flatMap((suffix) => keys(source.tensor + suffix)).filter((key) => file.tensors.has(key))
        : [];
    return { argument, source, keys: keys(source.tensor), scales, zeros, layout };
  };
  const share = (match: WeightMatch): number => {
    const all = tensorsOf(match);
    return all.filter((key) => file.tensors.has(key)).length / all.length;
  };
  const published = sourcesOf(name, layer.bindings[name]).map((source) => at(source, prefix));
  const whole = published.find((match) => share(match) === 1);
  if (whole !== undefined) return whole;
  if (file.tensors.has(name)) return at({ tensor: name }, "");
  return published.reduce((a, b) => (share(b) > share(a) ? b : a));
}

/** What follows a tensor's name in that of its zero points: in msModelSlim's files, and in compressed-tensors'. */
const zeroSuffixes = ["_offset", "_zero_point"];

/**
 * What a tensor of I8 under a name that says no format is: signed bytes with the scale of each row beside it, under its name and
 * `_scale`. So W8A8 checkpoints are published: by msModelSlim and in vLLM-Ascend (W8A8_DYNAMIC: weight, weight_scale, weight_offset), in
 * compressed-tensors' int-quantized format (weight, weight_scale, weight_zero_point) and by Quark (weight, weight_scale).
 */
const asInt8 = (source: TensorSource): TensorSource =>
  source.format === undefined ? { ...source, format: "int8", scales: `${source.tensor}_scale` } : source;

function ambiguous(candidates: readonly Found[], file: SafetensorsFile): Diagnostic {
  const names = candidates.map(shownPrefix);
  const shown = names.length > 6 ? `${names.slice(0, 5).join(", ")}, … ${names.at(-1)}` : names.join(", ");
  return {
    code: "U307",
    span: noSpan,
    message: `${file.path} holds the layer's weights ${names.length} times`,
    expected: "one of these prefixes to be chosen",
    found: shown,
    help: `Choose one: --prefix ${names[0]}`,
  };
}
