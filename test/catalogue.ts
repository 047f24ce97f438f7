/** docs/errors.md, made from the table of codes and from the messages that the tests hold. */
import { readFileSync } from "node:fs";
import { codes } from "../bin/codes.ts";

interface Part {
  readonly title: string;
  readonly about?: string;
  /** Codes of the part: U0xx has "U0". */
  readonly codes: RegExp;
  /** Messages in full, by the tests that compare them. */
  readonly examples?: URL;
}

const parts: readonly Part[] = [
  {
    title: "Reading a layer",
    codes: /^U0/,
    examples: new URL("../ir/frontend/fixtures/diagnostics.txt", import.meta.url),
  },
  { title: "The text forms of the IRs", codes: /^U1/ },
  { title: "Compiling for a target", codes: /^U2/ },
  {
    title: "Weights, inputs and files",
    codes: /^U3/,
    examples: new URL("published/messages.txt", import.meta.url),
  },
  { title: "The command line", codes: /^U4/ },
  {
    title: "The machine, and Unmoor itself",
    about: "A lack of the machine ends with exit status 3. A fault in Unmoor, which should never be met, ends with 70.",
    codes: /^U[59]/,
  },
];

const head = `# Errors

Every error in what you wrote has a code. A code never changes its meaning, and is never used again for another.
The message at the place says more: what was expected, what was found, and the mend.
`;

/** The text of docs/errors.md. */
export function catalogue(): string {
  return [head, ...parts.map(section)].join("\n");
}

function section({ title, about, codes: ours, examples }: Part): string {
  const entries = Object.entries(codes).filter(([code]) => ours.test(code));
  const lines = [`## ${title}`, "", ...(about === undefined ? [] : [about, ""])];
  if (examples === undefined) {
    lines.push("| code | meaning | mend |", "|---|---|---|");
    for (const [code, { title: meaning, help }] of entries)
      lines.push(`| ${code} | ${meaning} | ${help.replaceAll("|", "\\|")} |`);
    return `${lines.join("\n")}\n`;
  }
  const messages = readFileSync(examples, "utf8");
  for (const [code, { title: meaning, help }] of entries) {
    const example = exampleOf(messages, code);
    lines.push(`### ${code} ${meaning}`, "", "```", example, "```", "");
    if (!example.endsWith(`help: ${help}`)) lines.push(`Mend: ${help}`, "");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/** The first message with this code: the wrong line, what is wrong with it, and the mend there. */
function exampleOf(messages: string, code: string): string {
  const start = messages.indexOf(`error[${code}]`);
  if (start < 0) throw new Error(`no test holds the message of ${code}`);
  const [message = ""] = messages.slice(start).split(/\n\n|\n=== /);
  return message.trimEnd();
}
