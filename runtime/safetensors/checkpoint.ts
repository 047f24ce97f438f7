import { type FileHandle, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { findDuplicateKey } from "./duplicate-keys.ts";
import { SafetensorsError } from "./error.ts";
import { firstIssue, type Header, type TensorInfo } from "./header.ts";
import { cannotRead, openOne, openSafetensors, SafetensorsFile } from "./reader.ts";

const INDEX = "model.safetensors.index.json";
const SINGLE = "model.safetensors";
const AGAIN = "download or write it again";

const indexSchema = z.object({
  metadata: z.record(z.string(), z.unknown()).optional(),
  weight_map: z.record(z.string(), z.string().min(1)),
});

/**
 * Opens the weights of a model: a .safetensors file, a `….index.json` that spreads the tensors over several files, or a
 * folder with `model.safetensors.index.json` or `model.safetensors`. Tensors that an index does not list are left out.
 * @throws SafetensorsError when there are no weights, or anything in the index or in a file is wrong
 */
export async function openCheckpoint(pathOrFolder: string): Promise<SafetensorsFile> {
  const path = resolve(pathOrFolder);
  const status = await stat(path).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  if (!status.isDirectory()) return path.endsWith(".json") ? openSharded(path) : openSafetensors(path);
  if (await isFile(join(path, INDEX))) return openSharded(join(path, INDEX));
  if (await isFile(join(path, SINGLE))) return openSafetensors(join(path, SINGLE));
  throw new SafetensorsError({
    file: path,
    problem: `the folder has neither ${INDEX} nor ${SINGLE}`,
    remedy: "name the folder of a checkpoint, or its .safetensors file",
  });
}

async function openSharded(file: string): Promise<SafetensorsFile> {
  const weightMap = await readIndex(file);
  const paths = [...new Set(Object.values(weightMap).map((shard) => join(dirname(file), shard)))];
  const opened = await Promise.allSettled(paths.map((path) => openOne(path)));
  const shards = new Map<string, Header>();
  const handles = new Map<string, FileHandle>();
  let failure: unknown;
  for (const result of opened) {
    if (result.status === "rejected") failure ??= result.reason;
    else {
      shards.set(result.value.file, result.value.header);
      handles.set(result.value.file, result.value.handle);
    }
  }
  try {
    if (failure !== undefined) throw failure;
    const header = { tensors: collect(file, weightMap, shards), metadata: new Map<string, string>() };
    return new SafetensorsFile(file, header, handles);
  } catch (error) {
    await Promise.all([...handles.values()].map((handle) => handle.close()));
    throw error;
  }
}

function collect(
  file: string,
  weightMap: Readonly<Record<string, string>>,
  shards: ReadonlyMap<string, Header>,
): ReadonlyMap<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    const info = shards.get(join(dirname(file), shard))?.tensors.get(tensor);
    if (!info) {
      const problem = `the index places it in ${shard}, which does not have it`;
      throw new SafetensorsError({ file, tensor, problem, remedy: AGAIN });
    }
    tensors.set(tensor, info);
  }
  return tensors;
}

async function readIndex(file: string): Promise<Readonly<Record<string, string>>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw cannotRead(file, error);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError({ file, problem: `it is not well-formed JSON (${reason})`, remedy: AGAIN, cause });
  }
  const result = indexSchema.safeParse(parsed);
  if (!result.success) {
    const problem = `it is no index of a checkpoint (${firstIssue(result.error)})`;
    throw new SafetensorsError({ file, problem, remedy: AGAIN });
  }
  const twice = findDuplicateKey(text);
  if (twice !== undefined) {
    throw new SafetensorsError({ file, problem: `it has the key ${JSON.stringify(twice)} twice`, remedy: AGAIN });
  }
  const weightMap = result.data.weight_map;
  for (const [tensor, shard] of Object.entries(weightMap)) {
    // An index comes from elsewhere: it must not make us open files outside its own folder.
    if (shard.startsWith("/") || shard.split(/[/\\]/).includes("..")) {
      const problem = `the index places it in ${JSON.stringify(shard)}, outside its own folder`;
      throw new SafetensorsError({ file, tensor, problem, remedy: "put all files of a checkpoint into one folder" });
    }
  }
  return weightMap;
}

async function isFile(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status?.isFile() === true;
}
