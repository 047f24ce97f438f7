import type { ts } from "ts-morph";
import type { Dim } from "../core/dim.ts";
import type { Value } from "../core/layer.ts";
import type { ScalarExpr } from "../core/scalar.ts";
import { formatType } from "../core/types.ts";
import type { Scope } from "./scope.ts";
import { Problem } from "./source.ts";

export type FunctionNode = ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration;

/** A function that the frontend itself computes: an array's `map`, a routing's `mix`. */
type Native = (args: readonly StaticValue[], call: ts.CallExpression, hint: string | undefined) => StaticValue;

/** What an expression of a DSL file is at compile time. */
export type StaticValue =
  /** `dim`: the number as a polynomial over parameter names, where one is behind it. */
  | { readonly kind: "number"; readonly value: number; readonly dim?: Dim }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "boolean"; readonly value: boolean }
  /** `ended`: a function came to its end without a return. */
  | { readonly kind: "undefined"; readonly ended?: true }
  | { readonly kind: "array"; readonly items: readonly StaticValue[] }
  /** `what` names it for people where it is not an ordinary object. */
  | { readonly kind: "object"; readonly members: ReadonlyMap<string, StaticValue>; readonly what?: string }
  | { readonly kind: "function"; readonly node: FunctionNode; readonly scope: Scope }
  /** A function of "unmoor". */
  | { readonly kind: "builtin"; readonly name: string }
  | { readonly kind: "native"; readonly name: string; readonly run: Native }
  | { readonly kind: "tensor"; readonly value: Value }
  /** `experts`: how many there are. */
  | { readonly kind: "expert"; readonly value: Value; readonly experts: Dim }
  /** A number or condition inside the function given to `map`. */
  | { readonly kind: "scalar"; readonly expr: ScalarExpr }
  | { readonly kind: "layer"; readonly name: string }
  /** Could not be computed; the reason is already reported. */
  | { readonly kind: "unknown" };

export const undefinedValue: StaticValue = { kind: "undefined" };
/** What a function gives that ends without a return. */
export const endedValue: StaticValue = { kind: "undefined", ended: true };
export const unknownValue: StaticValue = { kind: "unknown" };
export const numberValue = (value: number, dim?: Dim): StaticValue =>
  dim === undefined ? { kind: "number", value } : { kind: "number", value, dim };
export const booleanValue = (value: boolean): StaticValue => ({ kind: "boolean", value });

/** A value in the words of an author. @throws Problem without a diagnostic for what an error was already reported about */
export function describe(value: StaticValue): string {
  switch (value.kind) {
    case "number":
      return value.dim === undefined || value.dim.constant !== undefined
        ? `the number ${value.value}`
        : `the number ${value.dim} = ${value.value}`;
    case "string":
      return `the text ${JSON.stringify(value.value)}`;
    case "boolean":
      return String(value.value);
    case "undefined":
      return value.ended === true ? "nothing, for a function ended without return" : "nothing";
    case "array":
      return "an array";
    case "object":
      return value.what ?? "an object";
    case "function":
    case "builtin":
    case "native":
      return "a function";
    case "tensor":
      return `a tensor ${formatType(value.value.type)}`;
    case "expert":
      return "the expert's number";
    case "scalar":
      return value.expr.type === "bool" ? "a condition on elements" : "a number of map's function";
    case "layer":
      return `the layer ${value.name}`;
    case "unknown":
      throw new Problem(undefined);
  }
}
