import type { ts } from "ts-morph";
import type { Value } from "../core/layer.ts";
import { Problem, problem } from "./source.ts";
import { describe, type StaticValue } from "./values.ts";

/** @throws Problem U024 where the number of arguments is outside `least` … `most` */
export function checkCount(node: ts.CallExpression, name: string, found: number, least: number, most = least): void {
  if (found >= least && found <= most) return;
  const range = most === least ? String(least) : Number.isFinite(most) ? `${least} to ${most}` : `at least ${least}`;
  const one = range === "1" || range === "at least 1";
  throw problem("U024", node, `${name} takes ${range} argument${one ? "" : "s"}, found ${found}`);
}

/** The tensor behind an argument. @throws Problem U025 */
export function tensorArgument(value: StaticValue | undefined, what: string, at: ts.Node): Value {
  if (value?.kind === "tensor") return value.value;
  if (value?.kind === "unknown") throw new Problem(undefined);
  if (value?.kind === "expert") throw problem("U067", at, `${what} is the expert's number, but must be a tensor`);
  throw problem("U025", at, `${what} must be a tensor, found ${value === undefined ? "nothing" : describe(value)}`, {
    help: "Give an input, a weight, or what a function made of them.",
  });
}

/** The node of argument `i`, or the call where it has none of its own. */
export const argumentNode = (call: ts.CallExpression, i: number): ts.Node => call.arguments[i] ?? call;
