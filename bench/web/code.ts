import type { LoadedPlan, PlanKernel } from "../../backends/wgsl/support/run.js";
import { byId, element } from "./elements.ts";
import type { Example } from "./example.ts";
import { codeLines } from "./highlight.ts";

/** The DSL beside the WGSL of one kernel, with the line marked that the kernel comes from. */
export class CodeView {
  readonly #kernel = byId("kernel", HTMLSelectElement);
  #example: Example | undefined;
  #loaded: LoadedPlan | undefined;

  constructor() {
    // What scrolls is reached with the keyboard in every browser.
    for (const id of ["dsl", "wgsl"]) byId(id, HTMLElement).tabIndex = 0;
    this.#kernel.addEventListener("change", () => this.#showKernel());
  }

  /** Shows a compiled layer; the kernel that was chosen stays chosen where there still is one of its name. */
  show(example: Example, loaded: LoadedPlan): void {
    const before = this.#kernel.value;
    this.#example = example;
    this.#loaded = loaded;
    const { prepare, kernels } = loaded.plan;
    const options = (each: readonly PlanKernel[]): HTMLOptionElement[] =>
      each.map(({ name, module }, i) => element("option", { value: module }, `${i + 1}. ${name}`));
    this.#kernel.replaceChildren(
      ...(prepare.length === 0 ? [] : [element("optgroup", { label: "Once, with the weights" }, ...options(prepare))]),
      element("optgroup", { label: "At each run, in this order" }, ...options(kernels)),
    );
    const all = [...prepare, ...kernels];
    const product = kernels.find((k) => k.origin.op === "grouped_linear") ?? kernels[0];
    this.#kernel.value = all.some((k) => k.module === before) ? before : (product?.module ?? "");
    this.#showKernel();
  }

  #showKernel(): void {
    const { plan, modules } = this.#loaded ?? {};
    const kernel = [...(plan?.prepare ?? []), ...(plan?.kernels ?? [])].find((k) => k.module === this.#kernel.value);
    if (!kernel || !this.#example || !modules) return;
    const { summary, source } = kernel.origin;
    byId("origin", HTMLParagraphElement).textContent = `${summary} · from ${source}`;
    fill("wgsl", kernel.module, modules[kernel.module] ?? "", undefined);
    const place = /^(.*):(\d+):\d+$/.exec(source);
    const [own] = Object.keys(this.#example.sources);
    const file = place && Object.hasOwn(this.#example.sources, place[1]) ? place[1] : (own ?? "");
    fill("dsl", file, this.#example.sources[file] ?? "", place ? Number(place[2]) : undefined);
  }
}

function fill(id: "dsl" | "wgsl", file: string, text: string, marked: number | undefined): void {
  byId(`${id}-file`, HTMLElement).textContent = `${id === "dsl" ? "TypeScript" : "WGSL"}: ${file}`;
  const box = byId(id, HTMLElement);
  const lines = codeLines(text);
  const line = marked === undefined ? undefined : lines[marked - 1];
  line?.classList.add("marked");
  box.querySelector("code")?.replaceChildren(...lines);
  box.scrollTop = line ? Math.max(0, line.offsetTop - box.offsetTop - box.clientHeight / 2) : 0;
}
