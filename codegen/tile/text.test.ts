/**
 * Fixtures: fixtures/roundtrip/*.tile are programs in canonical form: parsing and printing gives the same text.
 * fixtures/invalid/*.tile hold kernels or programs separated by lines `===`; in each, `# expected-error: …` stands above the
 * offending line. UPDATE_FIXTURES=1 rewrites the round-trip fixtures as they are printed now; look at the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DiagnosticError, formatDiagnostic } from "../../ir/core/diagnostic.ts";
import { parseKernel, parseProgram } from "./parser.ts";
import { randomKernel } from "./testing.ts";
import { printKernel, printProgram } from "./text.ts";
import type { Statement } from "./types.ts";

const folder = new URL("./fixtures/", import.meta.url);
const files = (kind: string) =>
  readdirSync(new URL(`${kind}/`, folder)).map((name) => ({ name, url: new URL(`${kind}/${name}`, folder) }));

describe("round trip", () => {
  test.each(files("roundtrip"))("$name", ({ url }) => {
    const text = readFileSync(url, "utf8");
    const program = parseProgram(text);
    const printed = printProgram(program, { spans: true });
    if (process.env.UPDATE_FIXTURES === "1") writeFileSync(url, printed);
    else expect(printed).toBe(text);
    expect(parseProgram(printed)).toEqual(program);
  });

  test("comments and white space do not matter", () => {
    const text = readFileSync(new URL("roundtrip/all-statements.tile", folder), "utf8");
    const loose = text.replaceAll("\n", " # note (\n\n  ").replaceAll(" = ", "=");
    expect(printProgram(parseProgram(loose), { spans: true })).toBe(text);
  });

  test("text without places has none", () => {
    const text = readFileSync(new URL("roundtrip/all-statements.tile", folder), "utf8");
    const printed = printProgram(parseProgram(text));
    expect(printed).not.toContain("b.ts");
    expect(printProgram(parseProgram(printed))).toBe(printed);
  });

  for (let seed = 1; seed <= 60; seed++) {
    test(`random kernel, seed ${seed}`, () => {
      const kernel = randomKernel(seed);
      const text = printKernel(kernel, { spans: true });
      const parsed = parseKernel(text);
      expect(parsed).toEqual(kernel);
      expect(printKernel(parsed, { spans: true })).toBe(text);
    });
  }
});

describe("invalid", () => {
  const cases = files("invalid").flatMap(({ name, url }) =>
    readFileSync(url, "utf8")
      .split(/^===\n/m)
      .map((text) => ({ name, text, message: /expected-error: (.*)/.exec(text)?.[1] ?? "" })),
  );
  test.each(cases)("$name: $message", ({ name, text, message }) => {
    expect(message).not.toBe("");
    const line = text.split("\n").findIndex((l) => l.includes("expected-error")) + 2;
    let caught: unknown;
    try {
      if (/^program /m.test(text)) parseProgram(text, name);
      else parseKernel(text, name);
    } catch (error) {
      caught = error;
    }
    if (!(caught instanceof DiagnosticError)) throw new Error(`expected a diagnostic, found ${caught}`);
    const [diagnostic] = caught.diagnostics;
    expect(diagnostic.message).toContain(message);
    expect(diagnostic.span).toMatchObject({ file: name, line });
    expect(diagnostic.help).not.toBe("");
    expect(formatDiagnostic(diagnostic, () => text)).toContain("^");
  });
});

/** Words with which statements begin, in the text form. */
const statements: Readonly<Record<Statement["kind"], RegExp>> = {
  for: /^\s*for /m,
  if: /^\s*if /m,
  let: /^\s*let /m,
  alloc: /^\s*alloc /m,
  fill: /^\s*fill /m,
  set: /^\s*set /m,
  copy: /^\s*copy /m,
  map: /^\s*map /m,
  mma: /^\s*mma /m,
  reduce: /^\s*reduce /m,
  top_k: /^\s*top_k /m,
  barrier: /^\s*barrier\b/m,
  prefetch: /^\s*prefetch /m,
};

describe.each(Object.entries(statements))("statement %s has a fixture", (_, word) => {
  const texts = (kind: string) => files(kind).map(({ url }) => readFileSync(url, "utf8"));
  test("that is read and printed", () => expect(texts("roundtrip").some((text) => word.test(text))).toBe(true));
  // On the line below the expected error.
  const refused = new RegExp(`expected-error: .*\\n${word.source.slice(1)}`);
  test("that is refused", () => expect(texts("invalid").some((text) => refused.test(text))).toBe(true));
});
