import { IrError } from "../core/diagnostic.ts";
import {
  apply,
  bool,
  element,
  f32,
  i32,
  type ScalarExpr,
  type ScalarFunction,
  type ScalarOp,
  type ScalarType,
  scalarOps,
  variable,
} from "../core/scalar.ts";
import type { Cursor } from "./cursor.ts";

/** Infix operators by precedence, loosest first; those of one level associate to the left. */
const levels: readonly (readonly (readonly [string, ScalarOp])[])[] = [
  [["||", "or"]],
  [["&&", "and"]],
  [["==", "eq"]],
  [
    ["<=", "le"],
    ["<", "lt"],
  ],
  [
    ["+", "add"],
    ["-", "sub"],
  ],
  [
    ["*", "mul"],
    ["//", "floorDiv"],
    ["/", "div"],
    ["%", "mod"],
  ],
];

/** What names mean in an expression. */
export interface ScalarScope {
  /** The type of a scalar; undefined where there is none of that name. */
  variable(name: string): ScalarType | undefined;
  /** The type of the elements of a buffer or tile; undefined where there is none of that name. */
  element(base: string): ScalarType | undefined;
  /** What could stand for an unknown name, for messages: "x, y". */
  readonly known: string;
  /** What a plain name is, for messages, and how to mend an unknown one. */
  readonly noun: string;
  readonly help: string;
}

const isScalarOp = (name: string): name is ScalarOp => Object.hasOwn(scalarOps, name);

/**
 * Reads `(g, u) => ((g * 2.0) + u)`. Numbers with a point or an exponent are f32, others i32. Inside parentheses `//` is the
 * division of whole numbers; outside it begins a comment.
 */
export function parseScalarFunction(cursor: Cursor): ScalarFunction {
  const params: string[] = [];
  cursor.expect("(", "Write a function as (x, y) => expression.");
  if (!cursor.accept(")")) {
    do {
      const name = cursor.match(/[A-Za-z_]\w*/y);
      params.push(name ?? cursor.unexpected("a parameter's name", "Write a function as (x, y) => expression."));
    } while (cursor.accept(","));
    cursor.expect(")", "Separate parameters by commas.");
  }
  cursor.expect("=>", "Write a function as (x, y) => expression.");
  const scope: ScalarScope = {
    variable: (name) => (params.includes(name) ? "f32" : undefined),
    element: () => undefined,
    known: params.join(", "),
    noun: "parameter",
    help: "Mend the name, or make it a parameter.",
  };
  return { params, body: parseLevel(cursor, scope, 0, 0) };
}

/** Reads an expression; `//` divides whole numbers in all of it. */
export const parseScalar = (cursor: Cursor, scope: ScalarScope): ScalarExpr => parseLevel(cursor, scope, 0, 1);

function parseLevel(cursor: Cursor, scope: ScalarScope, level: number, depth: number): ScalarExpr {
  const operators = levels[level];
  if (operators === undefined) return parsePrimary(cursor, scope, depth);
  let left = parseLevel(cursor, scope, level + 1, depth);
  for (;;) {
    const comments = depth === 0;
    cursor.skip(comments);
    const start = cursor.position;
    const operator = operators.find(([mark]) => cursor.accept(mark, comments));
    if (operator === undefined) return left;
    const right = parseLevel(cursor, scope, level + 1, depth);
    left = applied(cursor, start, operator[1], [left, right]);
  }
}

function parsePrimary(cursor: Cursor, scope: ScalarScope, depth: number): ScalarExpr {
  if (cursor.accept("(")) {
    const inner = parseLevel(cursor, scope, 0, depth + 1);
    cursor.expect(")", "Close the parenthesis.");
    return inner;
  }
  const number = cursor.match(/-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?/y);
  if (number !== undefined) return /[.eE]/.test(number) ? f32(Number(number)) : i32(Number(number));
  if (cursor.accept("-inf")) return f32(Number.NEGATIVE_INFINITY);
  cursor.skip();
  const start = cursor.position;
  const name = cursor.match(/[A-Za-z_]\w*/y);
  if (name === undefined)
    return cursor.unexpected("an expression", "Write a number, a parameter, a function such as exp(x), or ( … ).");
  // A scalar may be named like a function: only the parenthesis tells.
  if (isScalarOp(name) && cursor.accept("(")) {
    const args: ScalarExpr[] = [];
    do args.push(parseLevel(cursor, scope, 0, depth + 1));
    while (cursor.accept(","));
    cursor.expect(")", "Close the parenthesis.");
    return applied(cursor, start, name, args);
  }
  const type = scope.variable(name);
  if (type !== undefined) return variable(name, type);
  const elementType = scope.element(name);
  if (elementType !== undefined) return element(name, elementType, parseIndices(cursor, scope));
  if (name === "true" || name === "false") return bool(name === "true");
  if (name === "inf") return f32(Number.POSITIVE_INFINITY);
  if (name === "nan") return f32(Number.NaN);
  if (isScalarOp(name)) return cursor.unexpected('"("', `Write ${name}( … ).`);
  return cursor.fail({
    code: "U101",
    span: cursor.span(start, cursor.position),
    message: `${name} is neither a ${scope.noun} nor a scalar function`,
    expected: `${scope.known} or one of ${Object.keys(scalarOps).join(", ")}`,
    found: name,
    help: scope.help,
  });
}

function parseIndices(cursor: Cursor, scope: ScalarScope): ScalarExpr[] {
  const index: ScalarExpr[] = [];
  cursor.expect("[", "Write an element as base[index, …].");
  if (cursor.accept("]")) return index;
  do index.push(parseScalar(cursor, scope));
  while (cursor.accept(","));
  cursor.expect("]", "Close the index.");
  return index;
}

function applied(cursor: Cursor, start: number, op: ScalarOp, args: readonly ScalarExpr[]): ScalarExpr {
  try {
    return apply(op, ...args);
  } catch (error) {
    if (!(error instanceof IrError)) throw error;
    const span = cursor.span(start, cursor.position);
    return cursor.fail({ code: "U102", span, message: error.message, help: error.help });
  }
}
