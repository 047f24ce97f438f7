import { IrError } from "../../../ir/core/diagnostic.ts";
import { formatSpan } from "../../../ir/core/span.ts";
import { expressionsOf, subexpressions } from "../../tile/shape.ts";
import type { Kernel, Statement } from "../../tile/types.ts";
import { identifier, Names, sizeIdentifier } from "../c-family/names.ts";
import { dimText } from "../c-family/offset.ts";
import { CodeWriter } from "../c-family/writer.ts";
import { elementTypes, type FileContext, Scope } from "./scope.ts";
import { emitStatements } from "./statements.ts";

/**
 * A kernel as a static function over a range of its blocks.
 * @param fields C names of the argument structure's members, by buffer name
 */
export function emitKernel(
  file: FileContext,
  kernel: Kernel,
  name: string,
  fields: ReadonlyMap<string, string>,
  symbols: readonly string[],
  structure: string,
  outer: Names,
): string {
  const names = new Names(["args", "arguments", "work", "first_work", "end_work"], outer);
  const out = new CodeWriter(names);
  const scope = new Scope(file, out, names, identifier(kernel.name));
  file.functions.locals = names;
  const source = kernel.origin.span.file === "" ? "" : `, ${formatSpan(kernel.origin.span)}`;
  out.line(`/* ${`${kernel.origin.op}: ${kernel.origin.summary}`.replaceAll("*/", "* /")}${source} */`);
  out.block(`static void ${name}(const void *arguments, int64_t first_work, int64_t end_work)`, () => {
    out.line(`const ${structure} *const args = arguments;`);
    const used = usedSymbols(kernel);
    for (const symbol of symbols) {
      if (!used.has(symbol)) continue;
      const variable = sizeIdentifier(symbol);
      out.line(`const int64_t ${variable} = args->${variable};`);
      scope.bind(symbol, { kind: "scalar", name: variable, type: "i32" });
    }
    for (const buffer of kernel.buffers) {
      const type = elementTypes[buffer.dtype];
      const field = fields.get(buffer.name);
      if (type === undefined) {
        throw new IrError(
          `buffer ${buffer.name} has elements of type ${buffer.dtype}, which simd-c does not know`,
          "Use f32, bf16 or i32.",
        );
      }
      if (field === undefined) throw new IrError(`${buffer.name} is no buffer of the program`, "Declare it there.");
      const pointer = names.unique(buffer.name);
      const qualifier = buffer.access === "read" ? "const " : "";
      out.line(`${qualifier}${type} *restrict const ${pointer} = args->${field};`);
      scope.bind(buffer.name, { kind: "memory", name: pointer, dtype: buffer.dtype, dims: buffer.dims, global: true });
    }
    if (kernel.grid.length === 0) {
      out.block("for (int64_t work = first_work; work < end_work; work++)", () => emitStatements(scope, kernel.body));
      return;
    }
    out.block("for (int64_t work = first_work; work < end_work; work++)", () => {
      let inner = "";
      for (const [d, axis] of kernel.grid.entries()) {
        const rest = kernel.grid.slice(d + 1).map((g) => dimText(g.extent));
        inner = rest.map((r) => (/^\w+$/.test(r) ? r : `(${r})`)).join(" * ");
        const place = inner === "" ? "work" : rest.length > 1 ? `work / (${inner})` : `work / ${inner}`;
        const extent = dimText(axis.extent);
        const text = d === 0 ? place : `${place} % ${/^\w+$/.test(extent) ? extent : `(${extent})`}`;
        const axisName = names.unique(axis.name);
        out.line(`const int64_t ${axisName} = ${text};`);
        scope.bind(axis.name, { kind: "scalar", name: axisName, type: "i32" });
      }
      emitStatements(scope, kernel.body);
    });
  });
  return out.toString();
}

/** Symbols that the C of a kernel names: in strides, in extents of its grid, in expressions. */
function usedSymbols(kernel: Kernel): ReadonlySet<string> {
  const used = new Set(
    [...kernel.buffers.flatMap((b) => b.dims.slice(1)), ...kernel.grid.slice(1).map((g) => g.extent)].flatMap(
      (d) => d.symbols,
    ),
  );
  const visit = (list: readonly Statement[]): void => {
    for (const s of list) {
      for (const expr of expressionsOf(s)) {
        for (const part of subexpressions(expr)) if (part.kind === "var") used.add(part.name);
      }
      if (s.kind === "for") visit(s.body);
      if (s.kind === "if") visit([...s.then, ...s.otherwise]);
    }
  };
  visit(kernel.body);
  return used;
}
