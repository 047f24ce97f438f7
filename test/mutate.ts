import { ts } from "ts-morph";

/** For tests: wrong programs, made of right ones by small changes that follow the grammar. */

/** One change: which kind, where, and what comes there. All are indices that wrap around, so that any numbers will do. */
export interface Mutation {
  readonly kind: number;
  readonly at: number;
  readonly other: number;
}

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const pieceOf = (file: ts.SourceFile, node: ts.Node): Piece => ({
  start: node.getStart(file),
  end: node.getEnd(),
  text: node.getText(file),
});

/** Syntactic categories within which one piece may stand for another. */
const categories = {
  expression: (n: ts.Node) => ts.isExpression(n),
  statement: (n: ts.Node) => ts.isStatement(n),
  type: (n: ts.Node) => ts.isTypeNode(n),
  identifier: (n: ts.Node) => ts.isIdentifier(n),
  literal: (n: ts.Node) => ts.isNumericLiteral(n) || ts.isStringLiteral(n),
  member: (n: ts.Node) => ts.isObjectLiteralElementLike(n) || ts.isTypeElement(n) || ts.isParameter(n),
} as const;
type Category = keyof typeof categories;
const categoryNames = Object.keys(categories) as Category[];

type Pieces = Readonly<Record<Category, readonly Piece[]>> & { readonly token: readonly Piece[] };

/** All pieces of a text, in the order of the text. */
function piecesOf(text: string): Pieces {
  const file = ts.createSourceFile("a.ts", text, ts.ScriptTarget.ESNext, true);
  const found: Record<Category | "token", Piece[]> = {
    expression: [],
    statement: [],
    type: [],
    identifier: [],
    literal: [],
    member: [],
    token: [],
  };
  const visit = (node: ts.Node): void => {
    for (const name of categoryNames) if (categories[name](node)) found[name].push(pieceOf(file, node));
    const children = node.getChildren(file);
    if (children.length === 0 && node.getEnd() > node.getStart(file)) found.token.push(pieceOf(file, node));
    for (const child of children) visit(child);
  };
  visit(file);
  return found;
}

/** What may come in the place of anything: values and constructs at the edge of the language. */
const strange = {
  expression: [
    ..."0 -1 1.5 1e9 1e309 NaN -0 null undefined true x p p.K w w.gate e token [] {} [1,2] p.H-p.H 2**53".split(" "),
    ..."() => 1|(a) => a|(a, b) => a + b|async () => x|function* () {}|class {}|new Map()|this|import('a')|await x".split(
      "|",
    ),
    ..."p?.H|w['gate']|[...[1]]|{ ...p }|x = 1|x++|-x|!x|typeof x|void 0|`a`|/a/g|1n|x as any|x!|p.H in p".split("|"),
    ..."Math|Math.max|Math.random()|Math.floor(p.H / 2)|JSON.parse('1')|console.log(x)|globalThis|Infinity".split("|"),
    ..."linear|linear()|linear(x)|map(x)|range(3)|range(1e6)|route(x)|layer({}, () => x)|tensor([1], [1])|sum(x)".split(
      "|",
    ),
    ..."'__proto__'|p.constructor|w.toString|p.hasOwnProperty('H')|[].length|'a'.length|[1].map(silu)|[].reduce(add)".split(
      "|",
    ),
  ],
  statement: [
    ..."while (true) {}|for (;;) {}|return;|break;|continue;|throw x;|let q;|var v = 1;|class A {}|if (x) return x;|;".split(
      "|",
    ),
    ..."for (const i of range(4)) {}|for (const i in p) {}|switch (p.H) {}|try {} finally {}|debugger;|a: {}|p.H = 1;".split(
      "|",
    ),
    ..."function f() { return f(); }|const r = (n) => r(n);|const [a] = [1];|const { H } = p;|enum E { A }|export {};".split(
      "|",
    ),
    ..."import * as m from 'unmoor';|import d from './none.ts';|import './none.ts';|export default 1;|export * from './a.ts';".split(
      "|",
    ),
  ],
  type: [
    ...'number|any|Tensor|Tensor<[]>|Tensor<["T"]>|Tensor<["H-1"]>|Tensor<["H"], "f31">|Tensor<[...string[]]>'.split(
      "|",
    ),
    ...'Tensor<["T" | "H"]>|{ a: Tensor<["H"]> }|{}|[]|typeof x|Tensor<["2*H*E", 3]>|Tensor<["0"]>|"T"|Tensor<["T"], "i32">'.split(
      "|",
    ),
  ],
  identifier:
    "x w p e token linear mul route layer T H K E Math constructor __proto__ toString undefined q let async of".split(
      " ",
    ),
  literal: [
    "0",
    "-1",
    "0.5",
    "1e400",
    "2",
    '"T"',
    '""',
    '"softmax"',
    '"E+Z"',
    "'__proto__'",
    '"f16"',
    "99999999999999999999",
  ],
  member: [
    "a: 1",
    "...p",
    "['a']: 2",
    "get a() { return 1; }",
    "a() {}",
    "x?: number",
    "...rest",
    "{ a, b }",
    "H: 0",
    "__proto__: p",
  ],
} as const satisfies Record<Category, readonly string[]>;

