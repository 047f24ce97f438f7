/** What is known of a problem with a safetensors file. */
export interface SafetensorsProblem {
  readonly file: string;
  readonly tensor?: string;
  /** What is wrong, with what was expected and what was found. */
  readonly problem: string;
  /** What the user can do about it. */
  readonly remedy: string;
  readonly cause?: unknown;
}

/** A safetensors file that cannot be read or written. The message names the file, the tensor, what is wrong and the remedy. */
export class SafetensorsError extends Error {
  readonly file: string;
  readonly tensor: string | undefined;
  readonly remedy: string;

  constructor({ file, tensor, problem, remedy, cause }: SafetensorsProblem) {
    const where = tensor === undefined ? file : `${file}: tensor ${JSON.stringify(tensor)}`;
    super(`${where}: ${problem}; ${remedy}`, cause === undefined ? {} : { cause });
    this.name = "SafetensorsError";
    this.file = file;
    this.tensor = tensor;
    this.remedy = remedy;
  }
}

/** A count for people: 12,345. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/** The code of a system error, as in "ENOENT"; undefined for any other value. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
