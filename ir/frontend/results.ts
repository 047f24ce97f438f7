import { ts } from "ts-morph";
import { type Argument, type Layer, type Operation, type Value, walk } from "../core/layer.ts";
import type { Modules } from "./module.ts";
import { problem } from "./source.ts";
import { list } from "./suggest.ts";
import { describe, type FunctionNode, type StaticValue } from "./values.ts";

/** One tensor is the result "y"; an object's members are results by their names. @throws Problem U026, U072 */
export function resultsOf(result: StaticValue, body: FunctionNode): Layer["results"] | undefined {
  if (result.kind === "unknown") return undefined;
  const at = endOf(body);
  if (result.kind === "undefined" && result.ended === true) {
    throw problem("U072", at, "the layer's function ends without return", {
      help: "Return a tensor, or an object of tensors, on every way through it.",
    });
  }
  if (result.kind !== "tensor" && (result.kind !== "object" || result.what !== undefined)) {
    throw problem("U026", at, `the layer returns ${describe(result)}`, {
      expected: "a tensor, or an object of tensors",
    });
  }
  const members: [string, StaticValue][] = result.kind === "tensor" ? [["y", result]] : [...result.members];
  if (members.length === 0) throw problem("U026", at, "the layer returns an object without members");
  return members.map(([name, value]) => {
    if (value.kind === "tensor") return { name, value: value.value };
    throw problem("U026", at, `result ${name} is ${describe(value)}`, { expected: "a tensor" });
  });
}

/** Where the body's result stands. */
function endOf(body: FunctionNode): ts.Node {
  const block = body.body;
  return (block !== undefined && ts.isBlock(block) ? block.statements.findLast(ts.isReturnStatement) : block) ?? body;
}

/** Each result is a tensor of its own, which the layer computes. @throws Problem U060, U061 */
export function checkResults(results: Layer["results"], args: ReadonlyMap<string, Argument>, body: FunctionNode): void {
  const at = endOf(body);
  const names = new Map<Value, string>();
  for (const { name, value } of results) {
    const [given] = [...args].find(([, a]) => a.value === value) ?? [];
    if (given !== undefined) throw problem("U060", at, `result ${name} is ${given} as it was given`);
    const before = names.get(value);
    if (before !== undefined) throw problem("U061", at, `results ${before} and ${name} are one tensor`);
    names.set(value, name);
  }
}

/**
 * An input or weight that nothing uses is most likely a slip: another was used twice. One that the source names outside of types is
 * fine: conditions on parameters may leave it out.
 * @throws Problem U065
 */
export function checkUsed(
  args: ReadonlyMap<string, Argument>,
  operations: readonly Operation[],
  body: FunctionNode,
  modules: Modules,
  places: ReadonlyMap<string, ts.Node>,
): void {
  const used = new Set([...walk(operations)].flatMap((o) => [...o.operands, ...o.regions.flatMap((r) => r.results)]));
  const unused = [...args].filter(([, a]) => !used.has(a.value)).map(([name]) => name);
  if (unused.length === 0) return;
  const named = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node)) return;
    const declared = ts.isParameter(node) && node.parent === body && ts.isIdentifier(node.name);
    if (!declared && (ts.isIdentifier(node) || ts.isStringLiteral(node))) named.add(node.text);
    if (!declared && !isOptions(node, body)) ts.forEachChild(node, visit);
  };
  for (const file of modules.files) visit(file);
  const [first] = unused.filter((name) => !named.has(name));
  if (first === undefined) return;
  const others = unused.filter((name) => name !== first && !named.has(name));
  throw problem("U065", places.get(first), `${first} is never used`, {
    ...(others.length === 0 ? {} : { found: `also never used: ${list(others)}` }),
  });
}

/** The options of the layer name weights without using them. */
const isOptions = (node: ts.Node, body: FunctionNode): boolean =>
  ts.isObjectLiteralExpression(node) && node.parent === body.parent;
