import type { Span } from "../ir/core/span.ts";
import type { SkippedTarget } from "../runtime/backends.ts";
import { type DiffLine, diffLines } from "./diff.ts";
import { type ExplainedKernel, type Explanation, type Stage, slotText } from "./explain.ts";
import { digits, formatParams } from "./format.ts";
import { html, htmlPage, htmlTable } from "./html.ts";
import { memoryMap } from "./memory-map.ts";
import { type PipeEvent, timeline } from "./timeline.ts";

/** A file of DSL source, by the path that places in it are told with. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

/** What pipes did when a kernel ran, and how that is known: "modelled for 910B3, T = 128". */
export interface KernelTimeline {
  readonly target: string;
  readonly kernel: string;
  readonly caption: string;
  readonly unit: string;
  readonly events: readonly PipeEvent[];
}

export interface ExplainPage {
  readonly layer: string;
  readonly params: Readonly<Record<string, number>>;
  readonly unmoor: string;
  readonly sources: readonly SourceText[];
  readonly targets: readonly Explanation[];
  /** Targets that cannot do the layer. */
  readonly skipped?: readonly SkippedTarget[];
  readonly timelines?: readonly KernelTimeline[];
}

/**
 * What a compilation did, as one page that needs nothing else: the source, the IR after each pass with its changes marked, each
 * kernel in tile IR and in the target's language with its work and memory, the memory plan, hashes. Places link to the
 * source, lines of the source to their kernels. A choice of targets where there are several; without a script.
 */
export function explainPage(page: ExplainPage): string {
  const { layer, params, unmoor, targets, skipped = [] } = page;
  const choice = targets.map(
    (t, i) =>
      `<label><input type="radio" name="target" id="choose-${html(t.target)}"${i === 0 ? " checked" : ""}> ${html(nameOf(t))}</label>`,
  );
  // A target that is not chosen is hidden; where :has is not known, all are shown.
  const hide = targets.map(
    ({ target }) => `body:has(#choose-${target}:checked) .target:not(#${target}) { display: none; }\n`,
  );
  const left = skipped.map(
    (s) =>
      `<li><strong>${html(s.target)} was left out:</strong> ${html(s.why)}. To mend it: <code>${html(s.mend)}</code></li>`,
  );
  return htmlPage(
    `${layer}, explained`,
    style + (targets.length > 1 ? hide.join("") : ""),
    `<header>
<h1>${html(layer)}</h1>
<p class="faint">${html(formatParams(params))}. Compiled by unmoor ${html(unmoor)}.</p>
${left.length === 0 ? "" : `<ul class="problems">${left.join("\n")}</ul>`}
${targets.length > 1 ? `<fieldset class="choice"><legend>Target</legend>${choice.join("\n")}</fieldset>` : ""}
</header>
<main>
${targets.map((t) => targetSection(t, page)).join("\n")}
</main>`,
  );
}

const nameOf = ({ target, isa }: Explanation): string => (target === isa ? target : `${target} (${isa})`);

/** Ids within one target's part of the page, and links to them. */
class Anchors {
  readonly #target: string;
  readonly #files: readonly string[];

  constructor(target: string, sources: readonly SourceText[]) {
    this.#target = target;
    this.#files = sources.map((s) => s.file);
  }

  line(file: string, line: number): string {
    return html(`${this.#target}-source-${this.#files.indexOf(file)}-${line}`);
  }

  kernel(name: string): string {
    return html(`${this.#target}-kernel-${name}`);
  }

  part(name: string): string {
    return html(`${this.#target}-${name}`);
  }

