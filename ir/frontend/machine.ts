import type { ts } from "ts-morph";
import type { AttributeMap, Region, Value } from "../core/layer.ts";
import type { Module } from "./module.ts";
import type { Scope } from "./scope.ts";
import type { StaticValue } from "./values.ts";

/** What the parts of the partial evaluator ask of each other. */
export interface Machine {
  /** Values of the layer's parameters. */
  readonly params: Readonly<Record<string, number>>;
  /** @param hint name for the tensor that the expression makes, if it makes one */
  evaluate(node: ts.Expression, scope: Scope, hint?: string): StaticValue;
  /** Calls a function of the source with as many arguments as it takes of those given. */
  invoke(fn: StaticValue & { kind: "function" }, args: readonly StaticValue[], at: ts.Node, hint?: string): StaticValue;
  /** Binds a name or pattern. */
  bind(name: ts.BindingName, value: StaticValue, scope: Scope, assignable: boolean): void;
  /** The value of a top-level name, or undefined where the module has none. */
  lookup(module: Module, name: string, at: ts.Node): StaticValue | undefined;
  /** Adds an op to the body being built. Wrong operands are a diagnostic at `at`. */
  add(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    at: ts.Node,
    options?: AddOptions,
  ): readonly Value[];
  /** As `add`, for an op with one result. */
  one(op: string, operands: readonly Value[], attributes: AttributeMap, at: ts.Node, options?: AddOptions): StaticValue;
  /** Builds the body of a region: what `build` adds goes there. */
  region(args: readonly Value[], build: () => Value): Region;
  /** A name that no value of the layer has yet. */
  fresh(name: string): string;
  /** Records an error and goes on; `thrown` that is no error of the source is thrown again. */
  report(thrown: unknown): void;
}

export interface AddOptions {
  readonly names?: readonly string[];
  readonly regions?: readonly Region[];
}
