/**
 * Writes ONNX models whose weights lie outside, given to the session by name; whole numbers, such as shapes, lie within. Field numbers
 * are those of onnx.proto (onnx/onnx, IR version 10): the few that such a model needs.
 */

/** TensorProto.DataType. */
export const elementTypes = { f32: 1, u8: 2, i64: 7 } as const;
type OnnxElement = keyof typeof elementTypes;

export interface OnnxInitializer {
  readonly name: string;
  readonly type: OnnxElement;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

export interface OnnxNode {
  readonly op: string;
  readonly domain?: string;
  /** Names of values; an empty name where an optional one is not given. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A whole number, several, `{ float }`, or text. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

/** An input or output of f32: numbers, and names of dimensions that a run decides. */
export interface OnnxValue {
  readonly name: string;
  readonly dims: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
}

/** Whether the bytes of an initializer are expected in an external file of its name. */
export const isExternal = ({ type }: OnnxInitializer): boolean => type !== "i64";

/** The model's bytes. */
export function onnxModel({ inputs, outputs, nodes, initializers }: OnnxGraph): Uint8Array {
  const graph = message(
    ...nodes.map((n) => part(1, node(n))),
    text(2, "layer"),
    ...initializers.map((i) => part(5, initializer(i))),
    ...inputs.map((v) => part(11, value(v))),
    ...outputs.map((v) => part(12, value(v))),
  );
  const opset = (domain: string, version: number) => part(8, message(text(1, domain), whole(2, version)));
  return message(whole(1, 10), part(7, graph), opset("", 21), opset("com.microsoft", 1));
}

const node = ({ op, domain = "", inputs, outputs, attributes }: OnnxNode): Uint8Array =>
  message(
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, given]) => part(5, attribute(name, given))),
    text(7, domain),
  );

function attribute(name: string, given: Attribute): Uint8Array {
  if (typeof given === "number") return message(text(1, name), whole(3, given), whole(20, 2));
  if (typeof given === "string") return message(text(1, name), text(4, given), whole(20, 3));
  if ("length" in given) return message(text(1, name), ...given.map((each) => whole(8, each)), whole(20, 7));
  const float = new Uint8Array(new Float32Array([given.float]).buffer);
  return message(text(1, name), new Uint8Array([(2 << 3) | 5, ...float]), whole(20, 1));
}

function initializer(given: OnnxInitializer): Uint8Array {
  const { name, type, dims, bytes } = given;
  const entry = (key: string, of: string) => part(13, message(text(1, key), text(2, of)));
  const head = [...dims.map((d) => whole(1, d)), whole(2, elementTypes[type]), text(8, name)];
  if (!isExternal(given)) return message(...head, part(9, bytes));
  return message(
    ...head,
    entry("location", name),
    entry("offset", "0"),
    entry("length", String(bytes.length)),
    whole(14, 1),
  );
}

function value({ name, dims }: OnnxValue): Uint8Array {
  const shape = message(
    ...dims.map((d) => part(1, typeof d === "number" ? message(whole(1, d)) : message(text(2, d)))),
  );
  const tensor = message(whole(1, elementTypes.f32), part(2, shape));
  return message(text(1, name), part(2, message(part(1, tensor))));
}

// Protocol buffers: a field is its number and wire type, then a varint, or a length and so many bytes.

const message = (...parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const each of parts) {
    out.set(each, at);
    at += each.length;
  }
  return out;
};

/** Negative numbers as 64 bits in two's complement. */
function varint(number: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(number));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) + 128);
  return [...bytes, Number(rest)];
}

const whole = (field: number, number: number): Uint8Array =>
  Uint8Array.from([...varint(field << 3), ...varint(number)]);
const part = (field: number, bytes: Uint8Array): Uint8Array =>
  message(Uint8Array.from([...varint((field << 3) | 2), ...varint(bytes.length)]), bytes);
const text = (field: number, content: string): Uint8Array => part(field, new TextEncoder().encode(content));
