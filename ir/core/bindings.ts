import { IrError } from "./diagnostic.ts";
import { Dim } from "./dim.ts";
import type { Attribute } from "./layer.ts";

/** How the elements of a published tensor are coded, where a dtype does not say it all. */
export const tensorFormats = ["mxfp4", "fp8-128", "int8"] as const;
export type TensorFormat = (typeof tensorFormats)[number];

/** A published tensor that holds a weight, or a part of it. */
export type TensorSource = {
  /** Its name. `{e}` stands for the expert: the weight's first dimension counts tensors. */
  readonly tensor: string;
  /**
   * Its dimensions, in the weight's own: in another order, multiplied (`"E*I"`: one dimension holds two, row-major), or multiplied
   * by a number (`"2*I"`: halves; `"I*2"`: in turn), of which `part` tells the weight's share. Default: those of the weight.
   */
  readonly dims?: readonly (string | number)[];
  readonly part?: number;
  /** `mxfp4`: blocks of 32 along the last dimension; `fp8-128`: scales for blocks of 128 × 128; `int8`: a scale for each row. */
  readonly format?: TensorFormat;
  /** The tensor with the scales of `format`. */
  readonly scales?: string;
};

/** A name, or a tensor with its layout. */
export type WeightSource = string | TensorSource;

/** Where a weight is found: at the first of these that a checkpoint has. */
export type WeightBinding = WeightSource | readonly WeightSource[];

/** The sources of a binding, in order; undefined: the weight's own name. */
export function sourcesOf(name: string, binding: WeightBinding | undefined): readonly TensorSource[] {
  const sources = binding === undefined ? [name] : isList(binding) ? binding : [binding];
  return sources.map((source) => (typeof source === "string" ? { tensor: source } : source));
}

const isList = (binding: WeightBinding): binding is readonly WeightSource[] => Array.isArray(binding);

/** Whether a source is one tensor for each expert. */
export const isPerExpert = (source: TensorSource): boolean => source.tensor.includes("{e}");

/** One factor of a published dimension: a dimension of the weight, or the parts of which the weight is one. */
interface Factor {
  readonly size: Dim;
  /** Which dimension of the weight; undefined: the parts. */
  readonly dim: number | undefined;
}

/** How a published tensor is laid out. */
export interface TensorLayout {
  /** Its dimensions. */
  readonly shape: readonly Dim[];
  /** All factors of its dimensions in order: together they count its elements, row-major. */
  readonly factors: readonly Factor[];
  /** Which of the parts the weight is. */
  readonly part: number;
}

/**
 * The layout of a source of a weight with these dimensions. With `{e}` it is that of the tensor of one expert, and factors count
 * the weight's dimensions without the first.
 * @throws IrError where they do not fit
 */
