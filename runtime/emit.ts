import { join } from "node:path";
import type { Backend, SourceTree } from "../backends/backend.ts";
import type { Storage, Target } from "../codegen/target.ts";
import type { Layer } from "../ir/core/layer.ts";
import { printLayer } from "../ir/text/index.ts";
import { compilerStamp, keep, readKept, textHash } from "./cache.ts";

/** A layer's sources for a target. */
export interface EmittedLayer {
  /** How many kernels they have, over all variants. */
  readonly kernels: number;
  readonly files: SourceTree;
  /** Golden data, where the target's sources use such (see golden.ts): path → bytes. */
  readonly data: ReadonlyMap<string, Uint8Array>;
  /** Why there is none, where the target's sources use such. */
  readonly without?: string | undefined;
}

/**
 * The sources of a layer for a target. They come from the cache when neither the layer, nor a place in its source that comments
 * name, nor this compiler has changed.
 * @param targets the variants; several make sources that choose among them when they run
 * @param cache folder for compiled sources; undefined for none
 * @param golden MiB of weights up to which there is golden data; 256 by default
 * @throws DiagnosticError where the target cannot do what the layer needs
 */
export async function emitLayer(
  layer: Layer,
  backend: Backend,
  targets: readonly Target[],
  storage: Storage,
  cache: string | undefined,
  golden?: number,
): Promise<EmittedLayer> {
  const path =
    cache === undefined
      ? undefined
      : join(cache, `${keyOf(layer, backend.name, JSON.stringify(targets), storage, String(golden))}.sources`);
  const known = path === undefined ? undefined : asEmitted(readKept(path));
  if (known) return known;
  const { compileLayer } = await import("../codegen/compile.ts");
  const compiled = targets.map((target) => compileLayer(layer, target, storage));
  const kernels = compiled.reduce((sum, { program }) => sum + program.prepare.length + program.kernels.length, 0);
  const [first, second] = compiled;
  const several = async (): Promise<SourceTree> =>
    backend.emitVariants?.(new Map(compiled.map(({ target, program }) => [target.isa, program]))) ?? new Map();
  const files = await (first && !second ? backend.emit(first.program, first.target) : several());
  let data: EmittedLayer["data"] = new Map();
  let without: string | undefined;
  if (backend.usesGoldenData && first) {
    const { goldenData, withDraws, withoutGolden } = await import("./golden.ts");
    data = goldenData(first, withDraws(golden));
    if (data.size === 0) without = withoutGolden(first, withDraws(golden));
  }
  if (path !== undefined) keep(path, { kernels, files: [...files], data: [...data], without });
  return { kernels, files, data, without };
}

const keyOf = (layer: Layer, ...rest: readonly string[]): string =>
  textHash(
    JSON.stringify([
      compilerStamp(["ir", "codegen", "backends", "runtime"]),
      printLayer(layer, { spans: true }),
      ...rest,
    ]),
  );

/** What `emitLayer` wrote; undefined for anything else. */
function asEmitted(value: unknown): EmittedLayer | undefined {
  if (typeof value !== "object" || value === null || !("kernels" in value) || !("files" in value) || !("data" in value))
    return undefined;
  const { kernels, files, data } = value;
  if (typeof kernels !== "number" || !Array.isArray(files) || !Array.isArray(data)) return undefined;
  const isText = (file: unknown): file is [string, string] => isNamed(file) && typeof file[1] === "string";
  const isBytes = (file: unknown): file is [string, Uint8Array] => isNamed(file) && file[1] instanceof Uint8Array;
  if (!files.every(isText) || !data.every(isBytes)) return undefined;
  const without = "without" in value && typeof value.without === "string" ? value.without : undefined;
  return { kernels, files: new Map(files), data: new Map(data), without };
}

const isNamed = (file: unknown): file is [string, unknown] =>
  Array.isArray(file) && file.length === 2 && typeof file[0] === "string";
