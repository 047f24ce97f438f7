import { makeOperation } from "../../ir/core/builder.ts";
import type { Argument, AttributeMap, Layer, Operation, Region, Value } from "../../ir/core/layer.ts";
import type { Span } from "../../ir/core/span.ts";
import { uniqueName } from "../unique-name.ts";

/** Handles an operation (true: its results are replaced), or leaves it to be copied. */
export type Visit = (operation: Operation, rewriter: Rewriter) => boolean;

/** Builds the new body of a layer from the old one: operations are re-made with their operands replaced. */
export class Rewriter {
  readonly body: Operation[] = [];
  readonly #values = new Map<Value, Value>();
  /** Names of values already defined, also inside regions. */
  readonly #names: Set<string>;

  /** The rewriter of the body around a region. */
  readonly outer: Rewriter | undefined;

  constructor(names: Set<string> = new Set(), outer?: Rewriter) {
    this.#names = names;
    this.outer = outer;
  }

  /** Says that an argument is defined. */
  define(value: Value): void {
    this.#names.add(value.name);
  }

  /** The new value that stands for an old one. */
  get(value: Value): Value {
    return this.#values.get(value) ?? value;
  }

  /** From here on, uses of `old` become uses of `replacement`. */
  replace(old: Value, replacement: Value): void {
    this.#values.set(old, replacement);
  }

  /** Adds an operation over new values. */
  add(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    options: { span: Span; names?: readonly string[] },
  ): readonly Value[] {
    const names = (options.names ?? []).map((n) => uniqueName(n, this.#names));
    const operation = makeOperation(op, operands, attributes, { ...options, names });
    this.body.push(operation);
    return operation.results;
  }

  /** Adds an operation over new values that has one result. */
  one(op: string, operands: readonly Value[], attributes: AttributeMap, span: Span, name: string): Value {
    return this.add(op, operands, attributes, { span, names: [name] })[0] as Value;
  }

  /** Copies an operation; its type is inferred anew from the new operands. Those in its regions go to `visit` first. */
  copy(operation: Operation, visit: Visit = () => false): void {
    const regions = operation.regions.map((r) => this.#region(r, visit));
    const made = makeOperation(
      operation.op,
      operation.operands.map((v) => this.get(v)),
      operation.attributes,
      {
        span: operation.span,
        names: operation.results.map((r) => uniqueName(r.name, this.#names)),
        regions,
      },
    );
    this.body.push(made);
    operation.results.forEach((old, i) => {
      this.replace(old, made.results[i] as Value);
    });
  }

  #region(region: Region, visit: Visit): Region {
    const inner = new Rewriter(this.#names, this);
    region.args.forEach((a) => {
      inner.define(a);
    });
    for (const [old, replacement] of this.#values) inner.replace(old, replacement);
    for (const operation of region.body) if (!visit(operation, inner)) inner.copy(operation, visit);
    return { args: region.args, body: inner.body, results: region.results.map((v) => inner.get(v)) };
  }
}

/**
 * A layer with each operation passed to `visit`, which either handles it (returns true: its results are replaced) or leaves
 * it to be copied. `args` may change the arguments first.
 */
export function rewriteLayer(layer: Layer, visit: Visit, args: (argument: Argument) => Argument = (a) => a): Layer {
  const rewriter = new Rewriter();
  const newArgs = layer.args.map((old) => {
    const made = args(old);
    rewriter.define(made.value);
    rewriter.replace(old.value, made.value);
    return made;
  });
  for (const operation of layer.body) {
    if (!visit(operation, rewriter)) rewriter.copy(operation);
  }
  return {
    ...layer,
    args: newArgs,
    body: rewriter.body,
    results: layer.results.map(({ name, value }) => ({ name, value: rewriter.get(value) })),
  };
}

/** The operation that makes each value of a body (not of its regions). */
export function producers(layer: Layer): ReadonlyMap<Value, Operation> {
  return new Map(layer.body.flatMap((operation) => operation.results.map((r) => [r, operation] as const)));
}

/** How often each value is used: as an operand, also inside regions, or as a result of the layer or a region. */
export function useCounts(layer: Layer): ReadonlyMap<Value, number> {
  const counts = new Map<Value, number>();
  const use = (value: Value): void => {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  };
  const visit = (body: readonly Operation[]): void => {
    for (const operation of body) {
      operation.operands.forEach(use);
      for (const region of operation.regions) {
        visit(region.body);
        region.results.forEach(use);
      }
    }
  };
  visit(layer.body);
  for (const { value } of layer.results) use(value);
  return counts;
}
