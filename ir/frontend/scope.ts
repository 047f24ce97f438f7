import type { Module } from "./module.ts";
import type { StaticValue } from "./values.ts";

interface Binding {
  /** "later": the block declares the name further down. */
  value: StaticValue | "later";
  readonly assignable: boolean;
}

/** Names that are visible at a place. The outermost scope of each is the module. */
export class Scope {
  readonly module: Module;
  /** Which call the scope belongs to: a variable can be assigned only in the call that declares it. */
  readonly call: object;
  readonly #parent: Scope | undefined;
  readonly #names = new Map<string, Binding>();

  constructor(module: Module, call: object, parent?: Scope) {
    this.module = module;
    this.call = call;
    this.#parent = parent;
  }

  /** A block within the same call. */
  block(): Scope {
    return new Scope(this.module, this.call, this);
  }

  /** The scope of a call of a function that was defined here. */
  enter(): Scope {
    return new Scope(this.module, {}, this);
  }

  /** Says that this block will declare a name: until then it hides those of the same name around it. */
  announce(name: string): void {
    if (!this.#names.has(name)) this.#names.set(name, { value: "later", assignable: false });
  }

  declare(name: string, value: StaticValue, assignable = false): void {
    this.#names.set(name, { value, assignable });
  }

  /** Whether this very block has declared the name. */
  has(name: string): boolean {
    return (this.#names.get(name)?.value ?? "later") !== "later";
  }

  find(name: string): StaticValue | "later" | undefined {
    return this.#names.get(name)?.value ?? this.#parent?.find(name);
  }

  /** Assigns a variable; says why not where it cannot be. */
  assign(name: string, value: StaticValue, call: object = this.call): "done" | "constant" | "outer" | "missing" {
    const binding = this.#names.get(name);
    if (binding === undefined) return this.#parent?.assign(name, value, call) ?? "missing";
    if (!binding.assignable) return "constant";
    if (this.call !== call) return "outer";
    binding.value = value;
    return "done";
  }

  /** Names of this scope and those around it, without the module's. */
  *names(): Generator<string> {
    yield* this.#names.keys();
    if (this.#parent !== undefined) yield* this.#parent.names();
  }
}
