import { join } from "node:path";
import type { Backend } from "../../backends/backend.ts";
import { compileLayer } from "../../codegen/compile.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import { weightBytes } from "../../runtime/check/check.ts";
import { requireMemory } from "../../runtime/machine.ts";
import { readLayer } from "../../runtime/source.ts";
import { installFolder } from "../../runtime/version.ts";
import { Arena } from "../arena.ts";
import { drawBatches } from "../drawn.ts";
import type { RoofProbe } from "../roofs.ts";
import type { Peer } from "./peer.ts";
import { makeProblem } from "./problem.ts";
import { type Comparison, compareInRounds } from "./rounds.ts";
import type { Comparable, Shape } from "./shapes.ts";

/** What came of one shape in one storage beside one peer. */
export interface Outcome {
  readonly shape: string;
  readonly params: Readonly<Record<string, number>>;
  /** Experts of the published shape, where memory is too small for them. */
  readonly published_experts?: number;
  readonly note?: string;
  readonly storage: Comparable;
  readonly peer: string;
  readonly title: string;
  /** Nothing where the peer cannot do it, which `title` says. */
  readonly results: readonly (Comparison | { readonly tokens: number; readonly disagreements: readonly string[] })[];
}

export interface CompareOptions {
  readonly shape: Shape;
  readonly storage: Comparable;
  readonly peers: readonly Peer[];
  readonly tokens: readonly number[];
  readonly backend: Backend;
  readonly isa: string;
  readonly probe: RoofProbe;
  readonly threads: number;
  readonly rounds: number;
  /** ms */
  readonly budget: number;
  /** GB */
  readonly memory: number;
}

const SEED = 1;
const SAMPLED_TOKENS = 3;
/** The variant whose rounding of activations is the coarsest that a storage allows: llama.cpp rounds them to bf16 on every CPU. */
const COARSEST = "avx512-bf16";
/** Weights as published, packed for us, packed or copied by the peer, and copied again for its layout. */
const COPIES = 3.5;

/** Times us and each peer on a shape. */
export async function compareShape(options: CompareOptions): Promise<readonly Outcome[]> {
  const { shape, storage, backend, isa, peers, tokens } = options;
  const file = join(installFolder(), "examples", shape.example);
  const { E: published, K } = shape.params;
  const sized = (E: number) => readLayer({ file, params: { ...shape.params, E }, cache: undefined });
  let layer = await sized(published);
  let compilation = compileLayer(layer, backend.target(isa), storage);
  for (let E = published / 2; weightBytes(compilation) * COPIES > options.memory * 1e9 && E >= K; E /= 2) {
    layer = await sized(E);
    compilation = compileLayer(layer, backend.target(isa), storage);
  }
  requireMemory(
    weightBytes(compilation) * COPIES,
    `comparing ${shape.name} in ${storage}`,
    "choose other shapes with --shape",
  );
  const { stored, program, target } = compilation;
  const arena = new Arena();
  const problem = makeProblem(shape, storage, compilation, arena, SEED);
  const loaded = await backend.load(program, target);
  const described = {
    shape: shape.name,
    params: stored.params,
    ...(stored.params.E === published ? {} : { published_experts: published }),
    ...(shape.note === undefined ? {} : { note: shape.note }),
    storage,
  };
  try {
    await loaded.setWeights(programWeights(program, problem.weights));
    const bounds = compileLayer(layer, backend.target(COARSEST), storage);
    const outcomes: Outcome[] = [];
    for (const peer of peers) {
      const other = await peer.load(problem, options.threads);
      if (typeof other === "string") {
        outcomes.push({ ...described, peer: peer.name, title: other, results: [] });
        continue;
      }
      const results: Outcome["results"][number][] = [];
      try {
        for (const count of tokens) {
          const batches = drawBatches(compilation, count, SEED + 1);
          const pair = { compilation, bounds, loaded, weights: problem.weights, peer: other };
          const given = { ...options, budgetMs: options.budget, sampledTokens: SAMPLED_TOKENS };
          const result = await compareInRounds(pair, batches, given);
          results.push("tokens" in result ? result : { tokens: count, disagreements: result });
        }
      } finally {
        await other.close();
      }
      outcomes.push({ ...described, peer: peer.name, title: other.title, results });
    }
    return outcomes;
  } finally {
    await loaded.close();
    arena.free();
  }
}
