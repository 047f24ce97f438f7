import { ts } from "ts-morph";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { authorTypes, type ElementType } from "../core/types.ts";
import type { Module, Modules } from "./module.ts";
import { problem } from "./source.ts";
import { list, nearest } from "./suggest.ts";

/** A tensor as its type says: `Tensor<["T", "H"], "f32">`. */
export interface TensorSpec {
  readonly kind: "tensor";
  readonly dims: readonly Dim[];
  readonly dtype: ElementType;
  readonly storage: "auto" | "fixed";
  /** Where the dimensions stand. */
  readonly node: ts.Node;
}

export interface ObjectSpec {
  readonly kind: "object";
  readonly members: ReadonlyMap<string, TensorSpec & { readonly name: ts.Node }>;
}

/** Reads type annotations, through aliases and interfaces, also from other files. */
export class Annotations {
  readonly #modules: Modules;

  constructor(modules: Modules) {
    this.#modules = modules;
  }

  /** The type of a parameter of a layer's body. @throws Problem U015 … U017 */
  read(module: Module, type: ts.TypeNode | undefined, at: ts.Node): TensorSpec | ObjectSpec {
    if (type === undefined) {
      throw problem("U015", at, `the type of ${at.getText()} is missing`);
    }
    const spec = this.#type(module, type, 0);
    if (spec !== undefined) return spec;
    throw problem("U015", type, `${type.getText()} is no tensor, and no object of tensors`);
  }

