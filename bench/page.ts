import type { Evidence } from "../backends/backend.ts";
import { darkColors, lightColors, lineChart, type Series } from "./chart.ts";
import { digits } from "./format.ts";
import { html, htmlPage, textTable } from "./html.ts";
import { modelCells, modelHeads, modelNotes, modelTitle } from "./model.ts";
import { kindTitles, type Report, type ReportRow, type Workload, workloads } from "./report.ts";

/** The report as one page that needs nothing else: no script, no font, no network. Light and dark as the reader's system. */
export function reportPage(report: Report): string {
  const kinds = (Object.keys(kindTitles) as Evidence[]).filter((kind) =>
    [...report.rows, ...report.checks].some((r) => r.kind === kind),
  );
  const { machine } = report;
  return htmlPage(
    "Unmoor report",
    style,
    `<header>
<h1>Unmoor report</h1>
<p class="machine">${html(machine.cpu)}, ${machine.threads} threads, ${digits(Math.round(machine.memory / 2 ** 30))} GiB of memory; unmoor ${html(report.unmoor)}, Node ${html(report.node)}</p>
</header>
<main>
${verdict(report)}
${problems(report)}
${kinds.map((kind) => kindSection(report, kind)).join("\n")}
${roofSection(report)}
${modelSection(report)}
${reading(kinds)}
</main>`,
  );
}

function problems(report: Report): string {
  const wrong = report.wrong.map(
    (w) =>
      `<li><strong>${html(w.target)} (${html(w.isa)}) disagrees with the oracle at T = ${w.tokens}</strong>, so it has no figure: ${html(w.disagreements.join("; "))}</li>`,
  );
  const left = report.left_out.map(
    (l) =>
      `<li><strong>${html(l.target)} was left out:</strong> ${html(l.why)}. To mend it: <code>${html(l.mend)}</code></li>`,
  );
  return wrong.length + left.length === 0 ? "" : `<ul class="problems">${[...wrong, ...left].join("\n")}</ul>`;
}

/** One sentence for all checks; their figures stand with those of their kind. */
function verdict({ checks }: Report): string {
  if (checks.length === 0) return "";
  const names = (agrees: boolean): string =>
    checks.flatMap((c) => (c.agrees === agrees ? [`${c.target} (${c.kind})`] : [])).join(", ");
  const wrong = names(false);
  return `<p class="verdict">${html(wrong === "" ? `✓ All agree with the oracle: ${names(true)}.` : `✗ ${wrong}: not what the oracle computes.`)}</p>`;
}

function checksTable({ checks }: Report, kind: Evidence): string {
  const rows = checks
    .filter((c) => c.kind === kind)
    .map((c) => [
      c.target,
      c.isa,
      c.agrees ? "✓ agrees" : "✗ disagrees",
      c.storage,
      String(c.cases),
      digits(c.max_error_over_bound),
      String(c.ambiguous_tokens),
    ]);
  if (rows.length === 0) return "";
  const heads = [
    "target",
    "variant",
    "with the oracle",
    "weights",
    "#cases",
    "#largest error / bound",
    "#ambiguous tokens",
  ];
  return `<h3>Checked against the oracle</h3>\n${textTable(heads, rows)}`;
}

function kindSection(report: Report, kind: Evidence): string {
  const { title, meaning } = kindTitles[kind];
  const shown = [...report.rows, ...report.checks].filter((r) => r.kind === kind);
  const devices = [...new Set(shown.map((r) => `${r.target}: ${r.device}`))];
  return `<section class="${kind}">
<h2>${title}</h2>
<p>${html(meaning)} ${html(devices.join("; "))}.</p>
${checksTable(report, kind)}
${workloads(report.rows, kind)
  .map((w) => workloadArticle(w, kind))
  .join("\n")}
</section>`;
}

function workloadArticle({ title, rows }: Workload, kind: Evidence): string {
  const roofs = rows.some((r) => r.share_of_roof !== undefined);
  const heads = ["target", "variant", "#tokens", "#median ms", "#min ms", "#runs", "#tokens/s", "#GFLOP/s", "#GB/s"];
  const cells = (r: ReportRow): string[] => [
    r.target,
    r.isa,
    String(r.tokens),
    digits(r.median_ms),
    digits(r.min_ms),
    String(r.runs),
    digits(Math.round((r.tokens / r.median_ms) * 1000)),
    digits(r.gflops),
    digits(r.gbps),
    ...(roofs ? [r.share_of_roof === undefined ? "" : `${Math.round(r.share_of_roof * 100)} %`] : []),
    digits(r.max_error_over_bound),
    String(r.ambiguous_tokens),
  ];
  const several = rows.some((r) => r.tokens !== rows[0]?.tokens);
  const charts = several
    ? [
        chart(`${kindTitles[kind].title}: milliseconds`, rows, (r) => r.median_ms),
        chart(`${kindTitles[kind].title}: GFLOP/s`, rows, (r) => r.gflops),
      ]
    : [];
  return `<article>
<h3>${html(title)}</h3>
<div class="charts">${charts.join("\n")}</div>
${textTable([...heads, ...(roofs ? ["#of roof"] : []), "#error / bound", "#ambiguous"], rows.map(cells))}
</article>`;
}

