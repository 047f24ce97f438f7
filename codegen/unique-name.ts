/** A name like `hint` that is not among the used ones, which it then is: itself, or with the first number that makes it new. */
export function uniqueName(hint: string, used: Set<string>): string {
  let name = hint;
  for (let i = 1; used.has(name); i++) name = `${hint}_${i}`;
  used.add(name);
  return name;
}
