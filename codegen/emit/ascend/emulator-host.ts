import { Dim } from "../../../ir/core/dim.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import type { Program, ProgramBuffer } from "../../program.ts";
import { cInterface, touched } from "../c-family/interface.ts";
import { CodeWriter } from "../c-family/writer.ts";
import { emitBinding, hostHelpers } from "./host.ts";
import type { EmittedProgram } from "./index.ts";
import type { AscendIsa } from "./isa.ts";
import type { EmittedKernel } from "./kernel.ts";
import { readBeyondWritten } from "./partial.ts";
import { sizeText } from "./sizes.ts";
import { launchField, tilingName } from "./tiling.ts";

/**
 * The host side for the emulator: the same functions as a SIMD C library has. NAME_run and NAME_prepare return 0 when done,
 * 1 for a missing buffer, 2 for a negative dimension, 3 for a fault that the emulator found, which NAME_error says in words.
 * Of the emulator alone:
 * NAME_seed (dims: a seed, how many from it on one call runs with) decides the orders in which blocks and pipes run; each call
 * goes on where the one before ended.
 * NAME_trials (dims: how many numbers follow, and for each attempt how many calls, then their numbers) has every later call make its launches also without
 * some of the calls that order pipes or cores, NAME_ordering lists those calls as they are met, one line "call file:line" each, and
 * NAME_outcomes has one line for each attempt: unnoticed, reported, or differing (in numbers).
 * NAME_trace (a buffer with a path, dims: its bytes) has every later NAME_run write the modelled times of its instructions to that
 * file, as Chrome trace JSON.
 */
export function emitEmulatorHost(program: Program, emitted: EmittedProgram, isa: AscendIsa): string {
  const { prefix, symbols } = cInterface(program);
  const out = new CodeWriter();
  out.lines([
    `// Layer ${program.name} on the host emulator of Ascend C. Not hardware: see README.md.`,
    '#define UNMOOR_EXPORT __attribute__((visibility("default")))',
    '#include "unmoor/ascend_host.h"',
    "#include <vector>",
    `#include "${prefix}.h"`,
    ...[...emitted.prepare, ...emitted.kernels].map((k) => `#include "kernels/${k.kernel.name}.cpp"`),
    "",
    ...hostHelpers,
    "namespace {",
    "",
    "std::string fault;",
    "uint64_t seed = 0, seedsPerCall = 1;",
    "unmoor::ascend::Trials trials;",
    "bool trying = false;",
    "std::string trialsText, tracePath;",
    "",
    "/// Global memory that kernels may touch. Nothing is registered for tensors without elements.",
    "void give(unmoor::ascend::Device &device, void *memory, int64_t bytes, const char *name, bool initialised) {",
    "  if (bytes > 0) device.registerBuffer(memory, static_cast<size_t>(bytes), name, initialised);",
    "}",
    "",
    "/// Does the work once for each seed, on a device of its own.",
    "template <class Work> int32_t report(Work &&work) {",
    "  try {",
    "    fault.clear();",
    "    for (uint64_t i = 0; i < seedsPerCall; i++) {",
    `      unmoor::ascend::Device device(unmoor::ascend::SOC_${isa.soc.emulated});`,
    "      unmoor::ascend::Trace trace;",
    "      device.setSeed(seed++);",
    "      if (trying) device.setTrials(&trials);",
    "      const bool traced = !tracePath.empty() && i + 1 == seedsPerCall;",
    "      if (traced) device.setTrace(&trace);",
    "      work(device);",
    "      if (traced && !trace.write(tracePath, device.soc().cubeMhz))",
    '        throw std::runtime_error("the trace cannot be written to " + tracePath);',
    "    }",
    "    return 0;",
    "  } catch (const std::exception &error) {",
    "    fault = error.what();",
    "    return 3;",
    "  }",
    "}",
    "",
    "}  // namespace",
    "",
    `extern "C" UNMOOR_EXPORT const char *${prefix}_error(void) { return fault.c_str(); }`,
    "",
  ]);
  out.block(`extern "C" UNMOOR_EXPORT int32_t ${prefix}_seed(void *const *, const int64_t *dims, int32_t)`, () => {
    out.lines([
      "seed = static_cast<uint64_t>(dims[0]);",
      "seedsPerCall = static_cast<uint64_t>(dims[1]);",
      "return 0;",
    ]);
  });
  out.block(`extern "C" UNMOOR_EXPORT int32_t ${prefix}_trials(void *const *, const int64_t *dims, int32_t)`, () => {
    out.lines([
      "trying = true;",
      "trials.list.clear();",
      "for (int64_t i = 1; i <= dims[0]; i += dims[i] + 1)",
      "  trials.list.emplace_back().calls.assign(dims + i + 1, dims + i + 1 + dims[i]);",
      "return 0;",
    ]);
  });
  out.block(
    `extern "C" UNMOOR_EXPORT int32_t ${prefix}_trace(void *const *buffers, const int64_t *dims, int32_t)`,
    () => {
      out.lines([
        "tracePath.assign(static_cast<const char *>(buffers[0]), static_cast<size_t>(dims[0]));",
        "return 0;",
      ]);
    },
  );
  out.block(`extern "C" UNMOOR_EXPORT const char *${prefix}_ordering(void)`, () => {
    out.lines([
      "trialsText.clear();",
      'for (const auto &call : trials.ordering.list) trialsText += call.name + " " + call.where.text() + "\\n";',
      "return trialsText.c_str();",
    ]);
  });
  out.block(`extern "C" UNMOOR_EXPORT const char *${prefix}_outcomes(void)`, () => {
    out.lines([
      'constexpr const char *words[] = {"unnoticed\\n", "reported\\n", "differing\\n"};',
      "trialsText.clear();",
      "for (const auto &trial : trials.list) trialsText += words[static_cast<int>(trial.outcome)];",
      "return trialsText.c_str();",
    ]);
  });
  out.line("");
  emitFunction(out, program, "prepare", emitted.prepare, isa, symbols);
  emitFunction(out, program, "run", emitted.kernels, isa, symbols);
  return out.toString();
}

