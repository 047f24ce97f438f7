import { relative } from "node:path";
import { Command } from "commander";
import { Listr, type ListrTask } from "listr2";
import { makeReport } from "../bench/report.ts";
import { installFolder } from "../runtime/version.ts";
import { Demo, type Reporter } from "./demo/demo.ts";
import { type Environment, processEnvironment } from "./environment.ts";
import { failureOf, reportFailure, status } from "./failure.ts";
import { formatReport } from "./figures.ts";
import { formatTargetLack } from "./targets.ts";

/** `npm start`: the example layer on all targets, checked and measured, then at the widths of LongCat-Flash-Lite. */
async function start(environment: Environment): Promise<number> {
  const program = new Command("npm start --")
    .description("Compiles, checks and measures examples/longcat-moe.ts.")
    .option("--full", "all experts of LongCat-Flash-Lite: 4.8 GB of weights instead of 1.2 GB")
    .parse();
  process.chdir(installFolder());
  const demo = new Demo(
    environment,
    "examples/longcat-moe.ts",
    "out",
    program.opts<{ full?: boolean }>().full === true,
  );
  process.on("SIGINT", () => {
    // Whoever writes a large file stops at its next piece and deletes it; everything else leaves nothing half-done.
    if (!demo.interrupt()) process.exit(130);
  });
  let failure: unknown;
  const step = (title: string, work: (report: Reporter) => Promise<string>): ListrTask => ({
    title,
    task: async (_, task) => {
      try {
        task.title = await work((text) => {
          task.output = text;
        });
      } catch (error) {
        failure = error;
        throw new Error("see below");
      }
    },
  });
  const tasks = demo.steps.map(({ title, work }) => step(title, work));
  const renderer = process.stdout.isTTY ? "default" : "simple";
  await new Listr(tasks, { renderer, registerSignalListeners: false, rendererOptions: {} })
    .run()
    .catch((error: unknown) => {
      throw failure ?? error;
    });
  const report = makeReport(demo);
  environment.out(`\n${formatReport(report, environment.colors)}\n`);
  for (const lack of demo.leftOut) environment.out(formatTargetLack(lack, environment.colors));
  for (const path of demo.written) environment.out(`${relative(process.cwd(), path) || path}\n`);
  if (report.wrong.length > 0 || report.checks.some((c) => !c.agrees)) return status.disagreement;
  return demo.leftOut.length > 0 ? status.lack : status.done;
}

const environment = processEnvironment();
try {
  process.exitCode = await start(environment);
} catch (error) {
  process.exitCode = reportFailure(failureOf(error, ""), error, false, environment);
}
