const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * Finds a key that one object of a JSON text has twice. JSON.parse silently keeps the last, so that a tensor would vanish.
 * @param text well-formed JSON
 * @returns the first such key, undefined when there is none
 */
export function findDuplicateKey(text: string): string | undefined {
  const objects: Set<string>[] = [];
  let last = "";
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") objects.push(new Set());
    else if (token === "}" || token === "]") objects.pop();
    else if (token === ":") {
      const key: string = JSON.parse(last);
      const keys = objects.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
    last = token;
  }
  return undefined;
}
