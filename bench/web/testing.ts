import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";

/** For tests: the page as it is built, in a real browser. */

const configFile = fileURLToPath(new URL("vite.config.ts", import.meta.url));

export interface ServedPage {
  readonly url: string;
  close(): Promise<void>;
}

/** Builds the page into a folder of its own and serves it. */
export async function servePage(): Promise<ServedPage> {
  const outDir = mkdtempSync(join(tmpdir(), "unmoor-web-"));
  await build({ configFile, logLevel: "error", build: { outDir } });
  const server: PreviewServer = await preview({
    configFile,
    logLevel: "error",
    build: { outDir },
    preview: { port: 0, host: "127.0.0.1", open: false },
  });
  const [url] = server.resolvedUrls?.local ?? [];
  if (url === undefined) throw new Error("the page is not served");
  return {
    url,
    async close() {
      await server.close();
      rmSync(outDir, { recursive: true, force: true });
    },
  };
}

/** A page whose complaints are kept: errors, warnings of the console, requests that failed. */
export async function openPage(
  browser: Browser,
  url: string,
  viewport = { width: 1280, height: 900 },
  colorScheme: "light" | "dark" = "light",
): Promise<{ readonly page: Page; readonly complaints: string[] }> {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("requestfailed", (request) => complaints.push(`${request.url()} failed`));
  await page.goto(url);
  return { page, complaints };
}