  #type(module: Module, type: ts.TypeNode, depth: number): TensorSpec | ObjectSpec | undefined {
    if (ts.isParenthesizedTypeNode(type)) return this.#type(module, type.type, depth);
    if (ts.isTypeLiteralNode(type)) return this.#object(module, type.members, depth);
    if (!ts.isTypeReferenceNode(type)) return undefined;
    const found = this.#follow(module, type);
    if (found === "tensor") return this.#tensor(module, type);
    if (depth > 20) throw problem("U015", type, `the type ${type.getText()} is defined by itself`);
    if (ts.isTypeAliasDeclaration(found.node)) return this.#type(found.module, found.node.type, depth + 1);
    const own = this.#object(found.module, found.node.members, depth);
    const inherited = (found.node.heritageClauses ?? []).flatMap((clause) =>
      clause.types.map((base) => {
        const { expression } = base;
        const parent = ts.isIdentifier(expression) ? this.#declaration(found.module, expression) : undefined;
        if (parent === undefined || parent === "tensor" || !ts.isInterfaceDeclaration(parent.node)) {
          throw problem("U015", base, `${base.getText()} is no interface of tensors`);
        }
        return this.#object(parent.module, parent.node.members, depth + 1);
      }),
    );
    return { kind: "object", members: new Map([...inherited.flatMap((o) => [...o.members]), ...own.members]) };
  }

  #follow(module: Module, type: ts.TypeReferenceNode): ReturnType<Annotations["named"]> {
    if (ts.isIdentifier(type.typeName)) {
      const found = this.#declaration(module, type.typeName);
      if (found !== "tensor" && type.typeArguments !== undefined) {
        throw problem("U015", type, `${type.getText()} has type arguments`, {
          help: "Write a type without arguments, or Tensor itself.",
        });
      }
      return found;
    }
    throw problem("U015", type, `${type.getText()} is no tensor, and no object of tensors`);
  }

  #declaration(module: Module, name: ts.Identifier): ReturnType<Annotations["named"]> {
    return this.named(module, name.text, name);
  }

  /** What a type's name stands for. */
  named(
    module: Module,
    name: string,
    at: ts.Node,
  ): "tensor" | { readonly module: Module; readonly node: ts.TypeAliasDeclaration | ts.InterfaceDeclaration } {
    const declaration = module.declarations.get(name);
    if (declaration?.kind === "type") return { module, node: declaration.node };
    if (declaration?.kind === "import") {
      const target = this.#modules.follow(module, declaration);
      if (!("builtin" in target)) return this.named(target.module, target.name, at);
      if (target.builtin === "Tensor" || target.builtin === "AnyTensor") return "tensor";
      throw problem("U015", at, `${name} is no tensor, and no object of tensors`);
    }
    if (name === "Tensor") {
      throw problem("U007", at, "Tensor is not defined", { help: 'Add type Tensor to the import from "unmoor".' });
    }
    const near = nearest(name, [...module.declarations.keys(), "Tensor"]);
    throw problem("U007", at, `the type ${name} is not defined`, {
      help: near === undefined ? "Define the type in this file, or import it." : `Did you mean ${near}?`,
    });
  }

  #object(module: Module, members: ts.NodeArray<ts.TypeElement>, depth: number): ObjectSpec {
    const specs = new Map<string, TensorSpec & { readonly name: ts.Node }>();
    for (const m of members) {
      if (!ts.isPropertySignature(m) || ts.isComputedPropertyName(m.name)) {
        throw problem("U015", m, "only tensors can be members here", { help: 'Write name: Tensor<["E", "I", "H"]>.' });
      }
      if (m.questionToken !== undefined) {
        throw problem("U009", m, "a weight cannot be optional", {
          help: "Declare two layers, or give the weight always.",
        });
      }
      if (m.type === undefined) throw problem("U015", m, `the type of ${m.name.getText()} is missing`);
      const spec = this.#type(module, m.type, depth);
      if (spec?.kind !== "tensor") {
        throw problem("U015", m.type, `${m.name.getText()} is no tensor`, {
          expected: "a tensor: objects of weights have one level",
        });
      }
      if (specs.has(m.name.text)) throw problem("U064", m.name, `${m.name.text} is given twice`);
      specs.set(m.name.text, { ...spec, name: m.name });
    }
    return { kind: "object", members: specs };
  }

  #tensor(module: Module, type: ts.TypeReferenceNode): TensorSpec {
    const [dims, dtype] = type.typeArguments ?? [];
    if (dims === undefined) {
      throw problem("U017", type, "a tensor without dimensions", {
        expected: 'a tuple of dimensions: Tensor<["T", "H"]>',
      });
    }
    return { kind: "tensor", dims: this.#dims(module, dims), node: dims, ...this.#dtype(module, dtype) };
  }

  #dims(module: Module, given: ts.TypeNode): Dim[] {
    const tuple = this.#resolve(module, given);
    if (!ts.isTupleTypeNode(tuple.node)) {
      throw problem("U017", given, `${given.getText()} is no list of dimensions`, { expected: 'a tuple: ["T", "H"]' });
    }
    return tuple.node.elements.map((element) => {
      const inner = ts.isNamedTupleMember(element) ? element.type : element;
      const { node } = this.#resolve(tuple.module, inner);
      const literal = ts.isLiteralTypeNode(node) ? node.literal : undefined;
      if (literal === undefined || !(ts.isStringLiteral(literal) || ts.isNumericLiteral(literal))) {
        throw problem("U017", element, `${element.getText()} is no dimension`);
      }
      try {
        const dim = Dim.parse(literal.text);
        if (dim.terms.some((t) => t.coefficient < 0)) throw new IrError("a dimension below zero", "");
        return dim;
      } catch (error) {
        if (error instanceof IrError) throw problem("U017", element, `${element.getText()} is no dimension`);
        throw error;
      }
    });
  }

  #dtype(module: Module, given: ts.TypeNode | undefined): { dtype: ElementType; storage: "auto" | "fixed" } {
    if (given === undefined) return { dtype: "f32", storage: "auto" };
    const { node } = this.#resolve(module, given);
    const text = ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal) ? node.literal.text : undefined;
    if (text === "auto") return { dtype: "f32", storage: "auto" };
    const dtype = authorTypes.find((d) => d === text);
    if (dtype !== undefined) return { dtype, storage: "fixed" };
    const near = text === undefined ? undefined : nearest(text, authorTypes);
    throw problem("U016", given, `${given.getText()} is no dtype of a tensor`, {
      expected: `one of ${list(authorTypes.map((d) => `"${d}"`))}, or "auto"`,
      ...(near === undefined ? {} : { help: `Did you mean "${near}"?` }),
    });
  }

  /** A type without aliases, parentheses and `readonly` around it. */
  #resolve(module: Module, type: ts.TypeNode, depth = 0): { readonly module: Module; readonly node: ts.TypeNode } {
    if (ts.isParenthesizedTypeNode(type)) return this.#resolve(module, type.type, depth);
    if (ts.isTypeOperatorNode(type) && type.operator === ts.SyntaxKind.ReadonlyKeyword) {
      return this.#resolve(module, type.type, depth);
    }
    if (!ts.isTypeReferenceNode(type) || depth > 20) return { module, node: type };
    const found = this.#follow(module, type);
    if (found === "tensor" || !ts.isTypeAliasDeclaration(found.node)) return { module, node: type };
    return this.#resolve(found.module, found.node.type, depth + 1);
  }
}
