#!/usr/bin/env node
// Starts the compiled command line. It does nothing else, so that `unmoor --help` is quick.
import { existsSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const main = new URL("../dist/bin/main.js", import.meta.url);

if (existsSync(main)) {
  // Newer releases of Node keep the compiled code of large modules, TypeScript's above all, between runs.
  module.enableCompileCache?.();
  const program = await import(main.href);
  process.exitCode = await program.main(process.argv.slice(2));
} else {
  const root = fileURLToPath(new URL("../", import.meta.url));
  console.error(
    `unmoor: not set up yet: ${fileURLToPath(main)} is missing.\nTo set it up, run in ${root}: npm run setup`,
  );
  process.exitCode = 3;
}
