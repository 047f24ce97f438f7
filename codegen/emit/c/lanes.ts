import { IrError } from "../../../ir/core/diagnostic.ts";
import { formatScalar, type ScalarExpr, type ScalarOp, type ScalarType } from "../../../ir/core/scalar.ts";
import type { Names } from "../c-family/names.ts";
import { bare } from "../c-family/parentheses.ts";
import { expansions, type Primitive } from "./expansions.ts";
import { type InstructionTable, instructionFor, literal } from "./isa.ts";

/** A parameter of a lane function: a vector, or a scalar that every lane sees. */
export interface LaneParameter {
  readonly name: string;
  readonly type: ScalarType;
  readonly uniform: boolean;
}

type Node =
  | { readonly kind: "const"; readonly type: ScalarType; readonly value: number }
  | { readonly kind: "param"; readonly param: LaneParameter }
  | { readonly kind: "op"; readonly op: string; readonly type: ScalarType; readonly args: readonly number[] }
  | { readonly kind: "call"; readonly op: ScalarOp; readonly args: readonly number[] };

const comparisons: ReadonlySet<Primitive> = new Set(["lt", "eq"]);

/** An expression as a list of instructions, each computed once. */
class Graph {
  readonly nodes: Node[] = [];
  readonly #known = new Map<string, number>();

  add(node: Node): number {
    const key = JSON.stringify(node, (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v));
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.nodes.length);
    return this.nodes.push(node) - 1;
  }
}

