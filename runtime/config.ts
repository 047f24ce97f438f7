import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Json } from "../ir/core/config.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import { noSpan } from "../ir/core/span.ts";
import type { ConfigFile } from "../ir/frontend/index.ts";

const jsonSchema: z.ZodType<Json> = z.json();

/**
 * Reads a model's config.json.
 * @throws DiagnosticError U312 where it cannot be read, or is no JSON object
 */
export async function readConfig(path: string): Promise<ConfigFile> {
  const fail = (found: string): DiagnosticError =>
    new DiagnosticError([
      {
        code: "U312",
        span: noSpan,
        message: `the config ${path} cannot be read`,
        expected: "the config.json of a model: a JSON object",
        found,
        help: "Give the path of a config.json.",
      },
    ]);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fail(error instanceof Error ? error.message : String(error));
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const values = jsonSchema.parse(parsed);
  if (typeof values !== "object" || values === null || Array.isArray(values)) throw fail("JSON of another kind");
  return { path, values };
}
