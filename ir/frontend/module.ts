import { ts } from "ts-morph";
import type { Diagnostic } from "../core/diagnostic.ts";
import { resolveImport } from "./host.ts";
import { builtinNames, builtinWords, typeNames } from "./names.ts";
import { diagnostic, type Problem, pathOf, problem, type Sources } from "./source.ts";
import { nearest } from "./suggest.ts";
import type { StaticValue } from "./values.ts";

type Import = { readonly kind: "import"; readonly from: string; readonly name: string; readonly node: ts.Node };

/** What a top-level name stands for, before it is evaluated. */
export type Declaration =
  | Import
  | { readonly kind: "variable"; readonly node: ts.VariableDeclaration; readonly constant: boolean }
  | { readonly kind: "function"; readonly node: ts.FunctionDeclaration }
  | { readonly kind: "type"; readonly node: ts.TypeAliasDeclaration | ts.InterfaceDeclaration }
  /** import * as name */
  | { readonly kind: "module"; readonly node: ts.Node; readonly from: string }
  /** A class, enum or namespace: reported where it is used. */
  | { readonly kind: "other"; readonly node: ts.Statement; readonly what: string };

/** One parsed file: its top-level names. Nothing is evaluated until a layer uses it; statements without names never are. */
export class Module {
  readonly path: string;
  readonly declarations = new Map<string, Declaration>();
  /** Exported name to local name, or to another module. */
  readonly exports = new Map<string, string | Import>();
  /** Modules whose exports this one passes on: `export * from`. */
  readonly stars: Import[] = [];
  /** Values of top-level names, once computed; "running" while they are. */
  readonly values = new Map<string, StaticValue | "running">();
  /** Imports of things that "unmoor" does not have. */
  readonly wrong: Diagnostic[] = [];

  readonly file: ts.SourceFile;

  constructor(file: ts.SourceFile) {
    this.file = file;
    this.path = pathOf(file);
    for (const statement of file.statements) this.#collect(statement);
  }

  /** Top-level constants that are calls of unmoor's `layer`. */
  get layers(): { readonly name: string; readonly call: ts.CallExpression }[] {
    const found = [];
    for (const [name, d] of this.declarations) {
      const call = d.kind === "variable" && d.constant ? unwrap(d.node.initializer) : undefined;
      if (call !== undefined && ts.isCallExpression(call) && this.#isLayer(call)) found.push({ name, call });
    }
    return found;
  }

  #isLayer({ expression }: ts.CallExpression): boolean {
    const callee = ts.isIdentifier(expression) ? this.declarations.get(expression.text) : undefined;
    return callee?.kind === "import" && callee.from === "unmoor" && callee.name === "layer";
  }

  /** Why the file declares no layer, where something in it looks as if it were to be one. */
  notALayer(): Problem | undefined {
    const help = 'Import it by name: import { layer, type Tensor } from "unmoor".';
    for (const [name, d] of this.declarations) {
      if (d.kind === "import" && d.from === "unmoor" && d.name === "default") {
        return problem("U073", d.node, '"unmoor" is imported as a whole', { help });
      }
      if (d.kind === "module" && d.from === "unmoor")
        return problem("U073", d.node, `${name} is a whole module`, { help });
      if (d.kind === "import" && d.name === "layer" && d.from !== "unmoor") {
        return problem("U003", d.node, `layer is imported from "${d.from}", not from "unmoor"`, { help });
      }
    }
    const calls: ts.CallExpression[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && this.#isLayer(node)) calls.push(node);
      else ts.forEachChild(node, visit);
    };
    visit(this.file);
    if (calls[0] !== undefined) return problem("U074", calls[0].expression, "this layer is no constant of the file");
    const [[passed, from] = []] = [...this.exports].filter(([, to]) => typeof to === "object");
    if (from === undefined || typeof from === "string") return undefined;
    return problem("U003", from.node, `${this.path} declares no layer: ${passed} comes from "${from.from}"`, {
      help: "Name the file that declares it.",
    });
  }

