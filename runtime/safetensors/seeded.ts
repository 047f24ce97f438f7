import { encodeF16 } from "../../ir/core/float16.ts";

export type SeededDtype = "F32" | "BF16" | "F16";

export interface SeededOptions {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** The tensor's name: tensors of one seed differ by it. */
  readonly name: string;
  readonly dtype: SeededDtype;
  /** The bound of the values' magnitude: a power of two from 2^-16 to 2^15. */
  readonly scale: number;
  /** The index in the tensor of the target's first element; 0 unless told. */
  readonly start?: number;
}

const VALUES_PER_HASH = 4;
const FNV_PRIME = 0x01000193;

/**
 * Fills target with random numbers that depend on the seed, the tensor's name and the element's index only: not on the machine
 * nor on how the tensor is cut into pieces. They are uniform over the 256 odd multiples of scale/256 between -scale and
 * scale: mean 0, standard deviation scale/√3. Those have 8 significant bits, so that F32, BF16 and F16 hold the same numbers.
 * @param target elements of the dtype: Uint16Array for BF16 and F16 (as bits), Float32Array for F32, or their bytes, aligned
 * @throws TypeError when the target does not fit the dtype, RangeError when seed, scale or start is out of range
 */
export function fillSeeded(target: Uint16Array | Float32Array | Uint8Array, options: SeededOptions): void {
  const { seed, name, dtype, scale, start = 0 } = options;
  checkScale(scale);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`the seed must be an integer >= 0; found ${seed}`);
  const elements = elementsOf(target, dtype);
  if (!Number.isSafeInteger(start) || start < 0 || !Number.isSafeInteger(start + elements.length)) {
    throw new RangeError(`the start must be an integer >= 0; found ${start}`);
  }
  const table = valueTable(dtype, scale);
  const low = keyOf(name, seed >>> 0, 0x811c9dc5);
  const high = keyOf(name, Math.floor(seed / 2 ** 32), low ^ 0x5bd1e995);
  for (let done = 0; done < elements.length; ) {
    const index = start + done;
    const block = Math.floor(index / VALUES_PER_HASH);
    // The hash counts 32 bits; what is above selects another stream.
    const epoch = Math.floor(block / 2 ** 32);
    const first = low ^ Math.imul(epoch, 0x27d4eb2f);
    const toEpochEnd = (2 ** 32 - (block % 2 ** 32)) * VALUES_PER_HASH - (index % VALUES_PER_HASH);
    const count = Math.min(elements.length - done, toEpochEnd);
    fillEpoch(elements, done, count, block >>> 0, index % VALUES_PER_HASH, first, high, table);
    done += count;
  }
}

/** Fills count elements from position `from` on, beginning with byte `skip` of the hash numbered `block`. */
function fillEpoch(
  elements: Uint16Array | Uint32Array,
  from: number,
  count: number,
  block: number,
  skip: number,
  low: number,
  high: number,
  table: Uint16Array | Uint32Array,
): void {
  const end = from + count;
  let at = from;
  let number = block;
  if (skip > 0) {
    let bits = hash(number++, low, high) >>> (8 * skip);
    for (let i = skip; i < VALUES_PER_HASH && at < end; i++, bits >>>= 8) elements[at++] = table[bits & 255];
  }
  for (; at + VALUES_PER_HASH <= end; at += VALUES_PER_HASH) {
    const bits = hash(number++, low, high);
    elements[at] = table[bits & 255];
    elements[at + 1] = table[(bits >>> 8) & 255];
    elements[at + 2] = table[(bits >>> 16) & 255];
    elements[at + 3] = table[bits >>> 24];
  }
  for (let bits = hash(number, low, high); at < end; bits >>>= 8) elements[at++] = table[bits & 255];
}

/** A 32-bit mix of a counter; the second key enters between its rounds, so that two tensors are not one stream shifted. */
function hash(counter: number, low: number, high: number): number {
  let x = (counter + low) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = (x + high) | 0;
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** FNV-1a over the name's code units, then the seed's half, then a last mix. */
function keyOf(name: string, seed: number, start: number): number {
  let key = start | 0;
  for (let i = 0; i < name.length; i++) key = Math.imul(key ^ name.charCodeAt(i), FNV_PRIME);
  for (let shift = 0; shift < 32; shift += 8) key = Math.imul(key ^ ((seed >>> shift) & 255), FNV_PRIME);
  return hash(key, start, seed | 0);
}

/** The bits of the 256 values, in the target's dtype. */
function valueTable(dtype: SeededDtype, scale: number): Uint16Array | Uint32Array {
  const values = Float32Array.from({ length: 256 }, (_, byte) => ((2 * byte - 255) / 256) * scale);
  if (dtype === "F32") return new Uint32Array(values.buffer);
  const bits = new Uint16Array(256);
  if (dtype === "F16") encodeF16(values, bits);
  else
    new Uint32Array(values.buffer).forEach((word, byte) => {
      bits[byte] = word >>> 16;
    }); // exact: the rest is 0
  return bits;
}

function elementsOf(target: Uint16Array | Float32Array | Uint8Array, dtype: SeededDtype): Uint16Array | Uint32Array {
  const size = dtype === "F32" ? 4 : 2;
  const isOwnType = target.BYTES_PER_ELEMENT === 1 || target instanceof (size === 4 ? Float32Array : Uint16Array);
  if (!isOwnType || target.byteLength % size !== 0 || target.byteOffset % size !== 0) {
    throw new TypeError(
      `the target of ${dtype} must be a ${size === 4 ? "Float32Array" : "Uint16Array"} or whole, aligned elements in a ` +
        `Uint8Array; found ${target.constructor.name} of ${target.byteLength} bytes at offset ${target.byteOffset}`,
    );
  }
  const elements = target.byteLength / size;
  return size === 4
    ? new Uint32Array(target.buffer, target.byteOffset, elements)
    : new Uint16Array(target.buffer, target.byteOffset, elements);
}

/** @throws RangeError for a scale that is not a power of two from 2^-16 to 2^15 */
export function checkScale(scale: number): void {
  const exponent = Math.round(Math.log2(scale));
  if (scale === 2 ** exponent && exponent >= -16 && exponent <= 15) return;
  throw new RangeError(
    `the scale must be a power of two from 2^-16 to 2^15, so that every dtype is exact; found ${scale}`,
  );
}
