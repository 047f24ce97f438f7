import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Attribute, AttributeMap, Layer, Operation, Value } from "../core/layer.ts";
import { formatScalar, type ScalarFunction, substitute, variable } from "../core/scalar.ts";
import type { Span } from "../core/span.ts";
import { formatType } from "../core/types.ts";
import { isScalarFunction } from "../ops/attributes.ts";

export interface PrintOptions {
  /** Also print each operation's place in the source: `@ "file":line:column:length`. */
  readonly spans?: boolean;
}

/** Words that stand for themselves where a name may stand as well. */
const reservedWords = new Set(["true", "false"]);

/** Constants in the text of a scalar function. */
const scalarWords = new Set(["true", "false", "inf", "nan"]);

/**
 * The textual form of a layer (.moe). Parsing it and printing again gives the same text. Values whose names occur twice get a
 * suffix; a layer whose names are unique keeps them.
 */
export function printLayer(layer: Layer, options: PrintOptions = {}): string {
  const names = uniqueNames(layer);
  const value = (v: Value): string => {
    const name = names.get(v);
    if (name === undefined) throw new IrError(`${v.name} is used but not defined`, "Check the layer with checkLayer.");
    return `%${word(name)}`;
  };
  const place = (span: Span): string => (options.spans === true && span.file !== "" ? ` @ ${printSpan(span)}` : "");
  const typed = (v: Value): string => `${value(v)}: ${formatType(v.type)}`;

  const printOperation = (operation: Operation, indent: string): string[] => {
    const { op, operands, attributes, regions, results, span } = operation;
    const options = Object.keys(attributes).length === 0 ? "" : ` ${printMap(attributes)}`;
    const types = results.map((r) => formatType(r.type)).join(", ");
    const lines = [`${indent}${results.map(value).join(", ")} = ${op}(${operands.map(value).join(", ")})${options}`];
    const append = (text: string) => lines.push(`${lines.pop()}${text}`);
    for (const region of regions) {
      append(` (${region.args.map(typed).join(", ")}) {`);
      for (const inner of region.body) lines.push(...printOperation(inner, `${indent}  `));
      lines.push(`${indent}  yield ${region.results.map(value).join(", ")}`, `${indent}}`);
    }
    append(` : ${types}${place(span)}`);
    return lines;
  };

  const params = Object.keys(layer.params).length === 0 ? "" : ` ${printMap(layer.params)}`;
  const args = layer.args.map((a) => `  ${a.role} ${a.storage} ${typed(a.value)}`).join(",\n");
  const config = layer.config === undefined ? "" : ` config ${printMap(layer.config.params)}`;
  const requires = layer.config === undefined ? "" : optional("requires", layer.config.requires);
  const bindings = optional("bind", layer.bindings);
  const results = layer.results.map((r) => `${word(r.name)} = ${value(r.value)}`).join(", ");
  return [
    `layer @${word(layer.name)}${params} (${args === "" ? "" : `\n${args}\n`})${config}${requires}${bindings}${place(layer.span)} {`,
    ...layer.body.flatMap((operation) => printOperation(operation, "  ")),
    `  return ${results}`.trimEnd(),
    "}",
    "",
  ].join("\n");
}

const optional = (word: string, map: AttributeMap): string =>
  Object.keys(map).length === 0 ? "" : ` ${word} ${printMap(map)}`;

/** A name as it is where it is a plain word, else quoted. */
const word = (name: string): string =>
  /^[A-Za-z_][\w.]*$/.test(name) && !reservedWords.has(name) ? name : JSON.stringify(name);

const printSpan = (s: Span): string => `${JSON.stringify(s.file)}:${s.line}:${s.column}:${s.length}`;

const printMap = (map: AttributeMap): string =>
  `{${Object.entries(map)
    .map(([name, v]) => `${word(name)} = ${formatAttribute(v)}`)
    .join(", ")}}`;

/** The text of one attribute, or of a whole map of them. */
export function formatAttribute(value: Attribute): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new IrError(`${value} is no attribute`, "Use finite numbers.");
    return Object.is(value, -0) ? "-0" : String(value);
  }
  if (value instanceof Dim) return value.toString();
  if (isScalarFunction(value)) return printFunction(value);
  if (Array.isArray(value)) return `[${value.map(formatAttribute).join(", ")}]`;
  return printMap(value as AttributeMap);
}

/** Parameters that are no plain words get plain names: their names mean nothing. */
function printFunction({ params, body }: ScalarFunction): string {
  const plain = params.every((p) => /^[A-Za-z_]\w*$/.test(p) && !scalarWords.has(p));
  const names = plain ? params : params.map((_, i) => `x${i}`);
  const renamed = plain ? body : substitute(body, new Map(params.map((p, i) => [p, variable(names[i], "f32")])));
  return `(${names.join(", ")}) => ${formatScalar(renamed)}`;
}

function uniqueNames(layer: Layer): Map<Value, string> {
  const defined: Value[] = layer.args.map((a) => a.value);
  const collect = (body: readonly Operation[]): void => {
    for (const operation of body) {
      for (const region of operation.regions) {
        defined.push(...region.args);
        collect(region.body);
      }
      defined.push(...operation.results);
    }
  };
  collect(layer.body);
  const wanted = new Set(defined.map((v) => v.name));
  const taken = new Set<string>();
  const names = new Map<Value, string>();
  for (const v of defined) {
    let name = v.name;
    for (let i = 1; taken.has(name); i++) {
      const candidate = `${v.name}_${i}`;
      // A suffixed name must not take the name that another value has by itself.
      if (!wanted.has(candidate)) name = candidate;
    }
    taken.add(name);
    names.set(v, name);
  }
  return names;
}
