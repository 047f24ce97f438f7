// Plain objects with arrays of numbers in them, as text and bytes: what Node and a page tell each other.

const arrays = { Float32Array, Int32Array, Uint16Array, Int8Array, Uint8Array } as const;
type ArrayName = keyof typeof arrays;
type Elements = InstanceType<(typeof arrays)[ArrayName]>;

interface Reference {
  readonly $array: ArrayName;
  readonly part: number;
}

/** An object as text, in which arrays are parts by number. */
export interface Packed {
  readonly text: string;
  readonly parts: readonly Uint8Array[];
}

const nameOf = (value: object): ArrayName | undefined =>
  (Object.keys(arrays) as ArrayName[]).find((name) => value instanceof arrays[name]);

export function pack(value: unknown): Packed {
  const parts: Uint8Array[] = [];
  const text = JSON.stringify(value, (_, each: unknown) => {
    if (typeof each !== "object" || each === null) return each;
    const name = nameOf(each);
    if (name === undefined) return each;
    const { buffer, byteOffset, byteLength } = each as Elements;
    parts.push(new Uint8Array(buffer, byteOffset, byteLength));
    return { $array: name, part: parts.length - 1 } satisfies Reference;
  });
  return { text, parts };
}

/** The object again; each part begins at an address that suits its elements. */
export function unpack(text: string, parts: readonly ArrayBuffer[]): unknown {
  return JSON.parse(text, (_, each: unknown) => {
    if (typeof each !== "object" || each === null || !("$array" in each)) return each;
    const { $array, part } = each as Reference;
    return new arrays[$array](parts[part] ?? new ArrayBuffer(0));
  });
}
