/** Kinds of tokens that are shown in their own colour. */
type Kind = "comment" | "string" | "number" | "word";

const tokens =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>"[^"\n]*"|'[^'\n]*'|`[^`]*`)|(?<number>\b(?:0x[\da-f]+|\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?)[fiu]?\b)|(?<word>\b(?:const|export|import|from|type|return|let|var|fn|for|if|else|loop|break|continue|continuing|switch|case|default|struct|function|of|new|while)\b|@\w+)/gi;

/** Text of TypeScript or WGSL in lines, each a span of its own; comments, strings, numbers and keywords are told apart. */
export function codeLines(text: string): HTMLElement[] {
  let line = newLine();
  const lines = [line];
  const add = (piece: string, kind?: Kind): void => {
    for (const [i, part] of piece.split("\n").entries()) {
      if (i > 0) {
        line = newLine();
        lines.push(line);
      }
      if (part === "") continue;
      if (kind === undefined) line.append(part);
      else line.append(Object.assign(document.createElement("span"), { className: kind, textContent: part }));
    }
  };
  let at = 0;
  for (const match of text.trimEnd().matchAll(tokens)) {
    add(text.slice(at, match.index));
    const kind = (Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined)?.[0] ?? "word") as Kind;
    add(match[0], kind);
    at = match.index + match[0].length;
  }
  add(text.slice(at).trimEnd());
  return lines;
}

const newLine = (): HTMLElement => Object.assign(document.createElement("span"), { className: "line" });