/** Applies one change to a text. `donors` are texts whose pieces may come in. */
export function mutate(text: string, change: Mutation, donors: readonly string[]): string {
  const pieces = piecesOf(text);
  const pick = <T>(list: readonly T[], n: number): T | undefined => list[n % Math.max(1, list.length)];
  const replace = ({ start, end }: Piece, by: string): string => text.slice(0, start) + by + text.slice(end);
  const category = categoryNames[change.other % categoryNames.length] ?? "expression";
  const other = Math.floor(change.other / categoryNames.length);
  const inCategory = pick(pieces[category], change.at);
  const token = pick(pieces.token, change.at);
  switch (change.kind % 10) {
    // Half of the changes stay within the grammar.
    case 0:
      return inCategory === undefined ? text : replace(inCategory, pick(strange[category], other) ?? "");
    case 1:
    case 2: {
      const donor = pick(donors, other) ?? text;
      const from = pick(piecesOf(donor)[category], Math.floor(other / donors.length));
      return inCategory === undefined || from === undefined ? text : replace(inCategory, from.text);
    }
    case 3:
      return inCategory === undefined ? text : replace(inCategory, "");
    case 4: {
      const separator = category === "statement" ? "\n" : ", ";
      return inCategory === undefined ? text : replace(inCategory, `${inCategory.text}${separator}${inCategory.text}`);
    }
    case 5: {
      const second = pick(pieces[category], other);
      if (inCategory === undefined || second === undefined) return text;
      const [a, b] = inCategory.start <= second.start ? [inCategory, second] : [second, inCategory];
      if (b.start < a.end) return text;
      return text.slice(0, a.start) + b.text + text.slice(a.end, b.start) + a.text + text.slice(b.end);
    }
    case 6:
      return token === undefined ? text : replace(token, "");
    case 7:
      return token === undefined ? text : replace(token, `${token.text} ${token.text}`);
    case 8: {
      const second = pick(pieces.token, change.other);
      return token === undefined || second === undefined ? text : replace(token, second.text);
    }
    default: {
      const at = change.at % (text.length + 1);
      return text.slice(0, at) + (pick(noise, change.other) ?? "") + text.slice(at);
    }
  }
}

/** Text that no grammar expects. */
const noise = [
  "\0",
  "'",
  '"',
  "`",
  "${",
  "/*",
  "//",
  "\\",
  "\r",
  "\u2028",
  "\ufeff",
  "💥",
  "<",
  ">",
  "((((",
  "}}}}",
  "#!",
  "@",
  "é",
  "1.2.3",
];
