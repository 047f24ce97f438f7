import { beforeAll, describe, expect, test } from "vitest";
import { compileLayer } from "../codegen/compile.ts";
import { type TargetName, targetNames } from "../codegen/target.ts";
import type { Layer } from "../ir/core/layer.ts";
import { printLayer } from "../ir/text/index.ts";
import { loadBackend } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";
import { type Explanation, explain, slotText } from "./explain.ts";
import { explainPage } from "./explain-page.ts";

const text = '/* <layer> & "source" */\n'.repeat(300);

/** The page of an example at a small size on every target, with its text replaced by lines that must be escaped. */
async function example(name: string, params: Readonly<Record<string, number>>) {
  const file = `examples/${name}.ts`;
  const layer = await readLayer({ file, params, cache: undefined });
  const targets = await Promise.all(targetNames.map((target) => explained(layer, target)));
  const page = explainPage({
    layer: layer.name,
    params: layer.params,
    unmoor: "1.2.3",
    sources: [{ file, text }],
    targets,
    skipped: [{ target: "wgsl", why: "<half> & more", mend: "none" }],
    timelines: [
      {
        target: "ascend",
        kernel: targets[2]?.kernels[0]?.name ?? "",
        caption: "modelled, T = 1",
        unit: "cycles",
        events: [{ pipe: "MTE2", start: 0, end: 10, label: "DataCopy" }],
      },
    ],
  });
  return { layer, targets, page };
}

async function explained(layer: Layer, name: TargetName): Promise<Explanation> {
  const backend = await loadBackend(name);
  const target = backend.target(backend.isas[0] ?? "");
  return explain(compileLayer(layer, target, "f32"), backend, [1, 9]);
}

const empty = new Set(["meta", "input"]);

