/** A parameter of a kernel: memory, or a number. */
export interface KernelParameter {
  readonly name: string;
  readonly pointer: boolean;
}

/** An Ascend C kernel in a source file. */
export interface KernelEntry {
  readonly name: string;
  readonly parameters: readonly KernelParameter[];
  /** Where its name stands; lines and columns from 1. */
  readonly line: number;
  readonly column: number;
  /** What it says of the cores that it runs on, without KERNEL_TYPE_: by KERNEL_TASK_TYPE_DEFAULT, or an attribute. */
  readonly type: string | undefined;
}

const entry =
  /__global__\s+((?:__(?:aicore|vector|cube)__|__mix__\s*\(\s*1\s*,\s*[012]\s*\))\s+)+void\s+(\w+)\s*\(([^)]*)\)/g;

/** The kernels of a source: functions marked __global__, by their text. Macros are not expanded. */
export function kernelsIn(source: string): readonly KernelEntry[] {
  // Comments become blanks, so that places stay.
  const text = source.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "));
  const found = [...text.matchAll(entry)];
  return found.map((match, i) => {
    const [whole, attributes = "", name = "", list = ""] = match;
    const at = match.index + whole.indexOf(name, whole.indexOf("void"));
    const before = text.slice(0, at).split("\n");
    const body = text.slice(match.index, found[i + 1]?.index);
    return {
      name,
      parameters: list
        .split(",")
        .map((p) => p.trim())
        .filter((p) => p !== "" && p !== "void")
        .map((p) => ({ name: /(\w+)\s*$/.exec(p)?.[1] ?? p, pointer: /GM_ADDR|\*/.test(p) })),
      line: before.length,
      column: (before.at(-1)?.length ?? 0) + 1,
      type: /KERNEL_TASK_TYPE_DEFAULT\s*\(\s*KERNEL_TYPE_(\w+)/.exec(body)?.[1] ?? attributeType(attributes),
    };
  });
}

function attributeType(attributes: string): string | undefined {
  const mix = /__mix__\s*\(\s*1\s*,\s*([012])/.exec(attributes)?.[1];
  if (mix !== undefined) return `MIX_AIC_1_${mix}`;
  if (attributes.includes("__vector__")) return "AIV_ONLY";
  return attributes.includes("__cube__") ? "AIC_ONLY" : undefined;
}
