import { statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

/** The system's Chromium; undefined where there is none. UNMOOR_CHROMIUM names another. */
export function findChromium(): string | undefined {
  const named = process.env.UNMOOR_CHROMIUM;
  if (named) return named;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders
    .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)))
    .find((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

/**
 * Starts a browser: with its software GPU, or as it comes, which has no WebGPU without a GPU.
 * @param more arguments of the browser's
 */
export const launch = (executablePath: string, gpu: boolean, more: readonly string[] = []): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: ["--no-sandbox", ...(gpu ? ["--enable-unsafe-webgpu"] : []), ...more],
  });