  #collect(statement: ts.Statement): void {
    const exported = ts.canHaveModifiers(statement)
      ? (ts.getModifiers(statement) ?? []).some((m) => m.kind === ts.SyntaxKind.ExportKeyword)
      : false;
    const declare = (name: ts.Identifier, declaration: Declaration): void => {
      this.#declare(name, declaration);
      if (exported) this.exports.set(name.text, name.text);
    };
    if (ts.isImportDeclaration(statement)) this.#collectImport(statement);
    else if (ts.isExportDeclaration(statement)) this.#collectExport(statement);
    else if (ts.isVariableStatement(statement)) {
      const constant = (statement.declarationList.flags & ts.NodeFlags.Const) !== 0;
      for (const node of statement.declarationList.declarations) {
        for (const name of boundIdentifiers(node.name)) declare(name, { kind: "variable", node, constant });
      }
    } else if (ts.isFunctionDeclaration(statement) && statement.name !== undefined) {
      declare(statement.name, { kind: "function", node: statement });
    } else if (ts.isTypeAliasDeclaration(statement) || ts.isInterfaceDeclaration(statement)) {
      declare(statement.name, { kind: "type", node: statement });
    } else if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
      declare(statement.name, { kind: "other", node: statement, what: "a class" });
    } else if (ts.isEnumDeclaration(statement)) {
      declare(statement.name, { kind: "other", node: statement, what: "an enum" });
    } else if (ts.isModuleDeclaration(statement) && ts.isIdentifier(statement.name)) {
      declare(statement.name, { kind: "other", node: statement, what: "a namespace" });
    }
  }

  /** Two values of one name, or two types, are an error; but overloads and interfaces add up. */
  #declare(name: ts.Identifier, declaration: Declaration): void {
    const before = this.declarations.get(name.text);
    const addsUp = before?.kind === "function" && before.node.body === undefined;
    const twice = before !== undefined && !addsUp && (before.kind === "type") === (declaration.kind === "type");
    const interfaces = [before, declaration].every((d) => d?.kind === "type" && ts.isInterfaceDeclaration(d.node));
    if (twice && !interfaces) this.wrong.push(diagnostic("U062", name, `${name.text} is declared twice`));
    else this.declarations.set(name.text, declaration);
  }

  #collectImport(statement: ts.ImportDeclaration): void {
    if (!ts.isStringLiteral(statement.moduleSpecifier)) return;
    const from = statement.moduleSpecifier.text;
    const clause = statement.importClause;
    if (clause?.name !== undefined) {
      this.#declare(clause.name, { kind: "import", from, name: "default", node: clause.name });
    }
    const bindings = clause?.namedBindings;
    if (bindings === undefined) return;
    if (ts.isNamespaceImport(bindings)) {
      this.#declare(bindings.name, { kind: "module", node: bindings, from });
      return;
    }
    for (const element of bindings.elements) {
      const name = (element.propertyName ?? element.name).text;
      if (from === "unmoor" && !builtinNames.includes(name) && !typeNames.includes(name)) {
        this.wrong.push(notInUnmoor(name, element));
      }
      this.#declare(element.name, { kind: "import", from, name, node: element });
    }
  }

  #collectExport(statement: ts.ExportDeclaration): void {
    const specifier = statement.moduleSpecifier;
    const from = specifier !== undefined && ts.isStringLiteral(specifier) ? specifier.text : undefined;
    const clause = statement.exportClause;
    if (clause === undefined) {
      if (from !== undefined) this.stars.push({ kind: "import", from, name: "*", node: statement });
    } else if (ts.isNamedExports(clause)) {
      for (const element of clause.elements) {
        const name = (element.propertyName ?? element.name).text;
        this.exports.set(element.name.text, from === undefined ? name : { kind: "import", from, name, node: element });
      }
    }
  }
}

function notInUnmoor(name: string, node: ts.Node): Diagnostic {
  const near = nearest(name, [...builtinNames, ...typeNames]);
  return diagnostic("U006", node, `"unmoor" has no ${name}`, {
    help:
      near === undefined
        ? `"unmoor" has the functions ${builtinWords}, and the types ${typeNames.join(", ")}.`
        : `Did you mean ${near}?`,
  });
}

