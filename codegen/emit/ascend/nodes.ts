import type { ElementType } from "../../../ir/core/types.ts";

/** The instruction queues of a core of architecture 2201, by the vendor's names. */
export const pipes = ["S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX"] as const;
export type Pipe = (typeof pipes)[number];

/** What an instruction does with a local tensor or a global buffer, and on which pipe. */
export interface Access {
  readonly pipe: Pipe;
  /** Name of the local tensor or global buffer. */
  readonly resource: string;
  readonly write: boolean;
}

/** A local tensor: a tile of tile IR, or a temporary of an expression. */
export interface LocalVariable {
  /** Its name in C++, unique in the kernel; also the resource's name. */
  readonly name: string;
  readonly dtype: ElementType;
  readonly bytes: number;
  /** "ub", "l1", "l0a", "l0b", "l0c". */
  readonly space: string;
  /** For "l1": whether it feeds L0B, and belongs at B1. */
  readonly feedsB?: boolean;
}

/**
 * A kernel's body between tile IR and text. Lowering makes lines and local variables; placing turns the variables into
 * queues and buffers; synchronising adds the flags between pipes.
 */
export type Node =
  /** One line of C++ (none if empty), and all that it touches. */
  | {
      readonly kind: "line";
      readonly text: string;
      readonly accesses: readonly Access[];
      /** Others make the accesses later on: here they are waited for only. */
      readonly ahead?: true;
      /** Of a wait: the pair of pipes, "from to". */
      readonly orders?: string;
    }
  | {
      readonly kind: "loop";
      readonly head: string;
      readonly body: readonly Node[];
      /** Whether it certainly runs. */
      readonly runs?: boolean;
      /** What all of it touches, where its iterations are the parts of one instruction and touch different bytes. */
      readonly accesses?: readonly Access[];
    }
  | {
      readonly kind: "if";
      readonly condition: string;
      readonly then: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  /** A local tensor begins to live, to the end of the list or its release. */
  | { readonly kind: "local"; readonly variable: LocalVariable }
  | { readonly kind: "release"; readonly variable: LocalVariable }
  /** A step of a queue's protocol, made by placing. */
  | {
      readonly kind: "queue";
      readonly step: "alloc" | "pass" | "free";
      readonly resource: string;
      readonly producer: Pipe;
      readonly consumer: Pipe;
      readonly lines: readonly string[];
    };

export const line = (text: string, accesses: readonly Access[] = []): Node => ({ kind: "line", text, accesses });

/** The accesses of nodes and all in them. */
export function* accessesOf(nodes: readonly Node[]): Generator<Access> {
  for (const node of nodes) {
    if (node.kind === "line") yield* node.accesses;
    else if (node.kind === "loop") yield* node.accesses ?? accessesOf(node.body);
    else if (node.kind === "if") {
      yield* accessesOf(node.then);
      yield* accessesOf(node.otherwise);
    }
  }
}
