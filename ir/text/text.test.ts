/**
 * Fixtures: fixtures/roundtrip/*.moe are in canonical form: parsing and printing gives the same text.
 * fixtures/invalid/*.moe hold texts separated by lines `===`; in each, `// expected-error: …` stands above the offending line.
 * UPDATE_FIXTURES=1 rewrites the round-trip fixtures as they are printed now, and the messages of the invalid ones; look at the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Diagnostic, DiagnosticError, formatDiagnostic } from "../core/diagnostic.ts";
import { layerHash, sha256 } from "../core/hash.ts";
import { walk } from "../core/layer.ts";
import { noSpan } from "../core/span.ts";
import { tensorType } from "../core/types.ts";
import { opNames } from "../ops/index.ts";
import { parseLayer, printLayer } from "./index.ts";

const folder = new URL("./fixtures/", import.meta.url);
const files = (kind: string) =>
  readdirSync(new URL(`${kind}/`, folder))
    .filter((name) => name.endsWith(".moe"))
    .map((name) => ({ name, url: new URL(`${kind}/${name}`, folder) }));

describe("round trip", () => {
  test.each(files("roundtrip"))("$name", ({ url }) => {
    const text = readFileSync(url, "utf8");
    const printed = printLayer(parseLayer(text), { spans: true });
    if (process.env.UPDATE_FIXTURES === "1") writeFileSync(url, printed);
    else expect(printed).toBe(text);
  });

  test("comments and white space do not matter", () => {
    const text = readFileSync(new URL("roundtrip/longcat.moe", folder), "utf8");
    const loose = text.replaceAll("\n", " // note (\n\n  ").replaceAll(" = ", "=");
    expect(printLayer(parseLayer(loose))).toBe(text);
  });
});

/** What a text is refused with. */
function refusal(text: string, name: string): Diagnostic {
  try {
    parseLayer(text, name);
  } catch (error) {
    const [diagnostic] = error instanceof DiagnosticError ? error.diagnostics : [];
    if (diagnostic !== undefined) return diagnostic;
    throw error;
  }
  throw new Error(`expected a diagnostic, found none in\n${text}`);
}

describe("invalid", () => {
  if (process.env.UPDATE_FIXTURES === "1") {
    for (const { name, url } of files("invalid")) {
      const texts = readFileSync(url, "utf8").split(/^===\n/m);
      const said = texts.map((text) => text.replace(/(expected-error: ).*/, `$1${refusal(text, name).message}`));
      writeFileSync(url, said.join("===\n"));
    }
  }
  const cases = files("invalid").flatMap(({ name, url }) =>
    readFileSync(url, "utf8")
      .split(/^===\n/m)
      .map((text) => ({ name, text, message: /expected-error: (.*)/.exec(text)?.[1] ?? "" })),
  );
  test.each(cases)("$name: $message", ({ name, text, message }) => {
    expect(message).not.toBe("");
    const line = text.split("\n").findIndex((l) => l.includes("expected-error")) + 2;
    const diagnostic = refusal(text, name);
    expect(diagnostic.message).toBe(message);
    expect(diagnostic.span).toMatchObject({ file: name, line });
    expect(diagnostic.help).not.toBe("");
    expect(formatDiagnostic(diagnostic, () => text)).toContain("^");
  });
});

describe("every op has a fixture", () => {
  const texts = (kind: string) => files(kind).map(({ url }) => readFileSync(url, "utf8"));
  const printed = new Set(texts("roundtrip").flatMap((text) => [...walk(parseLayer(text).body)].map((o) => o.op)));
  // The line below each expected error.
  const refused = new Set(
    texts("invalid").flatMap((text) => [...text.matchAll(/expected-error: .*\n.*?= (\w+)\(/g)].map((m) => m[1])),
  );
  test("that is read and printed", () => expect(opNames.filter((op) => !printed.has(op))).toEqual([]));
  test("that is refused", () => expect(opNames.filter((op) => !refused.has(op))).toEqual([]));
});

describe("names", () => {
  const x = { name: "v", type: tensorType("f32", ["T"]) };
  const y = { name: "v", type: tensorType("f32", ["T"]) };
  const z = { name: "v_1", type: tensorType("f32", ["T"]) };
  const args = [x, y, z].map((value) => ({ value, role: "input", storage: "auto" }) as const);
  const layer = { name: "l", params: {}, args, body: [], results: [], bindings: {}, span: noSpan };

  test("are made unique by suffixes that no other value has", () => {
    const names = parseLayer(printLayer(layer)).args.map((a) => a.value.name);
    expect(names).toEqual(["v", "v_2", "v_1"]);
  });
});

describe("hash", () => {
  const text = readFileSync(new URL("roundtrip/odd.moe", folder), "utf8");

  test("ignores spans and nothing else", () => {
    const hash = layerHash(parseLayer(text));
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(layerHash(parseLayer(text.replaceAll(/ @ "src.*?:\d+:\d+:\d+/g, "")))).toBe(hash);
    expect(layerHash(parseLayer(text.replace("-1.5", "-1.25")))).not.toBe(hash);
  });

  test("is SHA-256", () => {
    // The published examples.
    const bytes = (s: string) => new TextEncoder().encode(s);
    expect(sha256(bytes("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(sha256(bytes(""))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test.each([55, 56, 63, 64, 65, 1000])("agrees with node:crypto at %i bytes", async (length) => {
    const { createHash } = await import("node:crypto");
    const message = Uint8Array.from({ length }, (_, i) => (i * 31) & 255);
    expect(sha256(message)).toBe(createHash("sha256").update(message).digest("hex"));
  });
});
