import { Project, ts } from "ts-morph";
import { type Diagnostic, DiagnosticError } from "../core/diagnostic.ts";
import { noSpan, type Span } from "../core/span.ts";
import { type Code, codes } from "./codes.ts";
import type { SourceHost } from "./host.ts";

/** Paths as the user gave them, by parsed file. */
const paths = new WeakMap<ts.SourceFile, string>();

export const pathOf = (file: ts.SourceFile): string => paths.get(file) ?? file.fileName;

function spanAt(file: ts.SourceFile, start: number, end: number): Span {
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  return { file: pathOf(file), line: line + 1, column: character + 1, length: Math.max(1, end - start) };
}

/** What the author wrote, short enough for a message. */
export const written = (node: ts.Node): string => {
  const text = node.getText().replace(/\s+/g, " ");
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`;
};

export const spanOf = (node: ts.Node): Span => {
  const file = node.getSourceFile();
  return spanAt(file, node.getStart(file), node.getEnd());
};

/** What the author calls at this place: `add` of add(x, y), `mix` of routing.mix(…). */
export const calledName = (node: ts.Node): string | undefined => {
  if (!ts.isCallExpression(node)) return undefined;
  const { expression } = node;
  return (ts.isPropertyAccessExpression(expression) ? expression.name : expression).getText();
};

interface Details {
  readonly expected?: string;
  readonly found?: string;
  /** Default: the help of the code. */
  readonly help?: string;
}

export const diagnostic = (
  code: Code,
  node: ts.Node | undefined,
  message: string,
  details: Details = {},
): Diagnostic => ({
  code,
  span: node === undefined ? noSpan : spanOf(node),
  message,
  help: codes[code].help,
  ...details,
});

/** Stops the evaluation of a statement. Without a diagnostic: it uses a value whose own statement was already reported. */
export class Problem extends Error {
  readonly diagnostic: Diagnostic | undefined;

  constructor(found: Diagnostic | undefined) {
    super(found?.message ?? "uses a value that could not be computed");
    this.name = "Problem";
    this.diagnostic = found;
  }
}

export const problem = (code: Code, node: ts.Node | undefined, message: string, details?: Details): Problem =>
  new Problem(diagnostic(code, node, message, details));

/** Runs something recursive over a file. @throws Problem U071 where the file nests deeper than the machine's stack */
export function withinStack<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const span: Span = { file: path, line: 1, column: 1, length: 1 };
    const message = `${path} is nested too deeply to be read`;
    throw new Problem({ code: "U071", span, message, help: "Name parts of deeply nested expressions with const." });
  }
}

/** Parses files, each once, in ts-morph's in-memory file system. No file is type-checked. */
export class Sources {
  readonly host: SourceHost;
  readonly #project = new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    skipFileDependencyResolution: true,
    compilerOptions: { noLib: true, noResolve: true, types: [] },
  });
  readonly #files = new Map<string, ts.SourceFile>();

  constructor(host: SourceHost) {
    this.host = host;
  }

  /** @throws Problem where the file cannot be read; DiagnosticError with all syntax errors where it is no TypeScript. */
  parse(path: string, importedAt?: ts.Node): ts.SourceFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const text = this.host.read(path);
    if (text === undefined) throw problem("U001", importedAt, `cannot read ${path}`);
    const file = withinStack(path, () => {
      const source = this.#project.createSourceFile(`/${this.#files.size}.ts`, text);
      paths.set(source.compilerNode, path);
      const errors = this.#project
        .getProgram()
        .getSyntacticDiagnostics(source)
        .map((d): Diagnostic => {
          const start = d.getStart() ?? 0;
          const message = ts.flattenDiagnosticMessageText(d.compilerObject.messageText, " ");
          return {
            code: "U002",
            span: spanAt(source.compilerNode, start, start + (d.getLength() ?? 1)),
            message: `syntax error: ${message}`,
            help: codes.U002.help,
          };
        });
      if (errors.length > 0) throw new DiagnosticError(errors);
      return source.compilerNode;
    });
    this.#files.set(path, file);
    return file;
  }
}
