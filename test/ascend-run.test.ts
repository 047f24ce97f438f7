/** Kernels that somebody wrote by hand, run as docs/ascend.md shows: its text is what is tested. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { jsonOf, type Ran, temporaryFolder, unmoor } from "./support.ts";

const page = readFileSync(resolve(import.meta.dirname, "../docs/ascend.md"), "utf8");
const section = page.slice(page.indexOf("### Running a kernel that you wrote"), page.indexOf("### What is checked"));
const blocks = [...section.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, kind, text]) => ({ kind, text: text ?? "" }));
const source = blocks.find((b) => b.kind === "cpp")?.text ?? "";
const command = blocks.find((b) => b.kind === "")?.text.trim() ?? "";
const [works, breaks] = blocks.filter((b) => b.kind === "text").map((b) => b.text);

// Each kernel is compiled with all of the emulator.
vi.setConfig({ testTimeout: 400_000 });

beforeEach(() => {
  const before = process.cwd();
  process.chdir(temporaryFolder());
  onTestFinished(() => process.chdir(before));
});

/** The documented command in an empty folder that holds a kernel, with other options behind it. */
function run(kernel: string, ...more: string[]): Promise<Ran> {
  writeFileSync("vector_add.cpp", kernel);
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  expect(words.shift()).toBe("unmoor");
  return unmoor([...words, ...more]);
}

test("the documented kernel runs, and writes its result and its trace", async () => {
  expect(await run(source)).toEqual({ status: 0, out: works, err: "" });
  const sums = new Float32Array(new Uint8Array(readFileSync("z.npy").subarray(-4 * 16384)).buffer);
  expect(sums[1]).toBeCloseTo(0.585938);
  // Chrome's trace format: metadata and complete events, each with numbers for its place and time.
  const { traceEvents, otherData } = JSON.parse(readFileSync("trace.json", "utf8"));
  expect(otherData.kind).toBe("modelled");
  const worked = traceEvents.filter((e: { ph: string }) => e.ph === "X");
  expect(new Set(traceEvents.map((e: { ph: string }) => e.ph))).toEqual(new Set(["M", "X"]));
  expect(worked).toHaveLength(16 * 4);
  const ends = new Map<string, number>();
  for (const e of worked) {
    for (const field of ["pid", "tid", "ts", "dur"]) expect(e[field]).toBeGreaterThanOrEqual(0);
    // Readers take events that overlap for nested ones: not even the last digit may reach into the next.
    const [pipe, begin] = [`${e.pid} ${e.tid}`, Math.round(e.ts * 1e6)];
    expect(begin).toBeGreaterThanOrEqual(ends.get(pipe) ?? 0);
    ends.set(pipe, begin + Math.round(e.dur * 1e6));
  }
});

test("without the last wait it is refused, with the documented message", async () => {
  const broken = source.replace(/.*MTE3_MTE2.*\n/g, "");
  expect(broken.split("\n")).toHaveLength(source.split("\n").length - 2);
  expect(await run(broken)).toEqual({ status: 2, out: "", err: breaks });
  const told = await run(broken, "--json");
  expect(jsonOf(told)).toMatchObject({
    error: { kind: "input", diagnostics: [{ code: "U223", file: "vector_add.cpp", line: 18 }] },
  });
  // The same kernel elsewhere, and some lines lower.
  process.chdir(temporaryFolder());
  const lower = await run(`// By hand.\n\n${broken}`);
  expect(lower.err).toContain(" --> vector_add.cpp:20:5\n");
  // A compiler that puts the pipes in order needs no wait.
  expect((await run(broken, "--auto-sync")).status).toBe(0);
});

test("what does not compile is shown at its place in the kernel", async () => {
  const ran = await run(source.replace("Add(a, a, b, TILE);", "Add(a, a, TILE);"));
  expect(ran.status).toBe(2);
  expect(ran.err).toContain("error[U222]: the kernel does not compile: no matching function for call to");
  expect(ran.err).toContain("  --> vector_add.cpp:22:8\n");
  const launched = await run(`${source}\nvoid launch() { vector_add<<<4, nullptr, nullptr>>>(0, 0, 0, 0); }\n`);
  expect(launched.err).toContain("#ifndef UNMOOR_ASCEND_EMULATOR");
});

test("files and values in place go in, raw bytes come out", async () => {
  const n = 1024;
  writeFileSync("x.bin", new Uint8Array(Float32Array.from({ length: n }, (_, i) => i).buffer));
  const ran = await run(
    source,
    ...["--arg", "x=x.bin", "--arg", `y=f32:${Array.from({ length: n }, (_, i) => i % 2).join()}`],
    ...["--arg", `z=out:f32[${n}]`, "--arg", `total=${n}`, "--save", "z=z.bin", "--blocks", "2"],
  );
  expect(ran).toMatchObject({ status: 0, err: "" });
  const sums = new Float32Array(new Uint8Array(readFileSync("z.bin")).buffer);
  expect([...sums]).toEqual(Array.from({ length: n }, (_, i) => i + (i % 2)));
});

test("arguments that do not fit are told apart, all at once", async () => {
  writeFileSync(
    "two.cpp",
    `${source}\n${source.replace("vector_add", "other").replace(/#include.*|constexpr.*/g, "")}`,
  );
  const arg = (text: string): string[] => ["--arg", text];
  const ran = await unmoor([
    "ascend",
    "run",
    "two.cpp",
    "--kernel",
    "other",
    ...arg("x=f23[2]"),
    ...arg("q=1"),
    ...arg("y=3"),
  ]);
  expect(ran.status).toBe(2);
  expect([...ran.err.matchAll(/error\[(U\d+)\]: (.*)/g)].map(([, code, message]) => `${code} ${message}`)).toEqual([
    "U408 --arg q=1 fits no parameter",
    "U408 --arg x=f23[2] is not understood",
    "U408 parameter y is memory",
    "U408 parameter z has no argument",
    "U408 parameter total has no argument",
  ]);
  expect((await unmoor(["ascend", "run", "two.cpp"])).err).toContain("U221]: two.cpp has 2 kernels, and none is named");
  expect((await unmoor(["ascend", "run", "two.cpp", "--kernel", "sub"])).err).toContain(
    "U221]: two.cpp has no kernel sub",
  );
  expect((await unmoor(["ascend", "run", "none.cpp"])).err).toContain("U221]: cannot read none.cpp");
  expect((await unmoor(["ascend", "run", "two.cpp", "--kernel", "other", "--save", "q=1"])).err).toContain("U408]");
});

test("the headers alone run a kernel, as their README says", () => {
  const include = resolve(import.meta.dirname, "../backends/ascend/emulator/include");
  const readme = readFileSync(join(include, "../README.md"), "utf8");
  const main = /```cpp\n(#include "kernel.cpp"[\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const [build = "", start = ""] = /```\n(g\+\+ [^`]*)```/.exec(readme)?.[1]?.trim().split("\n") ?? [];
  writeFileSync("kernel.cpp", source.replace("vector_add", "add"));
  writeFileSync("main.cpp", main);
  for (const name of ["x.bin", "y.bin"]) writeFileSync(name, new Uint8Array(new Float32Array(2048).fill(1.5).buffer));
  const shell = (line: string): string => execFileSync("sh", ["-c", line], { encoding: "utf8" });
  expect(shell(`${build.replace("backends/ascend/emulator/include", include)} && ${start}`)).toBe("");
  expect(new Set(new Float32Array(new Uint8Array(readFileSync("z.bin")).buffer))).toEqual(new Set([3]));
});
