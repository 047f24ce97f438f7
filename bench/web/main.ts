/** The page: choose a layer, see its kernels, run them, see whether they are right. */
import { examples, version } from "virtual:examples";
import { RemoteSession } from "./calls.ts";
import { CodeView } from "./code.ts";
import { byId } from "./elements.ts";
import { type Choice, ChoiceForm } from "./form.ts";
import { missing } from "./gpu.ts";
import { showResult } from "./result.ts";
import { runLayer } from "./run.ts";
import type { CompiledLayer } from "./session.ts";

const session = new RemoteSession();
const code = new CodeView();
const run = byId("run", HTMLButtonElement);
const stop = byId("stop", HTMLButtonElement);
const status = byId("status", HTMLParagraphElement);
const result = byId("result", HTMLDivElement);

const lack = missing();
let running = false;
/** Whether the form was changed while a layer ran. */
let changed = false;
/** The choice that was made last; what earlier ones led to is not shown. */
let latest = 0;

const say = (text: string, isError = false): void => {
  status.textContent = text;
  status.classList.toggle("error", isError);
};
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Compiles what was chosen and shows it; undefined where it cannot be compiled, or where something else was chosen since. */
async function compile(choice: Choice): Promise<CompiledLayer | undefined> {
  const turn = ++latest;
  try {
    const compiled = await session.compile(choice.example.text, choice.params);
    if (turn !== latest) return undefined;
    code.show(choice.example, compiled.loaded);
    return compiled;
  } catch (error) {
    if (turn === latest) say(messageOf(error), true);
    return undefined;
  }
}

async function chosen(choice: Choice | undefined): Promise<void> {
  changed = running;
  if (running) return;
  result.hidden = true;
  run.disabled = true;
  if (!choice) {
    latest++;
    say("Sizes are whole numbers of at least 1; T may be 0.", true);
    return;
  }
  say("Compiling …");
  const compiled = await compile(choice);
  if (!compiled) return;
  const { prepare, kernels } = compiled.loaded.plan;
  run.disabled = lack !== undefined;
  say(
    `${prepare.length + kernels.length} kernels; ${(compiled.weightBytes / 2 ** 20).toFixed(1)} MiB of weights.${lack ? " They cannot be run here." : ""}`,
  );
}

async function submitted(choice: Choice): Promise<void> {
  if (running || lack) return;
  running = true;
  run.disabled = true;
  stop.hidden = false;
  result.hidden = true;
  try {
    say("Compiling …");
    const compiled = await compile(choice);
    if (!compiled) return;
    const record = await runLayer(choice, compiled, session, version, say);
    showResult(record);
    say(record.agrees ? "Done." : "Done: the result is wrong.", !record.agrees);
  } catch (error) {
    say(messageOf(error), true);
  } finally {
    running = false;
    run.disabled = false;
    stop.hidden = true;
    if (changed) void chosen(form.read());
  }
}

stop.addEventListener("click", () => session.stop());
if (lack) {
  const notice = byId("adapter", HTMLParagraphElement);
  notice.textContent = `${lack} Everything but running works: the layers are compiled and shown.`;
  notice.hidden = false;
}
const form = new ChoiceForm(examples, (choice) => void chosen(choice));
form.onSubmit((choice) => void submitted(choice));
void chosen(form.read());
