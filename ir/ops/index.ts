import { IrError } from "../core/diagnostic.ts";
import type { Operation } from "../core/layer.ts";
import { argMax } from "./arg-max.ts";
import { attention } from "./attention.ts";
import { cast } from "./cast.ts";
import { combine } from "./combine.ts";
import { concat } from "./concat.ts";
import { constant } from "./constant.ts";
import { constantExperts } from "./constant-experts.ts";
import { cumsum } from "./cumsum.ts";
import type { OpDefinition } from "./definition.ts";
import { dispatch } from "./dispatch.ts";
import { expand } from "./expand.ts";
import { index } from "./expert-index.ts";
import { expertRows, slotWeights } from "./expert-rows.ts";
import { gather } from "./gather.ts";
import { groupedLinear } from "./grouped-linear.ts";
import { headLinear } from "./head-linear.ts";
import { linear } from "./linear.ts";
import { map } from "./map.ts";
import { mix } from "./mix.ts";
import { ngramIds } from "./ngram-ids.ts";
import { norm } from "./norm.ts";
import { pack } from "./pack.ts";
import { permute } from "./permute.ts";
import { reduce } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { rope } from "./rope.ts";
import { route } from "./route.ts";
import { scatter } from "./scatter.ts";
import { slice } from "./slice.ts";
import { softmax } from "./softmax.ts";
import { transpose } from "./transpose.ts";

import { zeroExpertWeight } from "./zero-expert-weight.ts";

/** The closed table of ops. Tables that must cover every op are typed `satisfies Record<OpName, …>`. */
const ops = {
  linear,
  map,
  cast,
  route,
  mix,
  index,
  slice,
  reshape,
  concat,
  transpose,
  gather,
  scatter,
  ngram_ids: ngramIds,
  reduce,
  norm,
  softmax,
  cumsum,
  arg_max: argMax,
  expert_rows: expertRows,
  slot_weights: slotWeights,
  constant_experts: constantExperts,
  zero_expert_weight: zeroExpertWeight,
  dispatch,
  permute,
  grouped_linear: groupedLinear,
  head_linear: headLinear,
  combine,
  pack,
  expand,
  attention,
  constant,
  rope,
} as const satisfies Record<string, OpDefinition>;

export type OpName = keyof typeof ops;

export const opNames = Object.keys(ops) as readonly OpName[];

export const isOpName = (name: string): name is OpName => Object.hasOwn(ops, name);

/** The definition of an op. Throws IrError for a name that is not in the table. */
export function opDefinition(name: string): OpDefinition {
  if (isOpName(name)) return ops[name];
  throw new IrError(`there is no op "${name}"`, `The ops are ${opNames.join(", ")}.`);
}

/** The operations that choose among floats, in order. */
export const choosersOf = (body: readonly Operation[]): readonly Operation[] =>
  body.filter((o) => opDefinition(o.op).chooses === true);

/** Floating-point operations of one operation at concrete dimensions; `dims.rows`: see OpDefinition.flops. */
export const operationFlops = (operation: Operation, dims: Readonly<Record<string, number>>): number =>
  opDefinition(operation.op).flops(
    operation.operands.map((v) => v.type),
    operation.attributes,
    operation.results.map((v) => v.type),
    dims,
    operation.regions,
  );
