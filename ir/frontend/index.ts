import type { Layer } from "../core/layer.ts";
import type { ConfigFile } from "./bindings.ts";
import type { SourceHost } from "./host.ts";

export type { ConfigFile } from "./bindings.ts";
export { codes } from "./codes.ts";
export { memoryHost, type SourceHost } from "./host.ts";

export interface CompileOptions {
  readonly host: SourceHost;
  /** Path of the DSL file, as it shall stand in diagnostics. */
  readonly entry: string;
  /** Which layer, where the file declares several. */
  readonly layer?: string;
  /** Values that replace the defaults of parameters, and those of the config. */
  readonly params?: Readonly<Record<string, number>>;
  /** A config that parameters read from, as the layer says. */
  readonly config?: ConfigFile;
}

/**
 * Compiles one layer of a DSL file to layer IR. Reads source only: nothing of the file, nor of what it imports, is executed.
 * ts-morph is loaded at the first call.
 * @throws DiagnosticError with everything found wrong in the source or the options
 */
export async function compileSource(options: CompileOptions): Promise<Layer> {
  const { compile } = await import("./compile.ts");
  return compile(options);
}
