import type { Dim } from "../../ir/core/dim.ts";
import type { Operation } from "../../ir/core/layer.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { decompose } from "../tile/decompose.ts";
import { add, lt, mul } from "../tile/fold.ts";
import { statementsIn } from "../tile/shape.ts";
import type { Kernel } from "../tile/types.ts";
import type { ScheduleContext } from "./context.ts";
import { kernelName, originOf, resultOf } from "./elementwise.ts";
import { routerSummary, routingOf } from "./router.ts";
import { sortInLanes, sortOf, sortSlots } from "./sort.ts";

/**
 * A router and the sort of its slots in one kernel, for at most so many tokens as a workgroup has lanes: each lane routes one of them, and
 * what it chose stays where all lanes see it. One lane does both alone. The same results, bit for bit, as from a kernel of each.
 */
export function scheduleRouteSorted(
  route: Operation,
  dispatch: Operation,
  context: ScheduleContext,
  lanes: number,
): Kernel {
  const { scratch } = context.target;
  const b = kernelBuilder(
    `${kernelName(route, context)}_sorted`,
    originOf(route, `${routerSummary(route)}; slots sorted by expert`),
  );
  const routing = routingOf(b, route, context);
  const { ids, weights, topK } = routing;
  const sort = sortOf(b, dispatch, context, (token, k) => load(all, add(mul(token, topK), k)));
  const lane = b.grid("lane", lanes, { lanes: true });
  const all = b.alloc("chosen_of", "i32", [lanes * topK], lanes > 1 ? "workgroup" : scratch);
  b.when(lt(lane, sort.tokens), () => {
    const { chosen, scaled } = routing.token(lane);
    b.copy(view(ids, lane, range(0, topK)), whole(chosen));
    b.copy(view(weights, lane, range(0, topK)), whole(scaled));
    b.copy(view(all, range(mul(lane, topK), topK)), whole(chosen));
  });
  if (lanes === 1) sortSlots(b, sort, scratch);
  else {
    b.barrier();
    sortInLanes(b, sort, { lane, lanes, scratch });
  }
  return b.build();
}

/**
 * The kernels of a router and of its sort: for few tokens one kernel, where `isLegal` says that the target takes it, and for more of them
 * those that are given.
 */
export function routeForms(
  route: Operation,
  dispatch: Operation,
  context: ScheduleContext,
  apart: readonly Kernel[],
  isLegal: (kernel: Kernel) => boolean,
): readonly Kernel[] {
  const { routing, limits, scratch } = context.target;
  if (routing === undefined) return apart;
  const { lanes } = routing;
  const of = context.dim(route.results[0]?.type.dims[0] as Dim);
  const { constant } = of;
  if (constant !== undefined && constant > lanes) return apart;
  const together = decompose(scheduleRouteSorted(route, dispatch, context, lanes), context.target.vector.space);
  // The counts of workgroups, beside a list, take one more.
  const bound = together.buffers.length + (context.list(resultOf(dispatch)) ? 1 : 0);
  const fits =
    bound <= (limits.buffersPerKernel ?? Number.POSITIVE_INFINITY) &&
    bytesIn(scratch, together) <= (routing.bytes ?? Number.POSITIVE_INFINITY);
  if (!fits || !isLegal(together)) return apart;
  if (constant !== undefined) return [together];
  const below = lanes + 1;
  return [{ ...together, when: { of, from: 0, below } }, ...apart.map((k) => ({ ...k, when: { of, from: below } }))];
}

/** What all tiles of a kernel in one memory space take. */
const bytesIn = (space: string, { body }: Kernel): number =>
  [...statementsIn(body)].reduce(
    (sum, s) =>
      s.kind === "alloc" && s.tile.space === space
        ? sum + s.tile.dims.reduce((a, b) => a * b, dtypeBytes[s.tile.dtype])
        : sum,
    0,
  );