function chart(title: string, rows: readonly ReportRow[], value: (row: ReportRow) => number): string {
  const names = [...new Set(rows.map((r) => seriesName(r)))];
  const series: Series[] = names.map((name) => ({
    name,
    points: rows.filter((r) => seriesName(r) === name).map((r) => [r.tokens, value(r)] as const),
  }));
  return `<figure><div class="light">${lineChart(title, series, lightColors)}</div><div class="dark">${lineChart(title, series, darkColors)}</div></figure>`;
}

const seriesName = (row: ReportRow): string => (row.isa === row.target ? row.target : `${row.target} ${row.isa}`);

function roofSection({ roofs }: Report): string {
  if (roofs.length === 0) return "";
  const rows = roofs.map((r) => [
    r.target,
    r.isa,
    digits(r.read_gbps),
    ...(["f32", "bf16"] as const).map((s) => (r.gflops[s] === undefined ? "" : digits(r.gflops[s]))),
  ]);
  return `<section class="measured">
<h2>Roofs of this machine</h2>
<p>What the machine gave to micro-kernels of the same code generator on all threads: reading memory much larger than the caches, and register products whose operands stay in the first cache.</p>
${textTable(["target", "variant", "#read GB/s", "#f32 GFLOP/s", "#bf16 GFLOP/s"], rows)}
</section>`;
}

function modelSection({ modelled }: Report): string {
  if (modelled.length === 0) return "";
  const articles = modelled.map(
    (row) => `<article>
<h3>${html(modelTitle(row))}</h3>
${textTable(modelHeads, modelCells(row, digits))}
${modelNotes(row)
  .map((note) => `<p>${html(note)}</p>`)
  .join("\n")}
</article>`,
  );
  return `<section class="modelled">
<h2>${kindTitles.modelled.title}</h2>
<p>${html(kindTitles.modelled.meaning)} Each figure comes from walking the generated kernels with figures of the chip that docs/ascend.md derives.</p>
${articles.join("\n")}
</section>`;
}

function reading(kinds: readonly Evidence[]): string {
  const emulated = kinds.includes("emulated")
    ? "<li><strong>Emulated figures are not the hardware's.</strong> They stand in their own tables and charts; do not compare them with measured ones, nor with each other.</li>"
    : "";
  return `<section>
<h2>How to read this</h2>
<ul>
<li><strong>Median ms</strong> is the time of one run of the layer, without copies in and out, after a warm-up. <strong>Min</strong> is the quickest of all runs.</li>
<li><strong>GFLOP/s and GB/s</strong> are computed from the layer's IR at the routing that happened: only rows that were routed to an expert count, and only weights of experts that were hit, once each. Identity experts cost no multiplication.</li>
<li><strong>Of roof</strong> is the least time that these operations and bytes take at the machine's roofs, over the median. It can be above 100 % where the weights stay in the caches.</li>
<li><strong>Error / bound</strong> is the largest error against the oracle, in units of what rounding may cause. At most 1 agrees. Results were compared before anything was timed; with many tokens, on a sample of them.</li>
<li><strong>Ambiguous tokens</strong> are those whose choice of experts hangs on rounding. They are compared along the choice that the target made.</li>
${emulated}
</ul>
</section>`;
}

const style = `
.verdict { font-weight: 600; }
.machine { color: var(--faint); }
.problems { padding: 1rem 1rem 1rem 2rem; border: 1px solid var(--bad); border-radius: .5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .5rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
figure svg { display: block; width: 100%; height: auto; }
figure svg > rect:first-of-type { fill: none; }
.dark { display: none; }
@media (prefers-color-scheme: dark) { .light { display: none; } .dark { display: block; } }
.emulated h2::after { content: "not the hardware's speed"; margin-left: .75rem; padding: .1rem .5rem; border: 1px solid var(--line); border-radius: 1rem; color: var(--faint); font-size: .8rem; font-weight: 400; vertical-align: middle; white-space: nowrap; }
`;
