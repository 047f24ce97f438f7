import { fileURLToPath } from "node:url";
import type { Plugin, UserConfig } from "vite";
import { unmoorVersion } from "../../runtime/version.ts";
import { compileExamples } from "./examples.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const name = "virtual:examples";

/** The examples, compiled when the page is built. */
const examples: Plugin = {
  name: "unmoor-examples",
  resolveId: (id) => (id === name ? `\0${name}` : undefined),
  async load(id) {
    if (id !== `\0${name}`) return undefined;
    const compiled = JSON.stringify(await compileExamples(root));
    return `export const examples = ${compiled};\nexport const version = ${JSON.stringify(unmoorVersion())};`;
  },
};

/** Refuses what runs in Node only, which a bundler would else replace by nothing. */
const browserOnly: Plugin = {
  name: "unmoor-browser-only",
  enforce: "pre",
  resolveId(id, importer) {
    if (id.startsWith("node:")) this.error(`${importer} imports ${id}, and this page runs in a browser`);
    return undefined;
  },
};

/** Pages with these headers get a finer clock. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export default {
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  plugins: [browserOnly, examples],
  worker: { format: "es", plugins: () => [browserOnly] },
  build: { outDir: "../../out/web", emptyOutDir: true, target: "es2023" },
  server: { headers, fs: { allow: [root] } },
  preview: { headers },
} satisfies UserConfig;
