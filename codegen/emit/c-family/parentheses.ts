/** Operators that need parentheses only where they bind less tightly than what stands beside them, from the loosest on. */
const levels = [["?", ":"], ["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">="], ["+", "-"], ["*", "/", "%"]];
/** -1 for others, such as those of bits: readers and compilers' warnings want parentheses around them. */
const level = (operator: string): number => levels.findIndex((operators) => operators.includes(operator));
/** Operators of which `a o b o c` is `(a o b) o c` to every reader. */
const chained = new Set(["+", "-", "*", "/", "%", "&&", "||"]);
/** Operators that are better read in parentheses inside another of them. */
const confusing = new Set(["?", ":", "||", "&&"]);

/** What text is made of where nothing encloses it: what stands in parentheses or brackets becomes one character. */
function outside(text: string): string {
  let outer = text;
  for (let before = ""; before !== outer; ) {
    before = outer;
    outer = outer.replace(/\([^()]*\)|\[[^[\]]*\]/g, "@");
  }
  return outer;
}

/** Whether the text is one name, number, call, element or parenthesis, to its end: after a cast, or before an operator, it is not. */
const isClosed = (text: string): boolean => /^([\w.]+(<[\w:]+>)?@*|@)(->\w+@*)*$/.test(outside(text));

/** C or C++ text that may stand beside any operator: itself if it binds tightly, else in parentheses. */
export function atom(text: string): string {
  return isClosed(text) ? text : `(${text})`;
}

/** C or C++ text for a place between two operators, if any: in parentheses where they would take it apart, or mislead a reader. */
export function operand(text: string, before?: string, after?: string): string {
  if (isClosed(text)) return text;
  const binary = outside(text).match(/(?<= )[^\s\w@.]+(?= )/g) ?? [];
  const [loosest] = binary.toSorted((a, b) => level(a) - level(b));
  const fits = (beside: string | undefined, isLeft: boolean): boolean => {
    if (beside === undefined) return true;
    if (level(beside) < 0 || (!isLeft && text.startsWith("-"))) return false;
    if (loosest === undefined) return true;
    if (isLeft && chained.has(loosest) && level(loosest) === level(beside)) return true;
    return level(loosest) > level(beside) && !(confusing.has(loosest) && confusing.has(beside));
  };
  return fits(before, false) && fits(after, true) ? text : `(${text})`;
}

/** Text without parentheses around all of it. */
export const bare = (text: string): string =>
  text.startsWith("(") && outside(text) === "@" ? text.slice(1, -1) : text;
