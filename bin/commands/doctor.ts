import { availableParallelism, totalmem } from "node:os";
import type { Command } from "commander";
import type { Ability, Capability } from "../../backends/capability.ts";
import { targetNames } from "../../codegen/target.ts";
import { availableMemory, gigabytes } from "../../runtime/machine.ts";
import { cpuFeatures, cpuModel } from "../../runtime/native.ts";
import { unmoorVersion } from "../../runtime/version.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import { jsonOption } from "../options.ts";
import { formatTable } from "../table.ts";
import { jsonDocument } from "../text.ts";

export function doctorCommand(program: Command, run: Run, environment: Environment): void {
  jsonOption(
    program.command("doctor").description("what this machine can compile, run and emulate, and what mends the rest"),
  ).action((options: { readonly json?: boolean }) => run(() => doctor(options.json === true, environment)));
}

async function doctor(json: boolean, environment: Environment): Promise<number> {
  const targets: (Capability & {
    readonly isas: readonly string[];
    readonly best?: string;
    readonly devices?: readonly (Ability & { readonly name: string })[];
  })[] = [];
  for (const name of targetNames) {
    const backend = await environment.backends(name);
    const capability = await backend.probe();
    const best = await backend.bestIsa().catch(() => undefined);
    const devices = await backend.devices?.();
    targets.push({ ...capability, isas: backend.isas, ...(best ? { best } : {}), ...(devices ? { devices } : {}) });
  }
  const machine = {
    unmoor: unmoorVersion(),
    node: process.versions.node,
    cpu: cpuModel(),
    threads: availableParallelism(),
    memory: { total: totalmem(), available: availableMemory() },
    features: [...cpuFeatures()].filter((f) => /^(avx|amx|fma|f16c|sse4|asimd|sve|neon|bf16|i8mm)/.test(f)),
  };
  if (json) {
    environment.out(jsonDocument({ ...machine, targets }));
    return status.done;
  }
  const { colors } = environment;
  const cell = (ability: Ability): string => (ability.ok ? colors.green("yes") : colors.yellow("no"));
  const rows = targets.map((t) => [
    t.target,
    cell(t.compile),
    cell(t.run),
    cell(t.emulate),
    t.isas.map((i) => (i === t.best ? `${i}*` : i)).join(" "),
  ]);
  environment.out(
    `unmoor ${machine.unmoor}, Node ${machine.node}, ${machine.cpu}, ${machine.threads} threads, ${gigabytes(machine.memory.available)} of ${gigabytes(machine.memory.total)} of memory free\n`,
  );
  environment.out(`${machine.features.length > 0 ? `  ${machine.features.join(" ")}\n` : ""}\n`);
  environment.out(
    `${formatTable(["target", "compile", "run", "emulate", "variants (* the best here)"], rows, colors)}\n`,
  );
  for (const { target, devices = [], ...abilities } of targets) {
    environment.out(`\n${colors.bold(target)}\n`);
    for (const name of ["compile", "run", "emulate"] as const) {
      environment.out(`  ${name}: ${describe(abilities[name], name === "emulate" && abilities.run.ok)}\n`);
    }
    for (const { name, ...ability } of devices)
      environment.out(
        `  --adapter ${name}: ${ability.ok ? ability.how : `none: ${ability.why.replace(`${name}: `, "")}`}\n`,
      );
  }
  return status.done;
}

/** What an ability rests on, or what is lacking and what mends it, unless nobody needs it. */
function describe(ability: Ability, needless: boolean): string {
  if (ability.ok) return ability.how;
  return needless ? `not needed: ${ability.why}` : `${ability.why}\n    to mend it: ${ability.mend}`;
}