/** All files of one compilation. */
export class Modules {
  readonly #sources: Sources;
  readonly #modules = new Map<string, Module>();

  /** Imports in any loaded file of things that "unmoor" does not have. */
  get wrong(): Diagnostic[] {
    return [...this.#modules.values()].flatMap((m) => m.wrong);
  }

  constructor(sources: Sources) {
    this.#sources = sources;
  }

  /** The files read so far. */
  get files(): ts.SourceFile[] {
    return [...this.#modules.values()].map((m) => m.file);
  }

  load(path: string, importedAt?: ts.Node): Module {
    const known = this.#modules.get(path);
    if (known !== undefined) return known;
    const module = new Module(this.#sources.parse(path, importedAt));
    this.#modules.set(path, module);
    return module;
  }

  /**
   * Where an import leads: a name of "unmoor", or a declaration in another file.
   * @throws Problem where there is no such file or name
   */
  follow(
    from: Module,
    wanted: Import,
  ): { readonly module: Module; readonly name: string } | { readonly builtin: string } {
    if (wanted.name === "default") {
      throw problem("U073", wanted.node, `"${wanted.from}" is imported as a whole`, {
        help: `Import the names that the layer uses: import { name } from "${wanted.from}".`,
      });
    }
    if (wanted.from === "unmoor") return { builtin: wanted.name };
    if (!wanted.from.startsWith(".")) {
      throw problem("U008", wanted.node, `a layer cannot use ${wanted.name} from "${wanted.from}"`, {
        expected: 'a name of "unmoor", or of a file of your own, imported by its relative path',
        help: "Nothing is executed when a layer is compiled, so only what can be read as source is of use in it.",
      });
    }
    const path = resolveImport(this.#sources.host, wanted.from, from.path);
    if (path === undefined)
      throw problem("U001", wanted.node, `cannot read "${wanted.from}", imported in ${from.path}`);
    const module = this.load(path, wanted.node);
    const found = this.#exported(module, wanted.name, new Set());
    if (found !== undefined) return found;
    throw this.#missing(module, wanted);
  }

  #exported(module: Module, name: string, seen: Set<Module>): ReturnType<Modules["follow"]> | undefined {
    if (seen.has(module)) return undefined;
    seen.add(module);
    const target = module.exports.get(name);
    if (typeof target === "string") return { module, name: target };
    if (target !== undefined) return this.follow(module, target);
    for (const star of module.stars) {
      if (!star.from.startsWith(".")) continue;
      const path = resolveImport(this.#sources.host, star.from, module.path);
      const found = path === undefined ? undefined : this.#exported(this.load(path, star.node), name, seen);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #missing(module: Module, wanted: Import): Problem {
    const names = [...module.exports.keys()];
    const near = nearest(wanted.name, names);
    return problem("U006", wanted.node, `${module.path} exports no ${wanted.name}`, {
      help:
        near !== undefined
          ? `Did you mean ${near}?`
          : module.declarations.has(wanted.name)
            ? `Write export before ${wanted.name} in ${module.path}.`
            : `It exports ${names.join(", ") || "nothing"}.`,
    });
  }
}

/** Without parentheses, `as` and `satisfies`. */
function unwrap(node: ts.Expression | undefined): ts.Expression | undefined {
  let inner = node;
  while (
    inner !== undefined &&
    (ts.isParenthesizedExpression(inner) || ts.isAsExpression(inner) || ts.isSatisfiesExpression(inner))
  ) {
    inner = inner.expression;
  }
  return inner;
}

/** Names that a declaration binds: one identifier, or those of a pattern. */
export const boundNames = (name: ts.BindingName): string[] => boundIdentifiers(name).map((n) => n.text);

function boundIdentifiers(name: ts.BindingName): ts.Identifier[] {
  if (ts.isIdentifier(name)) return [name];
  return name.elements.flatMap((e) => (ts.isOmittedExpression(e) ? [] : boundIdentifiers(e.name)));
}