  /** A link to a place in the source; its text where the source is not on the page, nothing where there is none. */
  place(span: Span, text = `${span.file}:${span.line}`): string {
    if (span.file === "") return "";
    if (!this.#files.includes(span.file)) return html(text);
    return `<a href="#${this.line(span.file, span.line)}">${html(text)}</a>`;
  }
}

function targetSection(explained: Explanation, page: ExplainPage): string {
  const { target, storage, stages, kernels } = explained;
  const anchors = new Anchors(target, page.sources);
  const parts = [
    ["source", "Source"],
    ["passes", "Passes"],
    ["kernels", "Kernels"],
    ["memory", "Memory plan"],
    ["hashes", "Hashes"],
  ] as const;
  const heading = (part: (typeof parts)[number][0]): string =>
    `<h2 id="${anchors.part(part)}">${parts.find(([id]) => id === part)?.[1]}</h2>`;
  const changed = stages.filter((s) => s.changed).length - 1;
  return `<section class="target" id="${html(target)}" aria-label="${html(nameOf(explained))}">
<p><strong>${html(nameOf(explained))}</strong>, weights in ${html(storage)}: ${stages.length - 1} passes, of which ${changed} changed something; ${kernels.length} kernels.</p>
<nav aria-label="Parts">${parts.map(([id, title]) => `<a href="#${anchors.part(id)}">${title}</a>`).join(" ")}</nav>
${heading("source")}
${page.sources.map((source) => sourceListing(source, kernels, anchors)).join("\n")}
${heading("passes")}
<p>The layer IR as written, then what each pass changed: <span class="removed">− lines before</span>, <span class="added">+ lines after</span>. Numbers on the left are lines of the source.</p>
${stages.map((stage, i) => passSection(stage, stages[i - 1], anchors)).join("\n")}
${heading("kernels")}
<p>Work is derived from the layer IR, if every slot goes to an FFN expert, spread evenly: floating-point operations, and every buffer once; of experts' weights those that are hit.</p>
${kernelTable(explained, anchors)}
${kernels
  .map((k) =>
    kernelArticle(
      k,
      explained,
      anchors,
      (page.timelines ?? []).filter((t) => t.target === target && t.kernel === k.name),
    ),
  )
  .join("\n")}
${heading("memory")}
${memoryPlan(explained)}
${heading("hashes")}
${hashes(explained)}
</section>`;
}

function sourceListing(source: SourceText, kernels: readonly ExplainedKernel[], anchors: Anchors): string {
  const lines = source.text.replace(/\n$/, "").split("\n");
  const rows = lines.map((text, i) => {
    const from = kernels.filter((k) => k.span.file === source.file && k.span.line === i + 1);
    const links = from.map((k) => `<a href="#${anchors.kernel(k.name)}">${html(k.name)}</a>`).join(" ");
    return `<span class="line" id="${anchors.line(source.file, i + 1)}"><span class="at">${i + 1}</span><span class="text">${html(text)}</span>${links === "" ? "" : `<span class="links">→ ${links}</span>`}</span>`;
  });
  return `<h3>${html(source.file)}</h3>\n${code(rows, "DSL source", "wrapped whole")}`;
}

/** Lines that are HTML already, as code in a box that scrolls. */
const code = (lines: readonly string[], label: string, kind = ""): string =>
  `<pre class="code ${kind}" tabindex="0" aria-label="${html(label)}"><code>${lines.join("")}</code></pre>`;

function passSection(stage: Stage, before: Stage | undefined, anchors: Anchors): string {
  const head = `<strong>${html(stage.pass)}</strong>: ${html(stage.summary)}`;
  if (!stage.changed) return `<p class="pass unchanged">${head} <span class="faint">(changes nothing)</span></p>`;
  const diff: readonly DiffLine[] = before
    ? diffLines(before.ir.trimEnd(), stage.ir.trimEnd())
    : stage.ir
        .trimEnd()
        .split("\n")
        .map((text) => ({ kind: " ", text }));
  const counts = before
    ? ` <span class="faint">+${diff.filter((l) => l.kind === "+").length} −${diff.filter((l) => l.kind === "-").length} lines</span>`
    : "";
  return `<details class="pass" open><summary>${head}${counts}</summary>
${code(irLines(diff, stage, before, anchors), `Layer IR after ${stage.pass}`, "wrapped")}
</details>`;
}

const kindClass = { " ": "", "-": " removed", "+": " added" } as const;
const kindMark = { " ": " ", "-": "−", "+": "+" } as const;

/** Lines of a comparison, each with its place in the source; in a removed line and the one that replaces it, what differs is marked. */
function irLines(diff: readonly DiffLine[], after: Stage, before: Stage | undefined, anchors: Anchors): string[] {
  let [oldLine, newLine] = [0, 0];
  const partner = partners(diff);
  return diff.map(({ kind, text }, i) => {
    const span = kind === "-" ? before?.spans[oldLine] : after.spans[newLine];

    if (kind !== "+") oldLine++;
    if (kind !== "-") newLine++;
    const place = span ? anchors.place(span, String(span.line)) : "";
    const other = partner.get(i);
    const shown = other === undefined ? html(text) : markDifference(text, other);
    const mark = before ? `<span class="mark">${kindMark[kind]}</span>` : "";
    return `<span class="line${kindClass[kind]}"><span class="at">${place}</span>${mark}<span class="text">${shown}</span></span>`;
  });
}

/** For each line of a run of removed lines followed by as many added ones: the text of its counterpart. */
function partners(diff: readonly DiffLine[]): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (let i = 0; i < diff.length; ) {
    const kindAt = (at: number): string | undefined => diff[at]?.kind;
    let middle = i;
    while (kindAt(middle) === "-") middle++;
    let end = middle;
    while (kindAt(end) === "+") end++;
    const count = middle - i;
    if (count > 0 && end - middle === count) {
      for (let k = 0; k < count; k++) {
        found.set(i + k, diff[middle + k]?.text ?? "");
        found.set(middle + k, diff[i + k]?.text ?? "");
      }
    }
    i = Math.max(end, i + 1);
  }
  return found;
}

