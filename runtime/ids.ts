import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Dim } from "../ir/core/dim.ts";
import { type Layer, walk } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { routerOf } from "../ir/ops/router.ts";

/** What the ids of an argument count, and how many of them there are. */
interface IdLimit {
  readonly count: Dim;
  readonly what: string;
}

/** Arguments whose elements are ids that kernels look up, by name. */
function idLimits(layer: Layer): ReadonlyMap<string, IdLimit> {
  const limits = new Map<string, IdLimit>();
  for (const operation of walk(layer.body)) {
    if (operation.op !== "route") continue;
    const { extras } = routerOf(operation.attributes);
    const operand = (name: "table" | "token_ids") => operation.operands[extras.get(name) ?? -1];
    const [table, tokenIds] = [operand("table"), operand("token_ids")];
    const experts = operation.operands[0]?.type.dims.at(-1);
    const rows = table?.type.dims[0];
    if (table !== undefined && experts !== undefined) limits.set(table.name, { count: experts, what: "experts" });
    if (tokenIds !== undefined && rows !== undefined)
      limits.set(tokenIds.name, { count: rows, what: "rows of the table" });
  }
  return limits;
}

/**
 * Holds ids to what they count, before a kernel looks them up.
 * @throws DiagnosticError U309 naming the first id of each tensor that is beyond
 */
export function checkIds(layer: Layer, tensors: ReadonlyMap<string, Tensor>, path: string): void {
  const problems = [...idLimits(layer)].flatMap(([name, { count, what }]): Diagnostic[] => {
    const ids = tensors.get(name);
    if (ids === undefined) return [];
    const limit = count.evaluate(layer.params);
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
