import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { type GroupLimit, type Router, routerOf, sigmoidOfLogit } from "../../ir/ops/router.ts";
import { divisorOf } from "../../ir/ops/routing-weights.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, floorDiv, lt, mod, mul } from "../tile/fold.ts";
import type { KernelBuffer, Tile } from "../tile/types.ts";
import type { Schedule, ScheduleContext } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** One block per token. */
export const scheduleRoute: Schedule = (operation, context) => {
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, routerSummary(operation)));
  const route = routingOf(b, operation, context);
  const { ids, weights } = route;
  const token = b.grid("token", ids.dims[0] as Dim);
  const { chosen, scaled } = route.token(token);
  b.copy(view(ids, token, range(0, route.topK)), whole(chosen));
  b.copy(view(weights, token, range(0, route.topK)), whole(scaled));
  return [b.build()];
};

/** What a router computes, in words. */
export function routerSummary({ attributes }: Operation): string {
  const router = routerOf(attributes);
  return `router: ${scoreName(router)} scores, ${router.extras.has("table") ? "experts by token id" : "top-k"}`;
}

/** What a router writes, and how it makes that of one token. */
export interface Routing {
  readonly ids: KernelBuffer;
  readonly weights: KernelBuffer;
  readonly topK: number;
  /** The chosen experts i32 [topK], and their weights f32 [topK]. */
  token(token: ScalarExpr): { readonly chosen: Tile; readonly scaled: Tile };
}

/**
 * Declares the buffers of a router. For one token: scores, selection keys, the choice, and the weights of the chosen.
 * Order of operations as in ir/ops/README.md; ties go to the lowest expert id.
 */
export function routingOf(b: KernelBuilder, operation: Operation, context: ScheduleContext): Routing {
  const router = routerOf(operation.attributes);
  const space = context.target.scratch;
  const logits = b.read(operandBuffer(operation, 0, context));
  const extras = new Map([...router.extras].map(([name, i]) => [name, b.read(operandBuffer(operation, i, context))]));
  const ids = b.write(context.buffer(resultOf(operation)));
  const weights = b.write(context.buffer(resultOf(operation, 1)));
  const experts = columnsOf(operation.operands[0] as Value, context);
  const topK = context.size(ids.dims[1] as Dim);
  const table = router.extras.has("table");
  const ofToken = (token: ScalarExpr) => {
    const r = new RouterKernel(b, space, experts, topK);
    const raw = r.tile("raw", experts);
    b.copy(whole(raw), view(logits, token, range(0, experts)));
    const needsScores = router.weight === "score" || (!table && router.key === "score");
    const scores = needsScores ? r.scores(raw, router.score) : raw;

    const chosen = b.alloc("chosen", "i32", [topK], space);
    const [choices, tokenIds] = [extras.get("table"), extras.get("token_ids")];
    if (choices && tokenIds) {
      const row = b.letScalar("row", load(tokenIds, token));
      b.copy(whole(chosen), view(choices, row, range(0, topK)));
    } else {
      const keys = r.keys(router.key === "logits" ? raw : scores, extras.get("select_bias"));
      if (router.groups) r.chooseInGroups(chosen, keys, router.groups, (dim) => context.size(dim));
      else b.topK(whole(chosen), whole(keys));
    }

    const picked = r.weights(router.weight, raw, scores, chosen);
    if (router.renormalise.kind !== "none") r.renormalise(picked, router.renormalise);
    const scaled = r.tile("scaled", topK);
    const { scale } = router;
    b.map(whole(scaled), { w: whole(picked) }, ({ w }) => (scale === 1 ? w : apply("mul", w, f32(scale))));
    const own = extras.get("expert_scale");
    if (own)
      b.forLoop("k", 0, topK, 1, (k) => b.set(scaled, k, apply("mul", load(scaled, k), load(own, load(chosen, k)))));
    return { chosen, scaled };
  };
  return { ids, weights, topK, token: ofToken };
}

const scoreName = ({ score }: Router): string =>
  score === undefined ? "no" : score === "softmax" ? score : score === sigmoidOfLogit ? "sigmoid" : "own";