/** A text with the part marked that another does not have in common with it. */
function markDifference(text: string, other: string): string {
  let start = 0;
  while (start < Math.min(text.length, other.length) && text[start] === other[start]) start++;
  let end = 0;
  const most = Math.min(text.length, other.length) - start;
  while (end < most && text[text.length - 1 - end] === other[other.length - 1 - end]) end++;
  const middle = text.slice(start, text.length - end);
  return `${html(text.slice(0, start))}${middle === "" ? "" : `<mark>${html(middle)}</mark>`}${html(text.slice(text.length - end))}`;
}

function kernelTable({ tokens, kernels }: Explanation, anchors: Anchors): string {
  const atTokens = (name: string): string[] => tokens.map((t) => `#${name}, T = ${t}`);
  const heads = ["phase", "kernel", "computes", "from", "grid", ...atTokens("flops"), ...atTokens("bytes")];
  const rows = kernels.map((k) => [
    k.phase,
    `<a href="#${anchors.kernel(k.name)}">${html(k.name)}</a>`,
    `<span class="words">${html(k.summary)}</span>`,
    anchors.place(k.span, `line ${k.span.line}`),
    html(k.grid.join(", ")),
    ...k.work.map((w) => digits(w.flops)),
    ...k.work.map((w) => digits(w.bytes)),
  ]);
  return htmlTable(heads, rows);
}

function kernelArticle(
  kernel: ExplainedKernel,
  { target, spaces }: Explanation,
  anchors: Anchors,
  timelines: readonly KernelTimeline[],
): string {
  const { name, phase, op, summary, span, work, tile, source } = kernel;
  const when = phase === "prepare" ? " Once, when weights are loaded." : "";
  const place = anchors.place(span);
  const figures = work.map(
    (w) =>
      `T = ${w.tokens}: ${digits(w.flops)} flops, ${digits(w.bytes)} bytes, ${digits(w.flops / Math.max(1, w.bytes))} per byte`,
  );
  const memory = memoryMap(spaces, source.memory);
  const drawings = timelines.map(
    (t) =>
      `<figure class="scroll" tabindex="0"><figcaption>${html(t.caption)}</figcaption>${timeline(t.events, t.unit)}</figure>`,
  );
  const plain = (text: string): string[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => `<span class="line">${html(line)}</span>`);
  return `<article id="${anchors.kernel(name)}">
<h3>${html(name)}</h3>
<p><code>${html(op)}</code>: ${html(summary)}${place === "" ? "" : `, from ${place}`}.${when}</p>
<p class="faint">${html(figures.join("; "))}</p>
${memory === "" ? "" : `<div class="spaces">${memory}</div>`}
${drawings.join("\n")}
<div class="pair">
<div><h4>Tile IR</h4>
${code(plain(tile), `Tile IR of ${name}`)}</div>
<div><h4>${html(source.path)}</h4>
${code(plain(source.text), `${target} source of ${name}`)}</div>
</div>
</article>`;
}

function memoryPlan({ tokens, memory }: Explanation): string {
  if (memory.slots.length === 0) return "<p>No temporary buffers.</p>";
  const rows = memory.slots.map((s, i) => [String(i), html(slotText(s, memory)), ...s.bytes.map(digits)]);
  const total = ["", "workspace", ...memory.workspace.map(digits)];
  return `<p>Buffers that share a slot are never alive at once, or are one (=).</p>
${htmlTable(["slot", "buffers", ...tokens.map((t) => `#bytes, T = ${t}`)], [...rows, total])}`;
}