function emitFunction(
  out: CodeWriter,
  program: Program,
  name: "prepare" | "run",
  list: readonly EmittedKernel[],
  isa: AscendIsa,
  symbols: readonly string[],
): void {
  const { prefix, buffers } = cInterface(program);
  const used = touched(list.map((k) => k.kernel));
  const all = new Map(program.buffers.map((b) => [b.name, b]));
  const bytes = (b: ProgramBuffer): string =>
    sizeText(
      b.dims.reduce((d, x) => d.times(x), Dim.of(dtypeBytes[b.dtype])),
      symbols,
    );
  const head = `extern "C" UNMOOR_EXPORT int32_t ${prefix}_${name}([[maybe_unused]] void *const *buffers, [[maybe_unused]] const int64_t *dims, int32_t)`;
  out.block(head, () => {
    if (list.length === 0) {
      out.line("return 0;");
      return;
    }
    symbols.forEach((s, i) => {
      out.line(`if (dims[${i}] < 0) return 2;  // ${s}`);
    });
    buffers.forEach((b, i) => {
      if (used.has(b.name)) out.line(`if (buffers[${i}] == nullptr) return 1;  // ${b.name}`);
    });
    const places = emitBinding(out, name === "run" ? program : { ...program, memory: { slots: [] } });
    out.line(`${tilingName(program)} tiling = ${prefix}_tile(*${prefix}_find_soc("${isa.soc.name}"), dims);`);
    out.block("return report([&](unmoor::ascend::Device &device)", () => {
      out.line('give(device, &tiling, sizeof(tiling), "tiling", true);');
      for (const b of buffers) {
        if (!used.has(b.name)) continue;
        const made = b.role === (name === "run" ? "output" : "prepared");
        out.line(`give(device, ${places.get(b.name)}, ${bytes(b)}, "${b.name}", ${!made});`);
      }
      const given = new Set<string>();
      const beyond = readBeyondWritten(program);
      for (const kernel of list) {
        for (const { name: buffer } of kernel.kernel.buffers) {
          const b = all.get(buffer);
          // An alias is memory that its kernels wrote under the other name.
          if (b?.role !== "temporary" || b.alias !== undefined || given.has(buffer)) continue;
          given.add(buffer);
          // Takes the place of a temporary that used the slot before.
          const sparse = beyond.has(buffer);
          if (sparse)
            out.line("// Rows that no expert has stay as they are. They are read, and what comes of them is not used.");
          out.line(`give(device, ${places.get(buffer)}, ${bytes(b)}, "${buffer}", ${sparse});`);
        }
        emitEmulated(out, kernel, places);
      }
      for (const b of buffers) {
        if (!used.has(b.name) || b.role !== (name === "run" ? "output" : "prepared")) continue;
        const constant = b.dims.every((d) => d.constant !== undefined);
        const check = `device.requireWritten(${places.get(b.name)});`;
        out.line(constant ? check : `if (${bytes(b)} > 0) ${check}`);
      }
    });
    out.line(");");
  });
  out.line("");
}

function emitEmulated(out: CodeWriter, kernel: EmittedKernel, places: ReadonlyMap<string, string>): void {
  const exchanges = kernel.exchangeBytes > 0;
  const args = [
    ...kernel.kernel.buffers.map((b) => places.get(b.name) ?? "nullptr"),
    ...(exchanges ? ["exchanged.data()"] : []),
    "gm(&tiling)",
  ].join(", ");
  const blocks = `tiling.${launchField(kernel)}`;
  out.block(`if (${blocks} > 0)`, () => {
    if (exchanges) {
      out.line(`std::vector<uint8_t> exchanged(static_cast<size_t>(${blocks} * ${kernel.exchangeBytes}));`);
      out.line('give(device, exchanged.data(), static_cast<int64_t>(exchanged.size()), "exchanged", false);');
    }
    out.line(
      `device.launch("${kernel.kernel.name}", KERNEL_TYPE_${kernel.type}, static_cast<uint32_t>(${blocks}), ${kernel.name}, ${args});`,
    );
    if (exchanges) out.line("device.unregisterBuffer(exchanged.data());");
  });
}
