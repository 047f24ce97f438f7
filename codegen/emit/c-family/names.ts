const reserved = new Set(
  `auto break case char const continue default do double else enum extern float for goto if inline int long register restrict
  return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false main arguments args
  NAN INFINITY floor floorf exp expf log logf sqrt sqrtf fabsf memcpy memset int8_t int16_t int32_t int64_t uint8_t uint16_t
  uint32_t uint64_t size_t I y0 y1 yn j0 j1 jn gamma`.split(/\s+/),
);

/** A name as a C identifier that is no keyword and not in the name space of intrinsics or of the support headers. */
export function identifier(name: string): string {
  const plain = name.replace(/\W/g, "_").replace(/^(?=\d)/, "_");
  return reserved.has(plain) || /^(__|_[A-Z]|_mm|unmoor_)/.test(plain) ? `v_${plain}` : plain;
}

/** A run-time size as a C identifier. Names of the emitted code itself begin with a small letter; sizes then do not. */
export const sizeIdentifier = (symbol: string): string => identifier(/^[a-z]/.test(symbol) ? `Size_${symbol}` : symbol);

/** A name of tile IR without the number that keeps it apart from others: C has scopes for that. */
export const plainName = (name: string): string => name.replace(/_\d+$/, "");

/** Hands out C identifiers, each once; those of a closed block may come again. */
export class Names {
  readonly #taken: Set<string>;
  readonly #outer: Names | undefined;

  /** Names of `outer`, also those taken later, are not handed out here. */
  constructor(taken: Iterable<string> = [], outer?: Names) {
    this.#taken = new Set(taken);
    this.#outer = outer;
  }

  has(name: string): boolean {
    return this.#taken.has(name) || (this.#outer?.has(name) ?? false);
  }

  unique(hint: string, also?: Names): string {
    const base = identifier(hint);
    let name = base;
    for (let i = 2; this.has(name) || also?.has(name); i++) name = `${base}_${i}`;
    this.#taken.add(name);
    return name;
  }

  /** A name such that its members `name_suffix` are new too; takes them all. */
  family(hint: string, suffixes: readonly string[]): string {
    const name = this.unique(hint);
    const members = suffixes.map((s) => `${name}_${s}`);
    if (members.some((m) => this.has(m))) return this.family(hint, suffixes);
    for (const m of members) this.#taken.add(m);
    return name;
  }

  /** The number of names taken; `release` with it gives up those taken since. */
  mark(): number {
    return this.#taken.size;
  }

  release(mark: number): void {
    for (const name of [...this.#taken].slice(mark)) this.#taken.delete(name);
  }
}
