import { assumed } from "./figures.ts";
import { functions } from "./functions.ts";
import { isInstruction } from "./instructions.ts";
import type { Expr, KernelText, Statement } from "./parse.ts";

/** The type arguments of a call. */
export const typesIn = (e: Expr | undefined): string => (e?.kind === "call" ? e.types : "");

/** Operations of the scalar unit in an expression. */
export function operations(e: Expr): number {
  let count = 0;
  for (const part of parts(e)) {
    const helper = part.kind === "call" && Object.hasOwn(functions, part.callee) && !/_cast$|^void$/.test(part.callee);
    if (helper || /^(unary|binary|conditional)$/.test(part.kind)) count++;
  }
  return count * assumed.operation;
}

/** An expression and all in it. */
export function* parts(e: Expr): Generator<Expr> {
  yield e;
  switch (e.kind) {
    case "unary":
      yield* parts(e.arg);
      return;
    case "binary":
      yield* parts(e.a);
      yield* parts(e.b);
      return;
    case "conditional":
      yield* parts(e.condition);
      yield* parts(e.then);
      yield* parts(e.otherwise);
      return;
    case "call":
      for (const a of e.args) yield* parts(a);
      return;
    case "method":
      yield* parts(e.object);
      for (const a of e.args) yield* parts(a);
      return;
    case "index":
      yield* parts(e.object);
      yield* parts(e.index);
      return;
    case "member":
      yield* parts(e.object);
      return;
    default:
  }
}

/** The expressions of a statement itself, without those of its lists. */
export function expressionsOf(s: Statement): readonly Expr[] {
  switch (s.kind) {
    case "for":
      return [s.from, s.to, s.step];
    case "if":
      return [s.condition];
    case "declare":
      return [...(s.value ? [s.value] : []), ...s.args];
    case "assign":
      return [s.target, s.value];
    case "expression":
      return [s.value];
  }
}

export const listsOf = (s: Statement): readonly (readonly Statement[])[] =>
  s.kind === "for" ? [s.body] : s.kind === "if" ? [s.then, s.otherwise] : [];

/** Whether a statement transfers, or changes a value that others may read. */
export function reachesMemory(s: Statement): boolean {
  for (const e of expressionsOf(s))
    for (const part of parts(e)) {
      // Products and the way to them change no integers.
      if (part.kind === "call" && isInstruction(part.callee) && !/^(LoadData|Mmad)$/.test(part.callee)) return true;
      if (part.kind === "method" && part.name === "SetValue") return true;
    }
  return listsOf(s).some((list) => list.some(reachesMemory));
}

/** Where a kernel's body goes through its blocks: in a loop or under a condition, by GetBlockIdx or a scalar made of it. */
export function blockLoopOf({ body }: KernelText): number {
  const indices = new Set<string>();
  const usesIndex = (e: Expr): boolean =>
    [...parts(e)].some(
      (part) =>
        (part.kind === "call" && part.callee === "GetBlockIdx") || (part.kind === "name" && indices.has(part.name)),
    );
  return body.findIndex((s) => {
    if (s.kind === "declare" && s.value && usesIndex(s.value)) indices.add(s.name);
    return s.kind === "for" ? usesIndex(s.from) : s.kind === "if" && usesIndex(s.condition);
  });
}