export function layoutOf(weight: readonly Dim[], source: TensorSource): TensorLayout {
  const own = isPerExpert(source) ? weight.slice(1) : weight;
  const shown = `[${own.join(", ")}]`;
  const free = new Set(own.keys());
  const claim = (size: Dim): Factor | undefined => {
    const dim = [...free].find((i) => own[i]?.equals(size));
    if (dim === undefined) return undefined;
    free.delete(dim);
    return { size, dim };
  };
  const factorsOf = (text: string): readonly Factor[] => {
    const whole = claim(Dim.parse(text));
    if (whole !== undefined) return [whole];
    return text.split("*").map((factor): Factor => {
      const size = Dim.parse(factor);
      const known = size.constant === undefined ? claim(size) : undefined;
      if (known !== undefined) return known;
      if (size.constant !== undefined && size.constant >= 1) return { size, dim: undefined };
      throw new IrError(
        `${factor.trim()} in "${text}" is no dimension of the weight that is left`,
        `Name each dimension of ${shown} once; a number in a product counts parts.`,
      );
    });
  };
  const published = (source.dims ?? own.map(String)).map((dim) => factorsOf(String(dim)));
  const missing = [...free].filter((i) => own[i]?.constant !== 1);
  if (missing.length > 0) {
    throw new IrError(
      `${missing.map((i) => own[i]).join(" and ")} of the weight ${missing.length === 1 ? "is" : "are"} in no published dimension`,
      `Name each dimension of ${shown} once.`,
    );
  }
  const factors = published.flat();
  const parts = factors.filter((f) => f.dim === undefined && f.size.constant !== 1);
  const [count] = parts;
  if (parts.length > 1) {
    throw new IrError("the published tensor has parts in two dimensions", "Let one number alone count the parts.");
  }
  const { part = 0 } = source;
  if (count === undefined ? source.part !== undefined : source.part === undefined) {
    throw new IrError(
      count === undefined
        ? `part is ${part}, but dims has no parts`
        : `dims has ${count.size} parts, but part is left out`,
      count === undefined
        ? 'Leave part out, or write the parts into dims: "2*I".'
        : `Give part a number from 0 to ${(count.size.constant ?? 1) - 1}.`,
    );
  }
  if (count !== undefined && !(Number.isInteger(part) && part >= 0 && part < (count.size.constant ?? 1))) {
    throw new IrError(`part is ${part} of ${count.size}`, `Give a number from 0 to ${(count.size.constant ?? 1) - 1}.`);
  }
  const shape = published.map((each) => each.reduce((product, { size }) => product.times(size), Dim.of(1)));
  return { shape, factors, part };
}

/**
 * A binding from plain data, such as the text form of a layer has.
 * @throws IrError where it is none
 */
export function readBinding(value: Attribute): WeightBinding {
  return Array.isArray(value) ? nonEmpty(value.map(readSource)) : readSource(value);
}

function nonEmpty(sources: readonly WeightSource[]): readonly WeightSource[] {
  if (sources.length > 0) return sources;
  throw new IrError("the list of published names is empty", "Write a name.");
}

const members = ["tensor", "dims", "part", "format", "scales"];
const expectedSource = "a name, or { tensor, dims, part, format, scales }, or a list of these";

function readSource(value: Attribute): WeightSource {
  if (typeof value === "string") return checkName(value);
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Dim) throw wrong("a published tensor");
  const { tensor, dims, part, format, scales } = value as Readonly<Record<string, Attribute | undefined>>;
  const unknown = Object.keys(value).find((name) => !members.includes(name));
  if (unknown !== undefined) throw new IrError(`a published tensor has no ${unknown}`, `It has ${members.join(", ")}.`);
  if (typeof tensor !== "string") throw wrong("tensor");
  const isDims = (list: Attribute): list is readonly (string | number)[] =>
    Array.isArray(list) && list.every((d: unknown) => typeof d === "string" || typeof d === "number");
  if (dims !== undefined && !isDims(dims)) throw wrong("dims", 'a list of dimensions, such as ["E", "2*I", "H"]');
  if (part !== undefined && typeof part !== "number") throw wrong("part", "a whole number");
  const known = tensorFormats.find((f) => f === format);
  if (format !== undefined && known === undefined)
    throw wrong("format", tensorFormats.map((f) => `"${f}"`).join(" or "));
  if (scales !== undefined && typeof scales !== "string") throw wrong("scales", "the name of a tensor");
  if ((format === undefined) !== (scales === undefined)) {
    throw new IrError(`${format === undefined ? "scales" : "format"} stands alone`, "Give format and scales together.");
  }
  return {
    tensor: checkName(tensor),
    ...(dims === undefined ? {} : { dims }),
    ...(part === undefined ? {} : { part }),
    ...(known === undefined ? {} : { format: known }),
    ...(scales === undefined ? {} : { scales: checkName(scales) }),
  };
}

function checkName(name: string): string {
  if (name !== "" && !/[{}]/.test(name.replace("{e}", ""))) return name;
  throw new IrError(
    `${JSON.stringify(name)} is no published name`,
    "Write a text, in which {e} may stand once for the expert's number.",
  );
}

const wrong = (what: string, expected = expectedSource): IrError =>
  new IrError(`${what} of a published name is of the wrong kind`, `Write ${expected}.`);
