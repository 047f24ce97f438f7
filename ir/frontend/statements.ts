import { ts } from "ts-morph";
import type { Machine } from "./machine.ts";
import { boundNames } from "./module.ts";
import { binary, truth } from "./operators.ts";
import type { Scope } from "./scope.ts";
import { Problem, problem } from "./source.ts";
import { describe, numberValue, type StaticValue, undefinedValue, unknownValue } from "./values.ts";

const K = ts.SyntaxKind;

/** How a statement ended, where it does not simply go on. */
export type Completion =
  | { readonly kind: "return"; readonly value: StaticValue }
  | { readonly kind: "break" | "continue" };

/** Statements outside the language: their name, and what to write instead. */
const outside: Partial<Record<ts.SyntaxKind, readonly [name: string, help: string]>> = {
  [K.WhileStatement]: ["while", "Write for (const i of range(n)) with a number of rounds known at compile time."],
  [K.DoStatement]: ["do … while", "Write for (const i of range(n)) with a number of rounds known at compile time."],
  [K.ForStatement]: ["for (;;)", "Write for (const i of range(n)) { … }."],
  [K.ForInStatement]: ["for … in", "Write for (const item of items) over an array."],
  [K.ClassDeclaration]: ["class", "Write functions and constants."],
  [K.SwitchStatement]: ["switch", "Write if … else, or look the value up in an object."],
  [K.TryStatement]: ["try", "Nothing is executed when a layer is compiled, so nothing can be caught. Leave it out."],
  [K.ThrowStatement]: ["throw", "Nothing is executed when a layer is compiled. Leave it out."],
  [K.WithStatement]: ["with", "Name the members one by one."],
  [K.LabeledStatement]: ["label", "Leave the loop by returning from a helper function."],
  [K.EnumDeclaration]: ["enum", "Write constants."],
  [K.DebuggerStatement]: ["debugger", "Step through the layer as an ordinary function, outside of it."],
};

/**
 * Runs the statements of a block. A statement that fails is reported, the names it declares are unknown, and the ones after it
 * are still looked at, so that independent errors are reported together.
 */
export function runBlock(
  machine: Machine,
  statements: readonly ts.Statement[],
  scope: Scope,
  hint?: string,
): Completion | undefined {
  for (const statement of statements) {
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) {
        for (const bound of boundNames(name)) scope.announce(bound);
      }
    }
    if (!ts.isFunctionDeclaration(statement) || statement.name === undefined || statement.body === undefined) continue;
    if (scope.has(statement.name.text)) {
      machine.report(problem("U062", statement.name, `${statement.name.text} is declared twice`));
    }
    scope.declare(statement.name.text, { kind: "function", node: statement, scope });
  }
  let failed = false;
  for (const statement of statements) {
    try {
      const completion = runStatement(machine, statement, scope, hint);
      if (completion !== undefined) return completion;
    } catch (error) {
      machine.report(error);
      failed = true;
      if (ts.isReturnStatement(statement)) break;
      if (ts.isVariableStatement(statement)) {
        for (const { name } of statement.declarationList.declarations) {
          for (const bound of boundNames(name)) scope.declare(bound, unknownValue, true);
        }
      } else forget(statement, scope);
    }
  }
  return failed ? { kind: "return", value: unknownValue } : undefined;
}

/** What a statement that failed may have assigned is unknown. */
function forget(node: ts.Node, scope: Scope): void {
  const target = ts.isBinaryExpression(node)
    ? node.left
    : ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)
      ? node.operand
      : undefined;
  if (target !== undefined && ts.isIdentifier(target)) scope.assign(target.text, unknownValue);
  ts.forEachChild(node, (child) => forget(child, scope));
}

function runStatement(machine: Machine, statement: ts.Statement, scope: Scope, hint?: string): Completion | undefined {
  if (ts.isVariableStatement(statement)) declare(machine, statement.declarationList, scope);
  else if (ts.isReturnStatement(statement)) {
    const value =
      statement.expression === undefined ? undefinedValue : machine.evaluate(statement.expression, scope, hint);
    return { kind: "return", value };
  } else if (ts.isExpressionStatement(statement)) runExpression(machine, statement.expression, scope);
  else if (ts.isIfStatement(statement)) {
    const holds = truth(machine.evaluate(statement.expression, scope), statement.expression);
    const branch = holds ? statement.thenStatement : statement.elseStatement;
    return branch === undefined ? undefined : runBlock(machine, statementsOf(branch), scope.block(), hint);
  } else if (ts.isForOfStatement(statement)) return loop(machine, statement, scope, hint);
  else if (ts.isBlock(statement)) return runBlock(machine, statement.statements, scope.block(), hint);
  else if (ts.isBreakStatement(statement) && statement.label === undefined) return { kind: "break" };
  else if (ts.isContinueStatement(statement) && statement.label === undefined) return { kind: "continue" };
  else if (
    !ts.isFunctionDeclaration(statement) &&
    !ts.isEmptyStatement(statement) &&
    !ts.isTypeAliasDeclaration(statement) &&
    !ts.isInterfaceDeclaration(statement)
  ) {
    const [name, help] = outside[statement.kind] ?? ["this statement", undefined];
    const at = statement.getFirstToken() ?? statement;
    throw problem("U009", at, `${name} is outside the language`, help === undefined ? {} : { help });
  }
  return undefined;
}

