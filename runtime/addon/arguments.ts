/**
 * Checks an argument that must be a whole number.
 * @param what the argument, in the caller's words, as in "the offset"
 * @throws TypeError saying what was expected and what was found
 */
export function checkInteger(what: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new TypeError(`${what} must be an integer ${range}; found ${describe(value)}`);
}

/** A value in an error message: short, and telling its kind apart from its text. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) {
    const name = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === "string" && name !== "" ? `a value of type ${name}` : "an object";
  }
  return typeof value === "bigint" ? `${value}n` : String(value);
}