/** Elements of a page with their attributes, in order. Throws where tags do not match or a character is not escaped. */
function elements(page: string): { name: string; attributes: Readonly<Record<string, string>> }[] {
  const found: { name: string; attributes: Readonly<Record<string, string>> }[] = [];
  const open: string[] = [];
  const body = page.replace(/^<!doctype html>\n/, "").replace(/<style>[^<]*<\/style>/, "");
  let at = 0;
  for (const match of body.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9-]*(?:="[^"]*")?)*)\s*(\/?)>/g)) {
    const between = body.slice(at, match.index);
    if (/[<>]|&(?!(amp|lt|gt|quot);)/.test(between)) throw new Error(`not escaped: ${between.slice(0, 80)}`);
    at = match.index + match[0].length;
    const [, close, name = "", list = "", selfClosed] = match;
    if (close) {
      const last = open.pop();
      if (last !== name) throw new Error(`</${name}> closes <${last}>`);
      continue;
    }
    const attributes = Object.fromEntries(
      [...list.matchAll(/([a-zA-Z][a-zA-Z0-9-]*)(?:="([^"]*)")?/g)].map(([, key = "", value = ""]) => [key, value]),
    );
    found.push({ name, attributes });
    if (!selfClosed && !empty.has(name)) open.push(name);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(", ")}`);
  return found;
}

describe.each([
  ["longcat-moe", { H: 64, I: 32, E: 4, Z: 2, K: 2 }],
  ["gpt-oss", { H: 64, I: 32, E: 4, K: 2 }],
] as const)("the page of %s", (name, params) => {
  let made: Awaited<ReturnType<typeof example>>;
  let found: ReturnType<typeof elements>;
  beforeAll(async () => {
    made = await example(name, params);
    found = elements(made.page);
  });

  test("is well-formed HTML, needs nothing else, and every link leads to a place on it", () => {
    expect(made.page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
    const ids = found.flatMap((e) => (e.attributes.id === undefined ? [] : [e.attributes.id]));
    expect(ids.length).toBe(new Set(ids).size);
    const links = found.flatMap((e) => (e.name === "a" ? [e.attributes.href ?? ""] : []));
    expect(links.length).toBeGreaterThan(50);
    for (const link of links) expect(ids).toContain(link.replace(/^#/, ""));
    const names = new Set(found.map((e) => e.name));
    for (const outside of ["script", "link", "img", "iframe", "object"]) expect(names).not.toContain(outside);
    expect(made.page).not.toMatch(/https?:\/\/|url\(|@import| on[a-z]+=/);
  });

  test("can be used from the keyboard: what scrolls takes the focus and has a name, targets are a choice of one", () => {
    for (const box of found.filter((e) => e.name === "pre")) {
      expect(box.attributes.tabindex).toBe("0");
      expect(box.attributes["aria-label"]).toBeTruthy();
    }
    const choices = found.filter((e) => e.name === "input");
    expect(choices.map((e) => [e.attributes.type, e.attributes.name, "checked" in e.attributes])).toEqual([
      ["radio", "target", true],
      ["radio", "target", false],
      ["radio", "target", false],
    ]);
    for (const target of targetNames)
      expect(made.page).toContain(`body:has(#choose-${target}:checked) .target:not(#${target}) { display: none; }`);
  });

  test("says the IR of every stage, and marks what changed", () => {
    const text = textOf(made.page);
    for (const target of made.targets) {
      for (const stage of target.stages) {
        const lines = stage.changed ? stage.ir.trimEnd().split("\n") : [];
        expect([...lines, stage.hash].filter((line) => !text.includes(line))).toEqual([]);
      }
    }
    expect(made.page).toContain('<span class="line added">');
    expect(made.page).toContain('<span class="line removed">');
    expect(made.page).toMatch(/<mark>fixed<\/mark>/);
  });

  test("has every kernel in tile IR and in source, with the place that it comes from and its work", () => {
    const text = textOf(made.page);
    for (const target of made.targets) {
      for (const kernel of target.kernels) {
        const lines = [...kernel.tile.split("\n"), ...kernel.source.text.trimEnd().split("\n")];
        expect(lines.filter((line) => !text.includes(line))).toEqual([]);
        expect(made.page).toContain(
          `<article id="${target.target}-kernel-${kernel.name}">\n<h3>${kernel.name}</h3>\n<p><code>${kernel.op}</code>`,
        );
        const at = `${target.target}-source-0-${kernel.span.line}`;
        expect(made.page.split(`href="#${at}"`).length).toBeGreaterThan(1);
        for (const { tokens, flops, bytes } of kernel.work)
          expect(made.page).toContain(
            `T = ${tokens}: ${flops.toLocaleString("en-US")} flops, ${bytes.toLocaleString("en-US")} bytes`,
          );
      }
      for (const slot of target.memory.slots) expect(text).toContain(slotText(slot, target.memory));
      for (const { path, hash } of target.files) {
        expect(text).toContain(path);
        expect(text).toContain(hash);
      }
    }
  });

  test("draws the memories of the Ascend kernels, and the pipes where there are events", () => {
    const parts = made.page.split("<article ").slice(1);
    const ascend = made.targets.find((t) => t.target === "ascend");
    for (const kernel of ascend?.kernels ?? []) {
      const part = parts.find((p) => p.startsWith(`id="ascend-kernel-${kernel.name}"`)) ?? "";
      const pieces = part.match(/<rect class="piece/g)?.length ?? 0;
      expect(pieces).toBe(kernel.source.memory.reduce((n, m) => n + m.count, 0));
      for (const { space } of kernel.source.memory) expect(part).toContain(`<figcaption>${space.toUpperCase()}: `);
    }
    expect(made.page.match(/<svg role="img" class="timeline"/g)?.length).toBe(1);
    expect(made.page).toContain("<figcaption>modelled, T = 1</figcaption>");
    const product = parts.find((p) => p.startsWith('id="ascend-kernel-grouped_linear')) ?? "";
    for (const space of ["L1", "L0A", "L0B", "L0C"])
      expect(product).toMatch(new RegExp(`${space}: [\\d,]+ of [\\d,]+ bytes`));
  });

  test("tells what was left out, and shows the source as it is", () => {
    expect(made.page).toContain("<strong>wgsl was left out:</strong> &lt;half&gt; &amp; more");
    expect(made.page).toContain('<span class="text">/* &lt;layer&gt; &amp; &quot;source&quot; */</span>');
  });

  test("places of IR lines are those of the operations", () => {
    for (const { stages } of made.targets) {
      const [first] = stages;
      const spans = first?.spans ?? [];
      expect(spans.length).toBe(printLayer(made.layer).split("\n").length);
      expect(new Set(spans.filter((s) => s.file !== "").map((s) => s.line))).toEqual(
        new Set([made.layer.span.line, ...placesOf(made.layer)]),
      );
    }
  });

  test("every line of IR, before and after, links to its own place", () => {
    const known = new Set(
      made.targets.flatMap((t) =>
        t.stages.flatMap((s) => s.ir.split("\n").map((line, i) => `${s.spans[i]?.line}: ${line}`)),
      ),
    );
    const lines = [
      ...made.page.matchAll(
        /<span class="at">(?:<a href="[^"]*">(\d+)<\/a>)?<\/span>(?:<span class="mark">.<\/span>)?<span class="text">(.*?)<\/span><\/span>/g,
      ),
    ];
    const shown = lines.map(([, line = "0", text = ""]) => `${line}: ${textOf(text)}`);
    expect(shown.length).toBeGreaterThan(100);
    expect(shown.filter((line) => !known.has(line))).toEqual([]);
  });
});

function placesOf({ body }: Pick<Layer, "body">): number[] {
  return body.flatMap((o) => [o.span.line, ...o.regions.flatMap(placesOf)]);
}

/** The page's text as a reader sees it. */
const textOf = (page: string): string =>
  page
    .replace(/<\/?(mark|span|code|a|strong)\b[^>]*>/g, "")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, "&");

test("the kernels of a backend are parts of its sources", async () => {
  const layer = await readLayer({ file: "examples/olmoe.ts", params: { H: 64, I: 32, E: 4, K: 2 }, cache: undefined });
  for (const name of targetNames) {
    const backend = await loadBackend(name);
    for (const isa of backend.isas) {
      const { program, target } = compileLayer(layer, backend.target(isa), "f32");
      const sources = await backend.emit(program, target);
      const kernels = await backend.kernels(program, target);
      expect([...kernels.keys()]).toEqual([...program.prepare, ...program.kernels]);
      for (const { path, text } of kernels.values()) {
        expect(text.length).toBeGreaterThan(100);
        expect(sources.get(path)).toContain(text);
      }
    }
  }
});
