/**
 * Generated C under AddressSanitizer and UndefinedBehaviorSanitizer: each layer's own self-test, with memory that ends where buffers do, for as
 * many tokens as take every path, and 1 to 3 threads. One example here; with UNMOOR_TEST_ALL=1 (npm run test:sanitize) every
 * example and every layer of test/layers, in all storages; always all variants that this CPU has. What comes out the same in several storages is
 * compiled once; the others are skipped, and say which they equal.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { SourceTree } from "../backends/backend.ts";
import { exampleSizes } from "../bench/example-sizes.ts";
import { compileLayer } from "../codegen/compile.ts";
import { type Storage, storages } from "../codegen/target.ts";
import { blockMultiple, isBlockFormat } from "../ir/core/block-formats.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import { loadBackend } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";
import { simdIsas, wholeBlocks } from "./support.ts";

const run = promisify(execFile);
const all = process.env.UNMOOR_TEST_ALL === "1";
const examples = resolve(import.meta.dirname, "../examples");
const layers = resolve(import.meta.dirname, "layers");

const isas = await simdIsas();
const masked = resolve(import.meta.dirname, "../backends/simd-c/fixtures/masked.h");
/** -O0: what is looked for is in the source, not in what a compiler makes of it, and optimising checks takes six times as long. */
const FLAGS = [
  "-std=c11",
  "-O0",
  "-g",
  `-include ${masked}`,
  "-ffp-contract=off",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
  // Calls instead of checks in line: a fifth less to compile.
  "--param=asan-instrumentation-with-call-threshold=0",
];

/** None, the rows of each tile, and several tiles. */
const TOKENS = [...Array(14).keys(), 16, 40, 200];

type Sizes = Readonly<Record<string, number>>;
interface Case {
  readonly name: string;
  readonly file: string;
  readonly params: Sizes;
  readonly storage: Storage;
}

const caseOf = (file: string, params: Sizes, storage: Storage): Case => ({
  name: `${basename(file)} in ${storage} at ${JSON.stringify(params)}`,
  file,
  params: isBlockFormat(storage) ? wholeBlocks(params, blockMultiple(storage)) : params,
  storage,
});

const example = join(examples, "longcat-moe.ts");
const [whole = {}, parts = {}] = exampleSizes["longcat-moe.ts"] ?? [];

async function cases(): Promise<readonly Case[]> {
  if (!all) return [caseOf(example, parts, "q4_0")];
  const { target } = await loadBackend("simd-c");
  const stored = storages.filter((storage) => isas.every((isa) => target(isa).storages.includes(storage)));
  const own = readdirSync(layers).map(async (file) => {
    const { sizes } = (await import(join(layers, file))) as { readonly sizes: readonly Sizes[] };
    return [join(layers, file), sizes] as const;
  });
  const files = [
    ...Object.entries(exampleSizes).map(([f, s]) => [join(examples, f), s] as const),
    ...(await Promise.all(own)),
  ];
  return files.flatMap(([file, sizes]) => sizes.flatMap((params) => stored.map((s) => caseOf(file, params, s))));
}

/** The C of a layer in some variants, with the self-test for TOKENS. */
async function emit({ file, params, storage }: Case, variants = isas): Promise<SourceTree> {
  const backend = await loadBackend("simd-c");
  const layer = await readLayer({ file, params, cache: undefined });
  const programs = variants.map((isa) => [isa, compileLayer(layer, backend.target(isa), storage).program] as const);
  const sources = await backend.emitVariants?.(new Map(programs));
  if (!sources) throw new Error("simd-c emits no variants");
  return new Map(
    [...sources].map(([path, text]) => [
      path,
      path === "selftest.c" ? changed(text, /(?<=tokens\[\] = \{)[^}]*/, TOKENS.join(", ")) : text,
    ]),
  );
}

/** The text with one thing in it changed, which must be there. */
function changed(text: string, from: RegExp, to: string): string {
  expect(text).toMatch(from);
  return text.replace(from, to);
}

/** Builds the self-test with sanitizers and runs it. Returns what it printed, and its status. */
async function selfTest(sources: SourceTree): Promise<{ readonly status: number; readonly output: string }> {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-sanitize-"));
  try {
    for (const [path, text] of sources) if (!path.includes("/")) writeFileSync(join(folder, path), text);
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

const held = await cases();

/** The case that compiled each text first. */
const compiled = new Map<string, string>();

/** Milliseconds. Several compile at once, on a machine that may be busy. */
const patience = 1_800_000;

describe("generated C under sanitizers", { timeout: patience }, () => {
  test.concurrent.for(held.map((each) => [each.name, each] as const))("%s", async ([name, each], { skip }) => {
    const sources = await emit(each).catch((error: unknown) => {
      // Rows of a layer whose sizes are not widths.
      if (error instanceof DiagnosticError && error.diagnostics[0]?.code === "U218") return skip(error.message);
      throw error;
    });
    const text = [...sources].flat().join("\n");
    const same = compiled.get(text);
    skip(same !== undefined, `the same C as ${same}`);
    compiled.set(text, name);
    const { status, output } = await selfTest(sources);
    expect(output).not.toMatch(/FAILED|ERROR|runtime error/);
    expect(status).toBe(0);
    for (const isa of isas) expect(output).toContain(`${isa}: self-test passed`);
  });

  test("masked instructions are seen by sanitizers", async () => {
    const seen = new Set([...readFileSync(masked, "utf8").matchAll(/^#define (_mm\w+)/gm)].map((m) => m[1]));
    const sources = await emit(caseOf(example, parts, "bf16"));
    const used = [...sources.values()].join("\n").match(/_mm\d+_mask\w*(load|store)\w*/g) ?? [];
    expect(used.filter((name) => !seen.has(name))).toEqual([]);
  });

  // Buffers are of whole vectors at some sizes, and end within one at others.
  const tight = [whole, parts].flatMap((params) =>
    isas.flatMap((isa) => ["x", "y"].map((b) => [b, isa, params] as const)),
  );
  test.concurrent.for(tight)("that %s is a byte too small for %s is noticed at %j", async ([buffer, isa, params]) => {
    const sources = await emit(caseOf(example, params, "f32"), [isa]);
    const text = sources.get("selftest.c") ?? "";
    const index = [...text.matchAll(/^ {2}\{"(\w+)", \w+, \w+\},/gm)].findIndex((m) => m[1] === buffer);
    const small = changed(text, new RegExp(`bytes\\[${index}\\] = `), `bytes[${index}] = dims[0] == 0 ? 0 : -1 + `);
    const { status, output } = await selfTest(new Map(sources).set("selftest.c", small));
    expect(status).not.toBe(0);
    // Of a vector of 64 bytes gcc does not say where it crossed the end.
    expect(output).toMatch(/AddressSanitizer: (heap-buffer-overflow|unknown-crash)|insufficient space/);
  });
});
