import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { type KernelEntry, kernelsIn } from "../../backends/ascend/kernel-source.ts";
import { runKernel } from "../../backends/ascend/run-kernel.ts";
import { type Diagnostic, DiagnosticError } from "../../ir/core/diagnostic.ts";
import { noSpan } from "../../ir/core/span.ts";
import { checkWritable } from "../../runtime/files.ts";
import { kernelArguments, preview, saveMemory } from "../../runtime/kernel-arguments.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import { jsonOption, wholeNumber } from "../options.ts";
import { jsonDocument } from "../text.ts";

interface Options {
  readonly kernel?: string;
  readonly arg: readonly string[];
  readonly save: readonly string[];
  readonly blocks: number;
  readonly type?: string;
  readonly soc: string;
  readonly seed: number;
  readonly seeds: number;
  readonly tilingKey: number;
  readonly autoSync?: boolean;
  readonly trace?: string;
  readonly json?: boolean;
}

const kernelTypes = ["AIV_ONLY", "AIC_ONLY", "MIX_AIV_1_0", "MIX_AIC_1_0", "MIX_AIC_1_1", "MIX_AIC_1_2"];
const socs = { "910B1": "910B1", "910B2": "910B2", "910B3": "910B3", "910B4": "910B4", "910C": "910_9391" } as const;

export function ascendCommand(program: Command, run: Run, environment: Environment): void {
  const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  jsonOption(
    program
      .command("ascend")
      .description("Ascend C that somebody wrote by hand")
      .command("run")
      .description(
        "compile a kernel with g++, run it on the host emulator, and report what hardware would only show as hangs or wrong numbers",
      )
      .argument("<file>", 'C++ file with the kernel: extern "C" __global__ __aicore__ void name(GM_ADDR x, …)'),
  )
    .option("--kernel <name>", "which kernel, where the file has several")
    .option(
      "--arg <name=value>",
      "what a parameter gets, once for each: FILE.npy, FILE.bin or FILE.safetensors:TENSOR; f32[64,128] for seeded values; " +
        "i64:4,7 for these values; out:f32[64] for a result; work:u8[4096] for scratch memory; a number for a parameter by value",
      several,
      [],
    )
    .option("--save <name=file>", "write a parameter's memory to a .npy, .safetensors or .bin file", several, [])
    .option("--blocks <n>", "blocks to launch", wholeNumber(1), 1)
    .addOption(
      new Option("--type <type>", "kernel type; default: what the kernel declares, or AIV_ONLY").choices(kernelTypes),
    )
    .addOption(new Option("--soc <name>", "chip to stand for").choices(Object.keys(socs)).default("910B3"))
    .option("--seed <n>", "first order of blocks and pipes, and the seeded values", wholeNumber(0), 0)
    .option("--seeds <n>", "how many orders to try", wholeNumber(1), 1)
    .option("--tiling-key <n>", "what TILING_KEY_IS compares with", wholeNumber(0), 0)
    .option("--auto-sync", "let the compiler put the pipes in order, as --cce-auto-sync does")
    .option("--trace <file>", "write the modelled times of the instructions as Chrome trace JSON")
    .action((file: string, options: Options) => run(() => runFile(file, options, environment)));
}