const statementsOf = (statement: ts.Statement): readonly ts.Statement[] =>
  ts.isBlock(statement) ? statement.statements : [statement];

function declare(machine: Machine, list: ts.VariableDeclarationList, scope: Scope): void {
  const assignable = (list.flags & ts.NodeFlags.Let) !== 0;
  if (!assignable && (list.flags & ts.NodeFlags.Const) === 0) {
    throw problem("U009", list.getFirstToken() ?? list, "var is outside the language", {
      help: "Write const, or let.",
    });
  }
  for (const { name, initializer } of list.declarations) {
    const hint = ts.isIdentifier(name) ? name.text : undefined;
    const value = initializer === undefined ? undefinedValue : machine.evaluate(initializer, scope, hint);
    machine.bind(name, value, scope, assignable);
  }
}

function loop(machine: Machine, statement: ts.ForOfStatement, scope: Scope, hint?: string): Completion | undefined {
  const list = statement.initializer;
  if (statement.awaitModifier !== undefined) {
    throw problem("U009", statement.awaitModifier, "await is outside the language", {
      help: "A layer computes at once. Leave await out.",
    });
  }
  const items = machine.evaluate(statement.expression, scope);
  if (items.kind === "unknown") throw new Problem(undefined);
  if (items.kind !== "array") {
    throw problem("U025", statement.expression, `for … of does not go over ${describe(items)}`, {
      expected: "an array, or range(n)",
    });
  }
  const [declaration] = ts.isVariableDeclarationList(list) ? list.declarations : [];
  if (declaration === undefined)
    throw problem("U009", list, "for … of declares its own variable", { help: "Write for (const item of items)." });
  for (const item of items.items) {
    const inner = scope.block();
    machine.bind(declaration.name, item, inner, false);
    const completion = runBlock(machine, statementsOf(statement.statement), inner, hint);
    if (completion?.kind === "return") return completion;
    if (completion?.kind === "break") break;
  }
  return undefined;
}

/** Assignments are statements; other expressions are evaluated for the errors in them. */
function runExpression(machine: Machine, node: ts.Expression, scope: Scope): void {
  const change = changeOf(machine, node, scope);
  if (change === undefined) machine.evaluate(node, scope);
  else assign(change.name, change.value, node, scope);
}

/** What `name = …`, `name += …`, `name++` assign; undefined for other expressions. */
function changeOf(
  machine: Machine,
  node: ts.Expression,
  scope: Scope,
): { readonly name: string; readonly value: StaticValue } | undefined {
  if (ts.isBinaryExpression(node)) {
    const operator = compound[node.operatorToken.kind];
    if (operator === undefined && node.operatorToken.kind !== K.EqualsToken) return undefined;
    const name = assigned(node.left, node);
    const right = machine.evaluate(node.right, scope, name);
    if (operator === undefined) return { name, value: right };
    return { name, value: binary(operator, node, machine.evaluate(node.left, scope), right) };
  }
  if (!(ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) || !isStep(node.operator)) {
    return undefined;
  }
  const name = assigned(node.operand, node);
  const value = machine.evaluate(node.operand, scope);
  if (value.kind === "unknown") throw new Problem(undefined);
  if (value.kind !== "number") {
    throw problem("U025", node, `++ and -- do not work on ${describe(value)}`, { expected: "a number" });
  }
  return { name, value: numberValue(value.value + (node.operator === K.PlusPlusToken ? 1 : -1)) };
}

const isStep = (operator: ts.SyntaxKind): boolean => operator === K.PlusPlusToken || operator === K.MinusMinusToken;

const compound: Partial<Record<ts.SyntaxKind, ts.SyntaxKind>> = {
  [K.PlusEqualsToken]: K.PlusToken,
  [K.MinusEqualsToken]: K.MinusToken,
  [K.AsteriskEqualsToken]: K.AsteriskToken,
  [K.SlashEqualsToken]: K.SlashToken,
};

function assigned(target: ts.Expression, at: ts.Node): string {
  if (ts.isIdentifier(target)) return target.text;
  throw problem("U010", at, `${target.getText()} cannot be changed`, {
    help: "Objects, arrays and tensors never change. Make a new one: { ...old, member: value }.",
  });
}

function assign(name: string, value: StaticValue, at: ts.Node, scope: Scope): void {
  switch (scope.assign(name, value)) {
    case "done":
      return;
    case "constant":
      throw problem("U010", at, `${name} cannot be changed`, {
        help: `Declare it with let, or give the new value a name of its own.`,
      });
    case "outer":
      throw problem("U010", at, `${name} belongs to the function around this one and cannot be changed here`, {
        help: "Return the new value, and assign it where the variable is declared.",
      });
    case "missing":
      throw problem("U010", at, `${name} cannot be changed`, {
        help: "Only a variable that the same function declares with let can be assigned.",
      });
  }
}