/** Parts of a router in tile IR, for one token. */
class RouterKernel {
  readonly #b: KernelBuilder;
  readonly #space: string;
  readonly #experts: number;
  readonly #topK: number;

  constructor(b: KernelBuilder, space: string, experts: number, topK: number) {
    this.#b = b;
    this.#space = space;
    this.#experts = experts;
    this.#topK = topK;
  }

  tile(name: string, size: number, dtype: "f32" | "i32" = "f32"): Tile {
    return this.#b.alloc(name, dtype, [size], this.#space);
  }

  /** The sum or maximum of a tile as a scalar. */
  #reduced(op: "sum" | "max", name: string, source: Tile): ScalarExpr {
    const total = this.tile(`${name}_of`, 1);
    this.#b.reduce(op, view(total, at(0)), whole(source));
    return this.#b.letScalar(name, load(total, 0));
  }

  #softmax(to: Tile, from: Tile): void {
    const b = this.#b;
    const largest = this.#reduced("max", "largest", from);
    b.map(whole(to), { z: whole(from) }, ({ z }) => apply("exp", apply("sub", z, largest)));
    const sum = this.#reduced("sum", "sum", to);
    b.map(whole(to), { s: whole(to) }, ({ s }) => apply("div", s, sum));
  }

  scores(raw: Tile, score: Router["score"]): Tile {
    if (score === undefined) return raw;
    const scores = this.tile("scores", this.#experts);
    if (score === "softmax") this.#softmax(scores, raw);
    else this.#b.mapFunction(whole(scores), [whole(raw)], score);
    return scores;
  }

  /** A copy of what experts are chosen by, with the bias added: choosing destroys it. */
  keys(from: Tile, bias: KernelBuffer | undefined): Tile {
    const b = this.#b;
    const keys = this.tile("keys", this.#experts);
    if (bias === undefined) {
      b.map(whole(keys), { s: whole(from) }, ({ s }) => s);
      return keys;
    }
    const biases = this.tile("biases", this.#experts);
    b.copy(whole(biases), view(bias, range(0, this.#experts)));
    b.map(whole(keys), { s: whole(from), bias: whole(biases) }, (v) => apply("add", v.s, v.bias));
    return keys;
  }

  /**
   * The choice among the experts of the kept groups, which are copied next to each other by ascending id: what is left out
   * needs no key below all others, and equal keys keep their order.
   */
  chooseInGroups(chosen: Tile, keys: Tile, groups: GroupLimit, sizeOf: (dim: Dim) => number): void {
    const b = this.#b;
    const [count, keep] = [sizeOf(groups.count), sizeOf(groups.keep)];
    const size = this.#experts / count;
    const groupKeys = this.#groupKeys(keys, groups.by, count, size);
    const best = this.tile("best_groups", keep, "i32");
    b.topK(whole(best), whole(groupKeys));
    const kept = this.tile("kept", count, "i32");
    b.fill(whole(kept), 0);
    b.forLoop("k", 0, keep, 1, (k) => b.set(kept, load(best, k), 1));
    const [left, groupOf, next] = [
      this.tile("left", keep * size),
      this.tile("group_of", keep, "i32"),
      this.tile("next", 1, "i32"),
    ];
    b.set(next, 0, 0);
    b.forLoop("group", 0, count, 1, (group) =>
      b.when(lt(0, load(kept, group)), () => {
        const place = b.letScalar("place", load(next, 0));
        b.set(groupOf, place, group);
        b.forLoop("i", 0, size, 1, (i) => b.set(left, add(mul(place, size), i), load(keys, add(mul(group, size), i))));
        b.set(next, 0, add(place, 1));
      }),
    );
    const places = this.tile("places", this.#topK, "i32");
    b.topK(whole(places), whole(left));
    b.forLoop("k", 0, this.#topK, 1, (k) => {
      const place = b.letScalar("place", load(places, k));
      b.set(chosen, k, add(mul(load(groupOf, floorDiv(place, size)), size), mod(place, size)));
    });
  }

  /** The best key of each group, or its two best added. */
  #groupKeys(keys: Tile, by: GroupLimit["by"], count: number, size: number): Tile {
    const b = this.#b;
    const groupKeys = this.tile("group_keys", count);
    const [best, second] = [this.tile("best", 1), this.tile("second", 1)];
    b.forLoop("group", 0, count, 1, (group) => {
      const key = (i: ScalarExpr | number): ScalarExpr => load(keys, add(mul(group, size), i));
      if (by === "max") {
        b.set(best, 0, key(0));
        b.forLoop("i", 1, size, 1, (i) => b.set(best, 0, apply("max", load(best, 0), key(i))));
        b.set(groupKeys, group, load(best, 0));
        return;
      }
      b.set(best, 0, apply("max", key(0), key(1)));
      b.set(second, 0, apply("min", key(0), key(1)));
      b.forLoop("i", 2, size, 1, (i) => {
        b.set(second, 0, apply("max", load(second, 0), apply("min", load(best, 0), key(i))));
        b.set(best, 0, apply("max", load(best, 0), key(i)));
      });
      b.set(groupKeys, group, apply("add", load(best, 0), load(second, 0)));
    });
    return groupKeys;
  }

  weights(weight: Router["weight"], raw: Tile, scores: Tile, chosen: Tile): Tile {
    const b = this.#b;
    const picked = this.tile("picked", this.#topK);
    if (typeof weight === "object") return this.#sequential(picked, weight.sequential, raw, chosen);
    const from = weight === "score" ? scores : raw;
    b.forLoop("k", 0, this.#topK, 1, (k) => b.set(picked, k, load(from, load(chosen, k))));
    if (weight === "score") return picked;
    const weights = this.tile("chosen_weights", this.#topK);
    if (weight === "softmax") this.#softmax(weights, picked);
    else b.mapFunction(whole(weights), [whole(picked)], sigmoidOfLogit);
    return weights;
  }

  /** One chosen expert after the other: 1 / Σ exp(l − z) over the logits l still open and near its own, z. */
  #sequential(picked: Tile, threshold: number, raw: Tile, chosen: Tile): Tile {
    const b = this.#b;
    const [open, terms] = [this.tile("open", this.#experts), this.tile("terms", this.#experts)];
    b.fill(whole(open), 1);
    b.forLoop("k", 0, this.#topK, 1, (k) => {
      const own = b.letScalar("own", load(raw, load(chosen, k)));
      b.map(whole(terms), { l: whole(raw), open: whole(open) }, (v) => {
        const near = apply("mul", f32(threshold), apply("max", apply("abs", v.l), own));
        // Experts already chosen may have larger logits, and count for nothing.
        const term = apply("mul", v.open, apply("exp", apply("min", apply("sub", v.l, own), f32(0))));
        return apply("select", apply("le", apply("sub", own, v.l), near), term, f32(0));
      });
      b.set(picked, k, apply("div", f32(1), this.#reduced("sum", "total", terms)));
      b.set(open, load(chosen, k), 0);
    });
    return picked;
  }

  /** Divides the weights in place. */
  renormalise(weights: Tile, renormalise: Router["renormalise"]): void {
    const b = this.#b;
    const { term, divisor } = divisorOf(renormalise);
    const terms = this.tile("terms", this.#topK);
    b.map(whole(terms), { w: whole(weights) }, ({ w }) => term(w));
    const sum = this.#reduced("sum", "weight_sum", terms);
    let by: ScalarExpr;
    if (renormalise.kind === "norm") {
      // A scalar unit may lack roots and powers.
      const norm = this.tile("norm", 1);
      b.set(norm, 0, sum);
      b.map(whole(norm), { sum: whole(norm) }, (v) => divisor(v.sum));
      by = b.letScalar("divisor", load(norm, 0));
    } else by = b.letScalar("divisor", divisor(sum));
    b.map(whole(weights), { w: whole(weights) }, ({ w }) => apply("div", w, by));
  }
}
