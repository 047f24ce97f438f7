/**
 * Generated C under AddressSanitizer and UndefinedBehaviorSanitizer: each layer's own self-test, with memory that ends where buffers do, for none,
 * one and more tokens and 1 to 3 threads. One example here, in the best variant; with UNMOOR_TEST_ALL=1 (npm run test:sanitize) every example and
 * every layer of test/layers, in all storages and all variants that this CPU has.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { exampleSizes } from "../bench/example-sizes.ts";
import { compileLayer } from "../codegen/compile.ts";
import { type Storage, storages } from "../codegen/target.ts";
import { blockMultiple, isBlockFormat } from "../ir/core/block-formats.ts";
import { loadBackend } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";
import { simdIsas, wholeBlocks } from "./support.ts";

const run = promisify(execFile);
const all = process.env.UNMOOR_TEST_ALL === "1";
const examples = resolve(import.meta.dirname, "../examples");
const layers = resolve(import.meta.dirname, "layers");

/** Compilers take long with sanitizers: only the best variant otherwise. */
const isas = (await simdIsas()).slice(0, all ? undefined : 1);
/** -O1: what is looked for is in the source, not in what a compiler makes of it. */
const FLAGS = [
  "-std=c11",
  "-O1",
  "-g",
  "-ffp-contract=off",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
];

type Sizes = Readonly<Record<string, number>>;
interface Case {
  readonly name: string;
  readonly file: string;
  readonly params: Sizes;
  readonly storage: Storage;
}

/** Its results are whole lines of memory: buffers are rounded up to these, and what is beyond such a buffer's end is noticed. */
const quick: Case = {
  name: "longcat-moe.ts in q4_0",
  file: join(examples, "longcat-moe.ts"),
  params: exampleSizes["longcat-moe.ts"]?.at(-1) ?? {},
  storage: "q4_0",
};

async function cases(): Promise<readonly Case[]> {
  if (!all) return [quick];
  const { target } = await loadBackend("simd-c");
  const held = storages.filter((storage) => isas.every((isa) => target(isa).storages.includes(storage)));
  const own = readdirSync(layers).map(async (file) => {
    const { sizes } = (await import(join(layers, file))) as { readonly sizes: readonly Sizes[] };
    return [join(layers, file), sizes] as const;
  });
  const files = [
    ...Object.entries(exampleSizes).map(([f, s]) => [join(examples, f), s] as const),
    ...(await Promise.all(own)),
  ];
  return files.flatMap(([file, sizes]) =>
    sizes.flatMap((params) =>
      held.map((storage) => ({
        name: `${file.slice(file.lastIndexOf("/") + 1)} in ${storage} at ${JSON.stringify(params)}`,
        file,
        params,
        storage,
      })),
    ),
  );
}

/** Runs the sanitized self-test of a layer in some variants; its text passes through `change`. Returns what it printed, and its status. */
async function selfTest(
  { file, params, storage }: Case,
  variants = isas,
  change: (text: string) => string = (text) => text,
): Promise<{ readonly status: number; readonly output: string }> {
  const backend = await loadBackend("simd-c");
  const fitting = isBlockFormat(storage) ? wholeBlocks(params, blockMultiple(storage)) : params;
  const layer = await readLayer({ file, params: fitting, cache: undefined });
  const programs = variants.map((isa) => [isa, compileLayer(layer, backend.target(isa), storage).program] as const);
  const sources = await backend.emitVariants?.(new Map(programs));
  if (!sources) throw new Error("simd-c emits no variants");
  const folder = mkdtempSync(join(tmpdir(), "unmoor-sanitize-"));
  try {
    for (const [path, text] of sources)
      if (!path.includes("/")) writeFileSync(join(folder, path), path === "selftest.c" ? change(text) : text);
    await run("make", ["CC=gcc", `CFLAGS=${FLAGS.join(" ")}`, "selftest"], { cwd: folder, maxBuffer: 16 << 20 });
    const ran = run(join(folder, "selftest"), { cwd: folder, maxBuffer: 16 << 20 });
    return await ran.then(
      ({ stdout, stderr }) => ({ status: 0, output: stdout + stderr }),
      ({ code, stdout, stderr }: { code?: number; stdout?: string; stderr?: string }) => ({
        status: code ?? -1,
        output: `${stdout}${stderr}`,
      }),
    );
  } finally {
    // Not a hook: of tests that run at once, it could be another's.
    rmSync(folder, { recursive: true, force: true });
  }
}

const [first, ...rest] = await cases();
if (!first) throw new Error("there are no cases");

/** Milliseconds. A decoder layer takes minutes with sanitizers, and several compile at once. */
const patience = 1_800_000;

describe("generated C under sanitizers", { timeout: patience }, () => {
  test.concurrent.each([first, ...rest])("$name", async (each) => {
    const { status, output } = await selfTest(each);
    expect(output).not.toMatch(/FAILED|ERROR|runtime error/);
    expect(status).toBe(0);
    for (const isa of isas) expect(output).toContain(`${isa}: self-test passed`);
  });

  test("a result buffer that is a byte too small is noticed", async () => {
    const index = (text: string): number =>
      [...text.matchAll(/^ {2}\{"(\w+)", \w+, \w+\},/gm)].findIndex((m) => m[1] === "y");
    const { status, output } = await selfTest(quick, ["scalar"], (text) =>
      text.replace(`bytes[${index(text)}] = `, `bytes[${index(text)}] = dims[0] == 0 ? 0 : -1 + `),
    );
    expect(status).not.toBe(0);
    expect(output).toMatch(/AddressSanitizer: heap-buffer-overflow/);
  });
});