async function runFile(file: string, options: Options, environment: Environment): Promise<number> {
  const source = await readFile(file, "utf8").catch(() => {
    throw fault("U221", `cannot read ${file}`, "a C++ file", "none that may be read", "Check the path.");
  });
  const kernel = kernelOf(file, kernelsIn(source), options.kernel);
  const saves = savesOf(kernel, options.save);
  for (const path of [...saves.values(), ...(options.trace === undefined ? [] : [options.trace])])
    await checkWritable(path);
  const given = await kernelArguments(kernel, options.arg, options.seed);
  const results = kernel.parameters.flatMap(({ name }, i) => (given.arguments[i]?.kind === "out" ? [name] : []));
  const type = options.type ?? kernel.type ?? "AIV_ONLY";
  const { blocks, soc, seed, seeds, tilingKey, trace } = options;
  const ran = await runKernel({
    file,
    source,
    kernel,
    arguments: given.arguments,
    read: new Set([...results, ...saves.keys()]),
    type,
    blocks,
    soc: socs[soc as keyof typeof socs],
    seed,
    seeds,
    tilingKey,
    autoSync: options.autoSync === true,
    trace,
  });
  for (const [name, path] of saves)
    await saveMemory(path, name, given.elements.get(name), ran.memory.get(name) ?? Buffer.alloc(0));
  if (ran.output !== "") environment.err(ran.output);
  if (options.json) {
    const memory = [...ran.memory].map(([name, bytes]) => ({ name, ...given.elements.get(name), bytes: bytes.length }));
    const { differing, compiler } = ran;
    environment.out(
      jsonDocument({
        kernel: kernel.name,
        type,
        soc,
        blocks,
        seed,
        seeds,
        evidence: "emulated",
        compiler,
        memory,
        differing,
        saved: Object.fromEntries(saves),
        ...(trace === undefined ? {} : { trace }),
      }),
    );
    return status.done;
  }
  const orders = seeds === 1 ? `seed ${seed}` : `seeds ${seed} to ${seed + seeds - 1}`;
  environment.out(
    `${kernel.name} on the Ascend emulator (${soc}, ${type}, ${blocks} block${blocks === 1 ? "" : "s"}, ${orders}): nothing found\n`,
  );
  for (const [name, bytes] of ran.memory) {
    const elements = given.elements.get(name);
    const what = elements
      ? `${elements.type}[${elements.shape.join(", ")}]: ${preview(elements, bytes)}`
      : `${bytes.length} bytes`;
    const path = saves.get(name);
    environment.out(`  ${name} ${what}${path === undefined ? "" : ` → ${path}`}\n`);
  }
  if (trace !== undefined) environment.out(`  modelled times → ${trace} (chrome://tracing, ui.perfetto.dev)\n`);
  for (const name of ran.differing)
    environment.err(`note: ${name} is not the same for every seed: its sums depend on an order that nothing fixes\n`);
  return status.done;
}

const fault = (code: Diagnostic["code"], message: string, expected: string, found: string, help: string) =>
  new DiagnosticError([{ code, span: noSpan, message, expected, found, help }]);

function kernelOf(file: string, kernels: readonly KernelEntry[], name: string | undefined): KernelEntry {
  const names = kernels.map((k) => k.name);
  const [first] = kernels;
  if (!first) {
    const expected = 'extern "C" __global__ __aicore__ void name(GM_ADDR x, …)';
    throw fault("U221", `${file} has no kernel`, expected, "no function marked __global__", "Mark the kernel.");
  }
  if (name === undefined && kernels.length > 1)
    throw fault(
      "U221",
      `${file} has ${kernels.length} kernels, and none is named`,
      `one of ${names.join(", ")}`,
      "none",
      `Name one: --kernel ${first.name}.`,
    );
  const found = name === undefined ? first : kernels.find((k) => k.name === name);
  if (found) return found;
  throw fault("U221", `${file} has no kernel ${name}`, `one of ${names.join(", ")}`, `${name}`, "Name one of these.");
}

function savesOf(kernel: KernelEntry, texts: readonly string[]): ReadonlyMap<string, string> {
  const pointers = kernel.parameters.filter((p) => p.pointer).map((p) => p.name);
  return new Map(
    texts.map((text) => {
      const [, name = "", path = ""] = /^(\w+)=(.+)$/.exec(text) ?? [];
      if (pointers.includes(name)) return [name, path] as const;
      throw fault(
        "U408",
        `--save ${text} names no memory`,
        `one of ${pointers.join(", ")}`,
        text,
        "Write --save NAME=FILE.",
      );
    }),
  );
}
