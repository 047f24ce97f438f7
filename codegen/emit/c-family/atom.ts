/** C or C++ text that may stand beside an operator: itself if it binds tightly, else in parentheses. */
export function atom(text: string): string {
  return /^[\w.]+$/.test(text) || isClosed(text) ? text : `(${text})`;
}

/** Whether the text is one call, element or parenthesis, to its end: after a cast, or before an operator, it is not. */
export function isClosed(text: string): boolean {
  const start = /^[\w.]*(<[\w:]+>)?[([]/.exec(text);
  if (!start) return false;
  let depth = 0;
  for (let i = start[0].length - 1; i < text.length; i++) {
    if ("([".includes(text.charAt(i))) depth++;
    else if (")]".includes(text.charAt(i)) && --depth === 0) return i === text.length - 1;
  }
  return false;
}
