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

const lack = await missing();
let running: AbortController | undefined;
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
    const compiled = await session.compile(choice.example.text, choice.params, choice.storage);
    if (turn !== latest) return undefined;
    code.show(choice.example, compiled.loaded);
    return compiled;
  } catch (error) {
    if (turn !== latest) return undefined;
    say(messageOf(error), true);
    run.disabled = true;
    return undefined;
  }
}

async function chosen(choice: Choice | undefined): Promise<void> {
  changed = running !== undefined;
  if (running) return;
  result.hidden = true;
  // A click on the button is what ends typing into a field: it must still find the button.
  run.disabled = !choice || lack !== undefined;
  if (!choice) {
    latest++;
    say("Sizes are whole numbers of at least 1; T may be 0.", true);
    return;
  }
  say("Compiling …");
  const compiled = await compile(choice);
  if (!compiled) return;
  const { prepare, kernels } = compiled.loaded.plan;
  say(
    `${prepare.length + kernels.length} kernels; ${(compiled.weightBytes / 2 ** 20).toFixed(1)} MiB of weights in ${choice.storage}.${lack ? " They cannot be run here." : ""}`,
  );
}

async function submitted(choice: Choice): Promise<void> {
  if (running || lack) return;
  running = new AbortController();
  const { signal } = running;
  run.disabled = true;
  stop.hidden = false;
  result.hidden = true;
  try {
    say("Compiling …");
    const compiled = await compile(choice);
    if (!compiled) return;
    const record = await runLayer(choice, compiled, session, version, say, signal);
    showResult(record);
    say(record.agrees ? "Done." : "Done: the result is wrong.", !record.agrees);
  } catch (error) {
    if (signal.aborted) say("Stopped.");
    else say(messageOf(error), true);
  } finally {
    running = undefined;
    run.disabled = false;
    stop.hidden = true;
    if (changed) void chosen(form.read());
  }
}

stop.addEventListener("click", () => {
  running?.abort();
  session.stop();
});
if (lack) {
  const notice = byId("adapter", HTMLParagraphElement);
  notice.textContent = `${lack} Everything but running works: the layers are compiled and shown.`;
  notice.hidden = false;
}
const form = new ChoiceForm(examples, (choice) => void chosen(choice));
form.onSubmit((choice) => void submitted(choice));
void chosen(form.read());