function hashes({ stages, program, files }: Explanation): string {
  const hash = (text: string): string => `<code>${text}</code>`;
  const passes = stages.map((s) => [html(s.pass), hash(s.hash)]);
  const sources = files.map((f) => [html(f.path), digits(f.bytes), hash(f.hash)]);
  return `<p>SHA-256. Those of the layer IR after each pass stand in the certificate of <code>unmoor check</code>.</p>
${htmlTable(["layer IR after", "hash"], [...passes, ["tile IR of all kernels", hash(program)]])}
${htmlTable(["file", "#bytes", "hash"], sources)}`;
}

const style = `
:root { --add: #dff3e0; --remove: #fbe3e4; --mark-add: #a8dfad; --mark-remove: #f3b3b8; --link: #0b63a5; --target: #fff3c4;
  --c0: #0b63a5; --c1: #c2570c; --c2: #4a7a12; --c3: #7a3fa0; --c4: #946200; --c5: #a3264b; --c6: #52606d; --on: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --add: #16331c; --remove: #3d1a20; --mark-add: #2c6637; --mark-remove: #7a2f3a; --link: #6cb6f5; --target: #4a3d0a;
  --c0: #6cb6f5; --c1: #f59a56; --c2: #9fd05a; --c3: #c79bea; --c4: #e3b341; --c5: #f08aa6; --c6: #a3afbb; --on: #12171c; } }
body { max-width: 100rem; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.faint { color: var(--faint); }
.problems { padding: 1rem 1rem 1rem 2rem; border: 1px solid var(--bad); border-radius: .5rem; }
.choice { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; margin: 1rem 0; padding: .25rem 1rem .75rem; border: 1px solid var(--line); border-radius: .5rem; }
.choice label { cursor: pointer; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
h2, article { scroll-margin-top: 1rem; }
h4 { margin: .75rem 0 .25rem; font-size: .85rem; font-weight: 600; color: var(--faint); overflow-wrap: anywhere; }
article { margin-top: 2rem; padding-top: .5rem; border-top: 1px solid var(--line); }
article:target > h3 { background: var(--target); }
details.pass, p.pass { margin: .75rem 0; }
summary { cursor: pointer; }
.code { margin: .5rem 0 0; padding: .5rem 0; max-height: 40rem; overflow: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.code code { display: block; min-width: max-content; font-size: inherit; overflow-wrap: normal; }
.code .line { display: block; min-height: 1.5em; padding: 0 .75rem; }
.code.wrapped code { min-width: 0; }
.code.wrapped .line { display: flex; flex-wrap: wrap; gap: 0 .75rem; }
.code.whole { max-height: none; }
.code.wrapped .text { flex: 1 1 0; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.code .at { flex: none; width: 2.5rem; text-align: right; color: var(--faint); user-select: none; }
.code .mark { flex: none; width: 1ch; user-select: none; }
.code .links { flex: 1 1 100%; padding-left: 3.25rem; white-space: normal; color: var(--faint); font-family: system-ui, sans-serif; }
.line:target { background: var(--target); }
.line.added, .added { background: var(--add); }
.line.removed, .removed { background: var(--remove); }
.added mark { background: var(--mark-add); color: inherit; }
.removed mark { background: var(--mark-remove); color: inherit; }
.words { display: inline-block; min-width: 14rem; white-space: normal; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 36rem), 1fr)); gap: 0 1rem; }
.pair > div { min-width: 0; }
.spaces { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1rem; margin: .5rem 0; }
figure { margin: 0; padding: .5rem .75rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
figcaption { margin-bottom: .35rem; font-size: .85rem; font-weight: 600; }
figure svg { display: block; }
.space ul { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .35rem 0 0; padding: 0; list-style: none; font-size: .8rem; }
.space li { margin: 0; overflow-wrap: anywhere; }
.space li::before { content: "■ "; }
.space rect { stroke: var(--card); }
.space .capacity { stroke: var(--faint); }
.piece0 { color: var(--c0); } .piece1 { color: var(--c1); } .piece2 { color: var(--c2); } .piece3 { color: var(--c3); }
figure.scroll { margin: .75rem 0; }
.timeline { width: 100%; min-width: 56rem; height: auto; }
.timeline .on-bar { fill: var(--on); }
.pipe-1, .pipe0 { color: var(--c6); } .pipe1 { color: var(--c0); } .pipe2 { color: var(--c4); } .pipe3 { color: var(--c1); } .pipe4 { color: var(--c2); } .pipe5 { color: var(--c5); } .pipe6 { color: var(--c3); }
`;
