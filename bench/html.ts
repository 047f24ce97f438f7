/** Text as it stands in HTML, also within double quotes. */
export const html = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);

/** A table of cells that are HTML already. A heading that begins with a number sign is of a column of numbers. */
export function htmlTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const number = heads.map((h) => (h.startsWith("#") ? ' class="number"' : ""));
  const head = heads.map((h, i) => `<th scope="col"${number[i]}>${html(h.replace(/^#/, ""))}</th>`).join("");
  const body = rows.map((r) => `<tr>${r.map((c, i) => `<td${number[i]}>${c}</td>`).join("")}</tr>`).join("\n");
  return `<div class="scroll" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}

/** A table of plain text. */
export const textTable = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  htmlTable(
    heads,
    rows.map((r) => r.map(html)),
  );

/** A page that needs nothing else: no script, no font, no network. Light and dark as the reader's system. */
export const htmlPage = (title: string, style: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${html(title)}</title>
<style>${baseStyle}${style}</style>
</head>
<body>
${body}
</body>
</html>
`;

/** Colours, text and tables of every page. */
const baseStyle = `
:root { --text: #1f2933; --faint: #52606d; --line: #d5dbe1; --page: #ffffff; --card: #f6f8fa; --bad: #a3264b; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9ee; --faint: #a3afbb; --line: #3a444e; --page: #12171c; --card: #1b2229; --bad: #f08aa6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--text); background: var(--page); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 1rem 0 0; font-size: 1.75rem; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.3rem; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
li { margin: .25rem 0; max-width: 46rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin-top: 1rem; border: 1px solid var(--line); border-radius: .5rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; text-align: left; white-space: nowrap; }
th { color: var(--faint); font-weight: 600; border-bottom: 1px solid var(--line); background: var(--card); }
tr + tr td { border-top: 1px solid var(--line); }
.number { text-align: right; }
`;
