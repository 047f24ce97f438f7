import { isAttributeMap } from "../ops/attributes.ts";
import { opDefinition } from "../ops/index.ts";
import { DiagnosticError, IrError } from "./diagnostic.ts";
import { Dim } from "./dim.ts";
import {
  type Argument,
  type Attribute,
  type AttributeMap,
  type Layer,
  type Operation,
  type Region,
  type Value,
  walk,
} from "./layer.ts";
import type { Span } from "./span.ts";
import { formatType, type TensorType } from "./types.ts";

/** Makes one checked operation. `names` are hints for its results. */
export function makeOperation(
  op: string,
  operands: readonly Value[],
  attributes: AttributeMap,
  options: { readonly span: Span; readonly names?: readonly string[]; readonly regions?: readonly Region[] },
): Operation {
  const regions = options.regions ?? [];
  const types = opDefinition(op).infer(
    operands.map((v) => v.type),
    attributes,
    regions,
  );
  const results = types.map((type, i) => ({ name: options.names?.[i] ?? `${op}_${i}`, type }));
  return { op, operands, attributes, regions, results, span: options.span };
}

/** Collects checked operations into a body: a layer's, or a region's. */
export class Builder {
  readonly body: Operation[] = [];

  /** Adds an operation and returns its results. */
  add(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    options: { readonly span: Span; readonly names?: readonly string[]; readonly regions?: readonly Region[] },
  ): readonly Value[] {
    const operation = makeOperation(op, operands, attributes, options);
    this.body.push(operation);
    return operation.results;
  }

  /** Adds an operation that has exactly one result. */
  one(
    op: string,
    operands: readonly Value[],
    attributes: AttributeMap,
    options: { readonly span: Span; readonly name?: string; readonly regions?: readonly Region[] },
  ): Value {
    const { name, ...rest } = options;
    const [value] = this.add(op, operands, attributes, name === undefined ? rest : { ...rest, names: [name] });
    if (value === undefined) throw new IrError(`${op} has no result`, "Use an op with a result here.");
    return value;
  }
}

export const argument = (
  name: string,
  type: TensorType,
  role: Argument["role"],
  storage: Argument["storage"] = "auto",
): Argument => ({ value: { name, type }, role, storage });

const substituteAttribute = (value: Attribute, params: Readonly<Record<string, number>>): Attribute => {
  if (value instanceof Dim) return value.substitute(params);
  if (Array.isArray(value)) return value.map((v: Attribute) => substituteAttribute(v, params));
  if (typeof value === "object" && isAttributeMap(value)) return substituteAttributes(value, params);
  return value;
};

/** Attributes with the parameters' values in place of their names, wherever a dimension stands. */
export const substituteAttributes = (
  attributes: AttributeMap,
  params: Readonly<Record<string, number>>,
): AttributeMap =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, substituteAttribute(value, params)]));

/** A type with the parameters' values in place of their names. */
export const substituteType = (type: TensorType, params: Readonly<Record<string, number>>): TensorType => ({
  dtype: type.dtype,
  dims: type.dims.map((d) => d.substitute(params)),
});

/**
 * Checks an operation once more with the parameters' values: what symbols leave open (top_k over the number of experts,
 * sizes below 1) shows only then. Throws IrError. Call it right after makeOperation where the parameters are known.
 */
export function checkSizes(operation: Operation, params: Readonly<Record<string, number>>): void {
  for (const { type } of operation.results) checkPositive(type, params);
  if (operation.regions.length > 0) return;
  const operands = operation.operands.map((v) => substituteType(v.type, params));
  const attributes = substituteAttributes(operation.attributes, params);
  const definition = opDefinition(operation.op);
  definition.infer(operands, attributes, []);
  definition.checkSizes?.(operands, attributes);
}

function checkPositive(type: TensorType, params: Readonly<Record<string, number>>): void {
  for (const dim of type.dims) {
    const size = dim.substitute(params).constant;
    if (size !== undefined && size < 1)
      throw new IrError(
        `dimension ${dim} of ${formatType(type)} is ${size}`,
        "Give parameters that make it at least 1.",
      );
  }
}

/**
 * Checks what no single operation can: each value is defined once, before its use; names are unique; and the sizes fit the
 * parameters' values. Throws IrError, or DiagnosticError U201 where sizes do not fit and the operation has a place in the source.
 */
export function checkLayer(layer: Layer): Layer {
  const names = new Set<string>();
  const define = (scope: Set<Value>, value: Value): void => {
    if (names.has(value.name))
      throw new IrError(`value ${value.name} is defined twice`, "Give each value its own name.");
    names.add(value.name);
    scope.add(value);
  };
  const check = (body: readonly Operation[], outer: ReadonlySet<Value>, args: readonly Value[]): Set<Value> => {
    const scope = new Set(outer);
    for (const arg of args) define(scope, arg);
    for (const operation of body) {
      for (const operand of operation.operands) {
        if (!scope.has(operand)) {
          throw new IrError(
            `${operation.op} uses ${operand.name} before it is defined`,
            "Define a value before its use.",
          );
        }
      }
      for (const region of operation.regions) {
        const inner = check(region.body, scope, region.args);
        for (const result of region.results) {
          if (!inner.has(result))
            throw new IrError(
              `${operation.op} gives ${result.name}, which is not defined in it`,
              "Give a value that the body defines.",
            );
        }
      }
      for (const result of operation.results) define(scope, result);
    }
    return scope;
  };
  const scope = check(
    layer.body,
    new Set(),
    layer.args.map((a) => a.value),
  );
  for (const { name, value } of layer.results) {
    if (!scope.has(value))
      throw new IrError(`result ${name} is not defined`, "Return a value that the layer computes.");
  }
  for (const { value } of layer.args) checkPositive(value.type, layer.params);
  for (const operation of walk(layer.body)) {
    try {
      checkSizes(operation, layer.params);
    } catch (error) {
      if (!(error instanceof IrError) || operation.span.file === "") throw error;
      throw new DiagnosticError([{ code: "U201", span: operation.span, message: error.message, help: error.help }]);
    }
  }
  return layer;
}
