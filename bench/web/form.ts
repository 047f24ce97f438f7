import { wgslTarget } from "../../backends/wgsl/target.ts";
import type { Storage } from "../../codegen/target.ts";
import { byId, element } from "./elements.ts";
import type { Example } from "./example.ts";

/** What a visitor asked for. */
export interface Choice {
  readonly example: Example;
  /** Values of the free parameters. */
  readonly params: Readonly<Record<string, number>>;
  /** Of the weights of products. */
  readonly storage: Storage;
  readonly tokens: number;
  readonly runs: number;
  readonly seed: number;
}

const numbers = { tokens: 16, runs: 20, seed: 1 } as const;

/**
 * The form, filled from the address and kept in it, so that an address can be shared.
 * @param changed called with another layer or other sizes of it; undefined where a field holds nothing sensible
 */
export class ChoiceForm {
  readonly #form = byId("form", HTMLFormElement);
  readonly #layer = byId("layer", HTMLSelectElement);
  readonly #storage = byId("storage", HTMLSelectElement);
  readonly #sizes = byId("sizes", HTMLDivElement);
  readonly #examples: readonly Example[];

  constructor(examples: readonly Example[], changed: (choice: Choice | undefined) => void) {
    this.#examples = examples;
    this.#layer.append(...examples.map(({ file, name }) => element("option", { value: file }, `${name} (${file})`)));
    this.#storage.append(...wgslTarget.storages.map((value) => element("option", { value }, value)));
    this.#restore();
    const tell = (): void => {
      const choice = this.read();
      if (choice) history.replaceState(null, "", `#${addressOf(choice)}`);
      changed(choice);
    };
    this.#layer.addEventListener("change", () => {
      this.#showSizes({});
      tell();
    });
    this.#form.addEventListener("change", (event) => {
      if (event.target !== this.#layer) tell();
    });
    addEventListener("hashchange", () => {
      this.#restore();
      changed(this.read());
    });
  }

  /** Calls `run` with what the form holds, where that is sensible. */
  onSubmit(run: (choice: Choice) => void): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const choice = this.read();
      if (choice) run(choice);
    });
  }

  read(): Choice | undefined {
    if (!this.#form.checkValidity()) return undefined;
    const [tokens, runs, seed] = [this.#number("tokens"), this.#number("runs"), this.#number("seed")];
    const inputs = [...this.#sizes.querySelectorAll("input")];
    const params = Object.fromEntries(inputs.map(({ name, valueAsNumber }) => [name, valueAsNumber]));
    return { example: this.#example(), params, storage: this.#chosenStorage(this.#storage.value), tokens, runs, seed };
  }

  #chosenStorage(name: string | null): Storage {
    return wgslTarget.storages.find((storage) => storage === name) ?? "f32";
  }

  #number(id: string): number {
    return byId(id, HTMLInputElement).valueAsNumber;
  }

  #example(): Example {
    const found = this.#examples.find(({ file }) => file === this.#layer.value) ?? this.#examples[0];
    if (!found) throw new Error("the page was built without examples");
    return found;
  }

  #restore(): void {
    const asked = new URLSearchParams(location.hash.slice(1));
    const file = asked.get("layer");
    this.#layer.value = this.#examples.some((each) => each.file === file) ? (file ?? "") : "longcat-moe.ts";
    this.#storage.value = this.#chosenStorage(asked.get("storage"));
    for (const [id, usual] of Object.entries(numbers)) byId(id, HTMLInputElement).value = asked.get(id) ?? `${usual}`;
    this.#showSizes(Object.fromEntries(asked));
  }

  #showSizes(asked: Readonly<Record<string, string>>): void {
    const { params, free } = this.#example();
    const inputs = free.map((name) =>
      element(
        "label",
        {},
        name,
        element("input", {
          type: "number",
          name,
          min: "1",
          max: "8192",
          step: "1",
          required: true,
          value: asked[`p.${name}`] ?? `${params[name]}`,
        }),
      ),
    );
    this.#sizes.replaceChildren(...inputs);
    const fixed = Object.entries(params).filter(([name]) => !free.includes(name));
    byId("fixed", HTMLParagraphElement).textContent =
      fixed.length === 0
        ? ""
        : `Fixed when this page was built, because the compiled layer depends on it in more than its sizes: ${fixed.map((pair) => pair.join(" = ")).join(", ")}. The command line compiles it with any value.`;
  }
}

function addressOf({ example, params, storage, ...counts }: Choice): string {
  const sizes = Object.entries(params).map(([name, value]): [string, string] => [`p.${name}`, `${value}`]);
  const numbered = Object.keys(numbers).map((id): [string, string] => [id, `${counts[id as keyof typeof numbers]}`]);
  return `${new URLSearchParams([["layer", example.file], ...sizes, ["storage", storage], ...numbered])}`;
}
