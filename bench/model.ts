import { chipOf, type LayerModel, modelLayer, type RoutingChoice } from "../backends/ascend/cost/index.ts";
import { ascendTargetOf } from "../backends/ascend/target.ts";
import { compileLayer } from "../codegen/compile.ts";
import type { Storage } from "../codegen/target.ts";
import type { Layer } from "../ir/core/layer.ts";

/** A layer on a chip that is not here, at one number of tokens. No figure in it was measured. */
export interface ModelRow {
  readonly kind: "modelled";
  readonly target: "ascend";
  readonly layer: string;
  readonly params: Readonly<Record<string, number>>;
  readonly storage: Storage;
  readonly tokens: number;
  readonly routing: RoutingChoice;
  readonly model: LayerModel;
}

/**
 * Models a layer on an Ascend chip at several numbers of tokens.
 * @throws IrError for an unknown chip, DiagnosticError where the layer cannot be compiled for it
 */
export function modelTarget(
  layer: Layer,
  soc: string,
  storage: Storage,
  tokens: readonly number[],
  routing: RoutingChoice,
): readonly ModelRow[] {
  const chip = chipOf(soc);
  const { program } = compileLayer(layer, ascendTargetOf(chip.soc), storage);
  return tokens.map((count) => ({
    kind: "modelled",
    target: "ascend",
    layer: layer.name,
    params: layer.params,
    storage,
    tokens: count,
    routing,
    model: modelLayer(program, chip, Object.fromEntries(program.symbols.map((s) => [s, count])), routing),
  }));
}

/** A roof of a kernel or a layer, and how near its time comes to it. */
export interface RoofShare {
  readonly roof: "HBM" | "cube" | "vector";
  readonly share: number;
}

/** The highest of the roofs: what the time is at least. */
export function roofOf(roofs: LayerModel["roofs"], seconds: number): RoofShare {
  const named = [
    { roof: "HBM" as const, least: roofs.hbm },
    { roof: "cube" as const, least: roofs.cube },
    { roof: "vector" as const, least: roofs.vector },
  ];
  const highest = named.reduce((a, b) => (b.least > a.least ? b : a));
  return { roof: highest.roof, share: seconds === 0 ? 0 : highest.least / seconds };
}

export const modelTitle = ({ layer, params, storage, tokens, model, routing }: ModelRow): string =>
  `${layer} (${Object.entries(params)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ")}), weights in ${storage}, T = ${tokens}, ${
    routing.kind === "balanced" ? "balanced routing" : `routing of seed ${routing.seed}`
  }, Ascend ${model.soc}`;

export const modelHeads = [
  "kernel",
  "cores",
  "#blocks",
  "#µs",
  "bound by",
  "roof",
  "#of roof",
  "#HBM MB",
  "#busy MTE2",
  "#MTE1",
  "#M",
  "#FIX",
  "#V",
  "#MTE3",
  "#S",
] as const;

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** The rows of a model's table: one per kernel, and the layer. Each cell is a modelled figure. */
export function modelCells({ model }: ModelRow, digits: (n: number) => string): readonly (readonly string[])[] {
  const kernels = model.kernels.map((k) => {
    const { roof, share } = roofOf(k.roofs, k.seconds);
    const { MTE2, MTE1, M, FIX, V, MTE3, S } = k.busy;
    return [
      k.name,
      `${k.cores} ${k.kind}`,
      String(k.blocks),
      digits(k.seconds * 1e6),
      k.bound,
      roof,
      percent(share),
      digits(k.hbmBytes / 1e6),
      ...[MTE2, MTE1, M, FIX, V, MTE3, S].map((b) => (b === 0 ? "" : percent(b))),
    ];
  });
  const { roof, share } = roofOf(model.roofs, model.seconds);
  const pad = modelHeads.slice(8).map(() => "");
  return [
    ...kernels,
    ["layer", "", "", digits(model.seconds * 1e6), "", roof, percent(share), digits(model.hbmBytes / 1e6), ...pad],
  ];
}

/** What stands below a model's table. */
export function modelNotes({ model }: ModelRow): readonly string[] {
  const { roofs, seconds } = model;
  const shares = `Of the layer's time: HBM ${percent(seconds === 0 ? 0 : roofs.hbm / seconds)} of its bandwidth, cube units ${percent(seconds === 0 ? 0 : roofs.cube / seconds)} of their peak, vector units ${percent(seconds === 0 ? 0 : roofs.vector / seconds)}.`;
  const launches = `Not in it: the launches of ${model.kernels.filter((k) => k.blocks > 0).length} kernels, about ${Math.round(model.launchSeconds * 1e6)} µs where nothing hides them.`;
  const full =
    model.overfull === undefined
      ? []
      : [
          `The weights take ${Math.round(model.overfull / 1e9)} GB, more than the memory of an Ascend ${model.soc}: one chip cannot hold this layer.`,
        ];
  return [shares, launches, ...full];
}
