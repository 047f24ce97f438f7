import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Dim } from "../ir/core/dim.ts";
import { type Layer, walk } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { routerOf } from "../ir/ops/router.ts";

/** What the ids of an argument count, and how many of them there are. */
interface IdLimit {
  /** The argument's. */
  readonly name: string;
  readonly count: Dim;
  readonly what: string;
  /** Ids of nothing mean something: they are skipped. */
  readonly open?: true;
}

/** Arguments whose elements are ids that kernels look up, once for each look-up. */
export function idLimits(layer: Layer): readonly IdLimit[] {
  const limits: IdLimit[] = [];
  const names = new Set(layer.args.map((a) => a.value.name));
  for (const operation of walk(layer.body)) {
    const [first, second] = operation.operands;
    const looked = first?.type.dims[0];
    if (second !== undefined && looked !== undefined) {
      if (operation.op === "gather") limits.push({ name: second.name, count: looked, what: `rows of ${first?.name}` });
      if (operation.op === "scatter")
        limits.push({ name: second.name, count: looked, what: `rows of ${first?.name}`, open: true });
    }
    if (operation.op !== "route") continue;
    const { extras } = routerOf(operation.attributes);
    const operand = (name: "table" | "token_ids") => operation.operands[extras.get(name) ?? -1];
    const [table, tokenIds] = [operand("table"), operand("token_ids")];
    const experts = operation.operands[0]?.type.dims.at(-1);
    const rows = table?.type.dims[0];
    if (table !== undefined && experts !== undefined)
      limits.push({ name: table.name, count: experts, what: "experts" });
    if (tokenIds !== undefined && rows !== undefined)
      limits.push({ name: tokenIds.name, count: rows, what: "rows of the table" });
  }
  return limits.filter((l) => names.has(l.name));
}

/**
 * Holds ids to what they count, before a kernel looks them up.
 * @param dims values of run-time sizes; ids of weights count nothing of these
 * @throws DiagnosticError U309 naming the first id of each tensor that is beyond
 */
export function checkIds(
  layer: Layer,
  tensors: ReadonlyMap<string, Tensor>,
  path: string,
  dims: Readonly<Record<string, number>> = {},
): void {
  const problems = idLimits(layer).flatMap(({ name, count, what, open }): Diagnostic[] => {
    const ids = tensors.get(name);
    const limit = count.substitute({ ...layer.params, ...dims }).constant;
    if (ids === undefined || limit === undefined || open) return [];
    const at = ids.data.findIndex((id) => id < 0 || id >= limit);
    if (at < 0) return [];
    return [
      {
        code: "U309",
        span: layer.span,
        message: `element ${at} of ${name} in ${path} is the id ${ids.data[at]}, but there are ${limit} ${what}`,
        expected: `ids from 0 to ${limit - 1}`,
        found: String(ids.data[at]),
        help: "Give ids that exist, or the sizes of this model with --config or --param.",
      },
    ];
  });
  if (problems.length > 0) throw new DiagnosticError(problems);
}
