/** How the frontend reaches files. It never touches a file system itself, so it runs in a browser too. */
export interface SourceHost {
  /** The text of a file, or undefined where there is none that can be read. */
  read(path: string): string | undefined;
  /**
   * The path of the file that `specifier` ("./experts.ts") means in file `from`, or undefined where there is none.
   * Default: relative to the folder of `from`; `.js` stands for `.ts`, and the extension may be missing.
   */
  resolve?(specifier: string, from: string): string | undefined;
}

/** A host over texts in memory. */
export const memoryHost = (files: Readonly<Record<string, string>>): SourceHost => ({
  read: (path) => (Object.hasOwn(files, path) ? files[path] : undefined),
});

/** The path of a relative import, by the rule of SourceHost.resolve. */
export function resolveImport(host: SourceHost, specifier: string, from: string): string | undefined {
  if (host.resolve !== undefined) return host.resolve(specifier, from);
  const parts = from.split(/[\\/]/).slice(0, -1);
  for (const step of specifier.split("/")) {
    if (step === "..") {
      const last = parts.at(-1);
      if (last === undefined || last === "..") parts.push("..");
      else parts.pop();
    } else if (step !== ".") parts.push(step);
  }
  const base = parts.join("/");
  const candidates = [base, base.replace(/\.([mc]?)js$/, ".$1ts"), `${base}.ts`, `${base}/index.ts`];
  return candidates.find((path) => /\.[mc]?ts$/.test(path) && host.read(path) !== undefined);
}
