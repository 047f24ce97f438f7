import { IrError } from "./diagnostic.ts";
import { apply, i32, type ScalarExpr, type ScalarFunction, variable } from "./scalar.ts";

const same = new Set(["add", "sub", "mul", "min", "max", "lt", "le", "eq", "and", "or", "not", "select"]);

const wrong = (message: string, help: string): never => {
  throw new IrError(message, help);
};

/**
 * A function of floats as the function of whole numbers that it is over tensors of i32: sums, products, comparisons and choices
 * stay; floor(a / b) divides whole numbers. Throws IrError for what gives no whole number.
 */
export const integerForm = ({ params, body }: ScalarFunction): ScalarFunction => ({ params, body: whole(body) });

function whole(expr: ScalarExpr): ScalarExpr {
  if (expr.kind === "var") return variable(expr.name, "i32");
  if (expr.kind === "const") {
    if (expr.type !== "f32") return expr;
    // −0 is 0.
    return expr.value === (expr.value | 0)
      ? i32(expr.value | 0)
      : wrong(`${expr.value} is no whole number of 32 bits`, "Use whole numbers over i32, or cast the tensors to f32.");
  }
  if (expr.kind === "element") return expr;
  const [a, b] = expr.args;
  if (same.has(expr.op)) return apply(expr.op, ...expr.args.map(whole));
  if (a !== undefined && expr.op === "neg") return apply("sub", i32(0), whole(a));
  if (a !== undefined && expr.op === "abs") return apply("max", whole(a), apply("sub", i32(0), whole(a)));
  if (a !== undefined && expr.op === "floor") {
    if (a.kind !== "apply" || a.op !== "div") return whole(a);
    const [dividend, divisor] = a.args.map(whole);
    if (dividend !== undefined && divisor?.kind === "const" && divisor.value > 0)
      return apply("floorDiv", dividend, divisor);
    return wrong("whole numbers are divided by a constant above 0", "Divide by a number or a parameter.");
  }
  if (b !== undefined && expr.op === "div")
    return wrong("a quotient of i32 may be no whole number", "Write Math.floor(a / b), or cast the tensors to f32.");
  return wrong(`${expr.op} of i32 gives no whole number`, `Cast the tensors to f32: ${expr.op} works on floats.`);
}

/** Whether whole numbers are divided, which no target's vectors do. */
export const divides = (expr: ScalarExpr): boolean =>
  expr.kind === "apply" && (expr.op === "floorDiv" || expr.op === "mod" || expr.args.some(divides));
