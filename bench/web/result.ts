import { byId, element } from "./elements.ts";
import { median, type RunRecord } from "./record.ts";

/** Three significant digits, as people write them. */
const digits = (value: number): string => Number(value.toPrecision(3)).toLocaleString("en");

/** Shows what a run showed, with its JSON to copy or to keep. */
export function showResult(record: RunRecord): void {
  const json = `${JSON.stringify(record, null, 2)}\n`;
  const box = byId("result", HTMLDivElement);
  const rows: [string, string][] = [
    ["Device", `${record.adapter.name}${record.evidence === "emulated" ? " (software)" : ""}`],
    ["Kind of figures", record.evidence],
    ["Largest error / bound", digits(record.max_error_over_bound)],
    ["Ambiguous tokens", `${record.ambiguous_tokens}`],
    ...times(record),
  ];
  box.replaceChildren(
    element(
      "p",
      { className: record.agrees ? "good" : "bad" },
      record.agrees ? "✓ Agrees with the oracle." : "✗ Not what the oracle computes: there is no figure.",
    ),
    ...(record.disagreements.length === 0
      ? []
      : [element("p", { className: "error" }, record.disagreements.join("\n"))]),
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    element("p", { className: "faint" }, meaning(record)),
    element("div", { className: "actions" }, copyButton(json), ...saveLink(json, record)),
    element(
      "details",
      {},
      element("summary", {}, "The JSON"),
      element("section", { id: "json", className: "code", tabIndex: 0, ariaLabel: "The JSON" }, jsonLines(json)),
    ),
  );
  box.hidden = false;
}

const jsonLines = (json: string): HTMLElement =>
  element("pre", {}, element("code", {}, ...json.trimEnd().split("\n").map(line)));

const line = (text: string): HTMLElement => element("span", { className: "line" }, text);

function times({ milliseconds, flops, clock_step_ms }: RunRecord): [string, string][] {
  if (milliseconds.length === 0) return [];
  const typical = median(milliseconds);
  const speed: [string, string][] = typical > 0 ? [["GFLOP/s", digits(flops / typical / 1e6)]] : [];
  return [
    ["Median", `${digits(typical)} ms of ${milliseconds.length} runs`],
    ["Fastest", `${digits(Math.min(...milliseconds))} ms`],
    ...speed,
    ["Step of the clock", `${digits(clock_step_ms)} ms`],
  ];
}

const meaning = ({ evidence }: RunRecord): string =>
  `${
    evidence === "emulated"
      ? "Emulated: a software adapter computed this on the CPU. It shows that the kernels run and are right, and says nothing about a GPU's speed."
      : "Measured on your device."
  } A run is timed from its submission until the device is done, copies left out; GFLOP/s count the rows that were routed. An error above 1 bound is wrong.`;

function copyButton(json: string): HTMLButtonElement {
  const button = element("button", { type: "button" }, "Copy JSON");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(json);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is not allowed here: open the JSON below";
    }
  });
  return button;
}

let saved: string | undefined;

function saveLink(json: string, { layer }: RunRecord): HTMLElement[] {
  if (saved !== undefined) URL.revokeObjectURL(saved);
  saved = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  return [element("a", { href: saved, download: `unmoor-${layer}.json` }, "Save JSON")];
}