/** The first operation of an expression that a table neither has nor can be given by an expansion. */
export function missingInstruction(expr: ScalarExpr, table: InstructionTable): string | undefined {
  if (expr.kind !== "apply") return undefined;
  const key = instructionFor(expr.op, expr.args);
  if (!table.has(key) && !expansions[expr.op]) return key;
  for (const arg of expr.args) {
    const missing = missingInstruction(arg, table);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** Lane functions of one source file, one per distinct expression and table; and the tables of bytes that it reads. */
export class LaneFunctions {
  readonly #names: Names;
  /** Local names of the kernel that is being printed: a function must not be hidden by one. */
  locals: Names | undefined;
  readonly #functions = new Map<string, { readonly name: string; readonly lines: readonly string[] }>();

  constructor(names: Names) {
    this.#names = names;
  }

  /** Definitions, callees first. */
  *lines(): Generator<string> {
    for (const { lines } of this.#functions.values()) {
      yield* lines;
      yield "";
    }
  }

  /**
   * The name of a static inline function that computes `expr` lane by lane with a table's instructions. Variables of `expr` are
   * the parameters. Throws IrError for an operation that the table lacks.
   */
  define(hint: string, expr: ScalarExpr, params: readonly LaneParameter[], table: InstructionTable): string {
    const key = `${table.isa.lanes} ${params.map((p) => `${p.name}:${p.type}:${p.uniform}`).join(",")} ${formatScalar(expr)}`;
    const known = this.#functions.get(key);
    if (known) return known.name;
    const graph = new Graph();
    const result = this.#lower(expr, new Map(params.map((p) => [p.name, p])), graph, table);
    const name = this.#names.unique(hint, this.locals);
    this.#functions.set(key, {
      name,
      lines: this.#print(name, bare(formatScalar(expr)), params, graph, result, expr.type, table),
    });
    return name;
  }

  /** The name of a table of bytes. */
  bytes(hint: string, values: readonly number[]): string {
    const key = `bytes ${values.join()}`;
    const known = this.#functions.get(key);
    if (known) return known.name;
    const name = this.#names.unique(hint, this.locals);
    const lines = [`static _Alignas(16) const uint8_t ${name}[${values.length}] = {${values.join(", ")}};`];
    this.#functions.set(key, { name, lines });
    return name;
  }

  /** The name of the function that stands for an operation which the table lacks. */
  expansion(op: ScalarOp, table: InstructionTable): string {
    const expansion = expansions[op];
    if (!expansion) {
      throw new IrError(
        `${table.isa.name} has no instruction for ${op}.f32`,
        `Write the layer without ${op}, or add ${op}.f32 to the instruction table of ${table.isa.name}.`,
      );
    }
    const key = `${table.isa.lanes} expansion ${op}`;
    const known = this.#functions.get(key);
    if (known) return known.name;
    const graph = new Graph();
    const param: LaneParameter = { name: "x", type: "f32", uniform: false };
    const result = expansion.build<number>(
      {
        constant: (value) => graph.add({ kind: "const", type: "f32", value }),
        apply: (primitive, ...args) =>
          graph.add({ kind: "op", op: `${primitive}.f32`, type: comparisons.has(primitive) ? "bool" : "f32", args }),
      },
      graph.add({ kind: "param", param }),
    );
    const hint = table.isa.lanes === 1 ? `${op}_f32` : `${op}_f32x${table.isa.lanes}`;
    const name = this.#names.unique(hint, this.locals);
    this.#functions.set(key, {
      name,
      lines: this.#print(name, expansion.summary, [param], graph, result, "f32", table),
    });
    return name;
  }

  #lower(expr: ScalarExpr, params: ReadonlyMap<string, LaneParameter>, graph: Graph, table: InstructionTable): number {
    switch (expr.kind) {
      case "const":
        return graph.add({ kind: "const", type: expr.type, value: expr.value });
      case "var": {
        const param = params.get(expr.name);
        if (!param) throw new IrError(`${expr.name} is not in scope`, "Bind it as an input, or define it before.");
        return graph.add({ kind: "param", param });
      }
      case "apply": {
        const op = instructionFor(expr.op, expr.args);
        const args = expr.args.map((a) => this.#lower(a, params, graph, table));
        if (table.has(op)) return graph.add({ kind: "op", op, type: expr.type, args });
        this.expansion(expr.op, table);
        return graph.add({ kind: "call", op: expr.op, args });
      }
      case "element":
        throw new IrError("an element cannot be read lane by lane", "Read it into a scalar before.");
    }
  }

  #print(
    name: string,
    comment: string,
    params: readonly LaneParameter[],
    graph: Graph,
    result: number,
    type: ScalarType,
    table: InstructionTable,
  ): string[] {
    const scalarTypes = { f32: "float", i32: "int32_t", bool: "bool" } as const;
    const { types, lanes } = table.isa;
    const typeOf = (p: LaneParameter): string => (p.uniform && lanes > 1 ? scalarTypes[p.type] : types[p.type]);
    const uses = graph.nodes.map(() => 0);
    for (const node of graph.nodes) {
      if (node.kind === "op" || node.kind === "call") for (const a of node.args) uses[a] = (uses[a] ?? 0) + 1;
    }
    const texts: string[] = [];
    const body: string[] = [];
    const spread = (of: ScalarType, value: string): string => table.text(`broadcast.${of}`, { a: value });
    for (const [i, node] of graph.nodes.entries()) {
      const [a = "", b = "", c = ""] = "args" in node ? node.args.map((n) => texts[n] ?? "") : [];
      switch (node.kind) {
        case "const":
          texts[i] = spread(node.type, literal(node.type, node.value));
          continue;
        case "param":
          texts[i] = node.param.uniform ? spread(node.param.type, node.param.name) : node.param.name;
          continue;
        case "op":
          texts[i] = table.text(node.op, { a, b, c });
          break;
        case "call":
          texts[i] = `${this.expansion(node.op, table)}(${a})`;
          break;
      }
      if (i === result) continue;
      const nodeType = node.kind === "op" ? node.type : "f32";
      const temporary = `t${body.length + 1}`;
      body.push(`  const ${types[nodeType]} ${temporary} = ${texts[i]};`);
      texts[i] = temporary;
    }
    return [
      `/* ${comment.replaceAll("*/", "* /")} */`,
      `static inline ${types[type]} ${name}(${params.map((p) => `${typeOf(p)} ${p.name}`).join(", ") || "void"}) {`,
      ...body,
      `  return ${texts[result]};`,
      "}",
    ];
  }
}
