import { IrError } from "../core/diagnostic.ts";
import type { Layer, Operation, Region, Value } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { formatType } from "../core/types.ts";
import type { ChoiceOutcome, EvaluationContext } from "../ops/definition.ts";
import { opDefinition } from "../ops/index.ts";
import { checkArgument } from "./arguments.ts";

export interface InterpreterInput {
  /** Values of the run-time symbols, such as T. Parameters have theirs from the layer. */
  readonly dims: Readonly<Record<string, number>>;
  /** Tensors by argument name. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** What a backend chose, by the name of the chosen value (a router's ids); the oracle follows it where rounding explains it. */
  readonly choices?: ReadonlyMap<string, Int32Array>;
  /** Whether choices are followed without question; default false. */
  readonly trusted?: boolean;
  /** Told of each operation as it is done; of those in an expert's body once per expert, for all its tokens together. */
  observe?(operation: Operation, results: readonly Tensor[]): void;
}

/** What an operation chose by comparing floats: a router's experts, the index of a largest element. */
export interface ChosenValue {
  /** Name of the value. */
  readonly name: string;
  /** All results of the operation; the first is the choice. */
  readonly results: readonly Tensor[];
  readonly outcome: ChoiceOutcome;
}

export interface InterpreterOutput {
  /** By result name. Floats are Float64Array with bounds. */
  readonly results: ReadonlyMap<string, Tensor>;
  /** One for each operation that chooses, in order. */
  readonly choices: readonly ChosenValue[];
}

/**
 * Runs a layer by the reference meanings of its ops: the oracle. Throws IrError where tensors or dims do not fit the layer.
 * Values are let go after their last use, so memory is bounded by what is alive at once.
 */
export function interpret(layer: Layer, input: InterpreterInput): InterpreterOutput {
  const dims = allDims(layer, input.dims);
  const known = new Set(layer.args.map((a) => a.value.name));
  for (const name of input.tensors.keys())
    if (!known.has(name))
      throw new IrError(`layer ${layer.name} has no argument ${name}`, `Its arguments are ${[...known].join(", ")}.`);
  const values = new Map<Value, Tensor>();
  for (const arg of layer.args) values.set(arg.value, checkArgument(layer, arg, input.tensors, dims));

  const choices: ChosenValue[] = [];
  const names = new Set<string>();
  const run = (operation: Operation, scope: ReadonlyMap<Value, Tensor>): readonly Tensor[] => {
    let chosen: { value: Value; outcome: ChoiceOutcome } | undefined;
    const context: EvaluationContext & { results: readonly Value[] } = {
      dims,
      results: operation.results,
      runRegion: (region, args) => runRegion(region, args, scope),
      choice: (value) => ({
        given: input.choices?.get(value.name),
        trusted: input.trusted === true,
        report: (outcome) => {
          chosen = { value, outcome };
        },
      }),
    };
    const operands = operation.operands.map((v) => lookUp(scope, v));
    const results = opDefinition(operation.op).evaluate(operands, operation.attributes, operation.regions, context);
    if (chosen !== undefined) {
      names.add(chosen.value.name);
      choices.push({ name: chosen.value.name, results, outcome: chosen.outcome });
    }
    input.observe?.(operation, results);
    return results;
  };
  const runRegion = (region: Region, args: readonly Tensor[], outer: ReadonlyMap<Value, Tensor>): readonly Tensor[] => {
    const scope = new Map(outer);
    region.args.forEach((value, i) => {
      scope.set(value, args[i]);
    });
    for (const operation of region.body) define(scope, operation, run(operation, scope));
    return region.results.map((v) => lookUp(scope, v));
  };

  const lastUse = lastUses(layer);
  layer.body.forEach((operation, i) => {
    const results = run(operation, values);
    define(values, operation, results);
    checkDims(operation, results, dims);
    for (const value of lastUse[i]) values.delete(value);
  });
  for (const name of input.choices?.keys() ?? [])
    if (!names.has(name))
      throw new IrError(
        `a choice is given for ${name}, which chooses nothing`,
        `Layer ${layer.name} chooses ${[...names].join(", ") || "nothing"}.`,
      );
  return { results: new Map(layer.results.map((r) => [r.name, lookUp(values, r.value)])), choices };
}

function allDims(layer: Layer, given: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  for (const [name, size] of Object.entries(given)) {
    if (Object.hasOwn(layer.params, name) && layer.params[name] !== size)
      throw new IrError(
        `${name} is a parameter of layer ${layer.name} with the value ${layer.params[name]}, found ${size}`,
        "Change parameters in the layer; give values for its run-time symbols only.",
      );
    if (!Number.isSafeInteger(size) || size < 0)
      throw new IrError(`${name} is ${size}, expected a whole number of at least 0`, `Give a size for ${name}.`);
  }
  return { ...layer.params, ...given };
}

function lookUp(scope: ReadonlyMap<Value, Tensor>, value: Value): Tensor {
  const tensor = scope.get(value);
  if (tensor === undefined)
    throw new IrError(`${value.name} has no value here`, "Check the layer with checkLayer before running it.");
  return tensor;
}

function define(scope: Map<Value, Tensor>, operation: Operation, results: readonly Tensor[]): void {
  operation.results.forEach((value, i) => {
    scope.set(value, results[i]);
  });
}

/** Holds every reference meaning to the type that its verifier promises. */
function checkDims(operation: Operation, results: readonly Tensor[], dims: Readonly<Record<string, number>>): void {
  operation.results.forEach(({ name, type }, i) => {
    const { dtype, dims: found } = results[i];
    const expected = type.dims.map((d) => d.evaluate(dims));
    if (dtype !== type.dtype || expected.length !== found.length || expected.some((s, j) => s !== found[j]))
      throw new IrError(
        `${operation.op} made ${dtype}[${found.join(", ")}] for ${name}, expected ${formatType(type)} = [${expected.join(", ")}]`,
        "Give tensors whose dimensions agree with each other.",
      );
  });
}

/** For each operation of the layer's body, the values that nothing after it uses. Results of the layer stay. */
function lastUses(layer: Layer): Value[][] {
  const last = new Map<Value, number>();
  const use = (operation: Operation, i: number): void => {
    for (const value of [...operation.operands, ...operation.results]) last.set(value, i);
    for (const region of operation.regions) {
      for (const value of region.results) last.set(value, i);
      for (const inner of region.body) use(inner, i);
    }
  };
  layer.body.forEach(use);
  for (const { value } of layer.results) last.delete(value);
  const at: Value[][] = layer.body.map(() => []);
  for (const [value, i] of last) at[i].push(value);
  return at;
}
