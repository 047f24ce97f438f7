import { hasWholeRows, isBlockFormat } from "../../ir/core/block-formats.ts";
import { scheduleArgMax } from "./arg-max.ts";
import { scheduleAttention } from "./attention.ts";
import { scheduleBlocks } from "./blocks.ts";
import type { Schedule } from "./context.ts";
import { scheduleCumsum } from "./cumsum.ts";
import { scheduleStagedDispatch } from "./dispatch-staged.ts";
import { scheduleMap, schedulePermute, scheduleRounding } from "./elementwise.ts";
import { scheduleGather, scheduleScatter } from "./indexed.ts";
import { scheduleCubeProduct } from "./matmul-cube.ts";
import { scheduleRegisterProduct } from "./matmul-registers.ts";
import { scheduleNgramIds } from "./ngram-ids.ts";
import { scheduleNorm } from "./norm.ts";
import { schedulePack } from "./pack.ts";
import { scheduleQuantise } from "./quantise.ts";
import { scheduleReduce } from "./reduce.ts";
import { scheduleConstant, scheduleRope } from "./rope.ts";
import { scheduleRoute } from "./router.ts";
import {
  scheduleCombine,
  scheduleConstantExperts,
  scheduleDispatch,
  scheduleExpertRows,
  scheduleSlotWeights,
  scheduleZeroExpertWeight,
} from "./routing.ts";
import { scheduleConcat, scheduleExpand, scheduleReshape, scheduleSlice, scheduleTranspose } from "./shapes.ts";
import { scheduleSoftmax } from "./softmax.ts";

const scheduleCast: Schedule = (operation, context) => {
  const to = operation.results[0]?.type.dtype ?? "f32";
  if (!isBlockFormat(to)) return scheduleRounding(operation, context);
  return (hasWholeRows(to) ? scheduleQuantise : scheduleBlocks)(operation, context);
};

const scheduleProduct: Schedule = (operation, context) =>
  (context.target.matmul.kind === "cube" ? scheduleCubeProduct : scheduleRegisterProduct)(operation, context);

const scheduleSort: Schedule = (operation, context) =>
  (context.target.slowElements ? scheduleStagedDispatch : scheduleDispatch)(operation, context);

/** How each op becomes kernels. Ops of a layer that are absent exist only before the passes: mix, index. */
export const schedules: Readonly<Record<string, Schedule>> = {
  linear: scheduleProduct,
  grouped_linear: scheduleProduct,
  head_linear: scheduleProduct,
  map: scheduleMap,
  cast: scheduleCast,
  route: scheduleRoute,
  zero_expert_weight: scheduleZeroExpertWeight,
  dispatch: scheduleSort,
  permute: schedulePermute,
  combine: scheduleCombine,
  slice: scheduleSlice,
  reshape: scheduleReshape,
  concat: scheduleConcat,
  transpose: scheduleTranspose,
  gather: scheduleGather,
  scatter: scheduleScatter,
  ngram_ids: scheduleNgramIds,
  reduce: scheduleReduce,
  norm: scheduleNorm,
  softmax: scheduleSoftmax,
  cumsum: scheduleCumsum,
  arg_max: scheduleArgMax,
  expert_rows: scheduleExpertRows,
  slot_weights: scheduleSlotWeights,
  constant_experts: scheduleConstantExperts,
  pack: schedulePack,
  expand: scheduleExpand,
  attention: scheduleAttention,
  constant: scheduleConstant,
  rope: scheduleRope,
};
