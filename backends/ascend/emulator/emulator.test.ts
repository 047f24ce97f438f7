import { type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findCompiler } from "../../toolchain/compiler.ts";
import { emulatorBuild } from "../emulator-build.ts";
import { cppCompiler } from "../support.ts";

const here = new URL(".", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "unmoor-ascend-"));

interface Finished {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(command: string, args: string[], options: SpawnOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

/** The cases of each program that must pass; `runCase` in tests/support.h says what an exit status means. */
const passing = {
  cube: ["half", "bfloat16", "float", "int8", "row", "speed"],
  vector: ["add", "tails", "reductions", "casts", "halves", "math", "select"],
  launch: ["order", "sync", "mix", "state", "abi", "trials"],
  matmul: ["whole", "blocks", "fused", "vectors", "fractals", "halves"],
  matmul_cube: ["whole", "chain", "batch", "factors"],
  matmul_batch: ["batches", "apart", "shared", "later", "factors"],
  matmul_many: ["many", "fetched", "added", "both"],
  layouts: ["allocator", "pools", "turned-loads", "turned-blocks", "block-flags"],
  arrange: ["merge", "sort", "gather", "transpose", "pairs", "shift", "activations", "spread"],
  reach: [
    ...["masks", "fused", "gathers", "selects", "reduces", "casts", "softmax", "topk", "atomics", "queues", "products"],
    ...["windows", "soft-sync", "tiling"],
  ],
  operators: ["arithmetic", "comparisons", "elements", "cmp-mask"],
  slices: ["slices", "line", "fractals-out", "enhanced"],
  // All kernels with the call that they lack otherwise; kernels that need none; what is reported shows in numbers.
  synchronise: ["right", "sound", "unchecked", "automatic"],
} as const;
/** Programs whose cases must each be refused with the report in `tests/NAME.expected`. */
const refused = [
  "operands",
  "matmul",
  "layouts",
  "reach",
  "operators",
  "slices",
  "arrange",
  "synchronise",
  "matmul_cube",
  "matmul_batch",
  "matmul_many",
  "broken",
] as const;
const programs = [...refused, "cube", "vector", "launch"];

/** One program with the headers alone, as somebody has them who takes the headers; the others with the object that they share. */
async function compile(name: string): Promise<void> {
  const { flags, objects } =
    name === "launch"
      ? { flags: ["-std=c++17", "-O0", "-I", join(here, "include")], objects: [] }
      : await emulatorBuild(await findCompiler({ ...cppCompiler, candidates: ["g++"] }));
  const source = join(here, "tests", `${name}.cpp`);
  const built = await run("g++", [
    ...flags,
    "-Wall",
    "-Wextra",
    "-Werror",
    source,
    ...objects,
    "-o",
    join(folder, name),
  ]);
  if (built.status !== 0) throw new Error(built.stderr);
}

beforeAll(async () => {
  const waiting = [...programs];
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await compile(name);
  };
  await Promise.all([worker(), worker()]);
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("kernels that are right", () => {
  for (const [program, cases] of Object.entries(passing)) {
    it.each(cases)(`${program}: %s`, async (name) => {
      const { status, stdout } = await run(join(folder, program), [name]);
      expect(stdout).toBe("");
      expect(status).toBe(0);
    });
  }
});

/** One block per case: `== name`, then the report with line numbers written as `_`. */
function expectedReports(program: string): Map<string, string> {
  const blocks = readFileSync(join(here, "tests", `${program}.expected`), "utf8")
    .split(/^== /m)
    .slice(1);
  return new Map(
    blocks.map((block) => [block.slice(0, block.indexOf("\n")), block.slice(block.indexOf("\n") + 1)] as const),
  );
}

describe.each(refused)("kernels that are broken: %s", (program) => {
  const expected = expectedReports(program);
  const source = readFileSync(join(here, "tests", `${program}.cpp`), "utf8").split("\n");

  it("each have an expected report", async () => {
    const { stdout } = await run(join(folder, program), ["--list"]);
    const others = new Set<string>([...Object.values(passing).flat(), "trace", "wrong-layout"]);
    const listed = stdout.trim().split("\n");
    expect(listed.filter((name) => !others.has(name)).sort()).toEqual([...expected.keys()].sort());
  });

  it.each([...expected.keys()])("%s", async (name) => {
    const { status, stdout } = await run(join(folder, program), [name]);
    expect(stdout.replace(/\.(cpp|h):\d+/g, ".$1:_").replace(/ in line \d+/g, " in line _")).toBe(expected.get(name));
    expect(status).toBe(2);
    const line = source.findIndex((text) => text.endsWith(`// HERE ${name}`)) + 1;
    if (line > 0) expect(stdout.split("\n")[0]).toContain(`${program}.cpp:${line}: `);
  });
});

/** One event of Chrome's trace format, as far as it matters here. */
interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: { readonly name?: string; readonly line?: string };
}

describe("the trace of two launches on two blocks, the first of which works", () => {
  const traces = async (): Promise<TraceEvent[][]> => {
    const { stdout, status } = await run(join(folder, "synchronise"), ["trace"]);
    expect(status).toBe(0);
    return stdout
      .split("====\n")
      .slice(0, 2)
      .map((text) => {
        const { otherData, traceEvents } = JSON.parse(text);
        expect(otherData).toEqual({ kind: "modelled", clock: "1000.000000 MHz" });
        return traceEvents;
      });
  };
  const worked = (events: readonly TraceEvent[]) => events.filter((e) => e.ph === "X");

  it("names cores, pipes, instructions and lines", async () => {
    for (const events of await traces()) {
      const names = events.filter((e) => e.name === "process_name").map((e) => e.args.name);
      expect(names.toSorted()).toEqual([
        "scale, block 0 of 2 (vector core AIV)",
        "scale, block 0 of 2 (vector core AIV)",
        "scale, block 1 of 2 (vector core AIV)",
        "scale, block 1 of 2 (vector core AIV)",
      ]);
      const pipes = new Map(events.filter((e) => e.name === "thread_name").map((e) => [e.tid, e.args.name]));
      expect([...pipes.values()]).toEqual(["S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX"]);
      expect(worked(events).map((e) => `${pipes.get(e.tid)} ${e.name}`)).toEqual([
        "MTE2 DataCopy GM->local",
        "V Adds",
        "MTE3 DataCopy UB->GM",
        "MTE2 DataCopy GM->local",
        "V Adds",
        "MTE3 DataCopy UB->GM",
      ]);
      for (const e of worked(events)) expect(e.args.line).toMatch(/^synchronise\.cpp:\d+$/);
    }
  });

  it("has each pipe do one thing at a time, and what waits begin after what it waits for", async () => {
    for (const events of await traces()) {
      const queues = new Map<string, number>();
      let before = 0;
      for (const e of worked(events)) {
        const queue = `${e.pid} ${e.tid}`;
        expect(e.dur).toBeGreaterThan(0);
        expect(e.ts).toBeGreaterThanOrEqual(queues.get(queue) ?? 0);
        queues.set(queue, e.ts + e.dur);
        // Here every instruction waits for the one before it.
        expect(e.ts).toBeGreaterThanOrEqual(before - 1e-6);
        before = e.ts + e.dur;
      }
    }
  });

  it("takes the costs that it is given: 256 cycles for 256 bytes, 10 for the rest, at 1000 MHz", async () => {
    const [, own = []] = await traces();
    expect(worked(own).map((e) => e.dur)).toEqual([0.256, 0.01, 0.01, 0.256, 0.01, 0.01]);
  });
});

describe("a kernel that is legal but wrong", () => {
  it("gives a wrong product for fractals in the wrong order", async () => {
    const { status, stdout } = await run(join(folder, "broken"), ["wrong-layout"]);
    expect(stdout).toContain("c[1]: got 115.000000, want 157.000000");
    expect(status).toBe(1);
  });
});

it("refuses, when compiling, every call that Ascend C does not have, and no other", async () => {
  const path = join(here, "tests", "wrong.cpp");
  const { stderr } = await run("g++", ["-std=c++17", "-fsyntax-only", "-w", "-I", join(here, "include"), path]);
  // An error within the headers names the line that led there.
  const places = [...stderr.matchAll(/wrong\.cpp:(\d+):\d+: +(?:error|required from here)/g)].map(([, line]) =>
    Number(line),
  );
  const wrong = readFileSync(path, "utf8")
    .split("\n")
    .flatMap((text, i) => (text.endsWith("// WRONG") ? [i + 1] : []));
  expect(wrong.length).toBeGreaterThan(100);
  expect([...new Set(places)].sort((a, b) => a - b)).toEqual(wrong);
});
