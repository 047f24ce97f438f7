import type { Pipe } from "../../../codegen/emit/ascend/nodes.ts";
import { IrError } from "../../../ir/core/diagnostic.ts";
import { Memory, sizeOfType, type Tensor } from "./memory.ts";
import { TensorQueue, type Timeline } from "./timeline.ts";

const roles: Readonly<Record<string, { readonly space: string; readonly producer: Pipe; readonly consumer: Pipe }>> = {
  VECIN: { space: "ub", producer: "MTE2", consumer: "V" },
  VECOUT: { space: "ub", producer: "V", consumer: "MTE3" },
  VECCALC: { space: "ub", producer: "V", consumer: "V" },
  A1: { space: "l1", producer: "MTE2", consumer: "MTE1" },
  B1: { space: "l1", producer: "MTE2", consumer: "MTE1" },
  A2: { space: "l0a", producer: "MTE1", consumer: "M" },
  B2: { space: "l0b", producer: "MTE1", consumer: "M" },
  CO1: { space: "l0c", producer: "M", consumer: "FIX" },
};

const roleOf = (position: string) => {
  const role = roles[position];
  if (!role) throw new IrError(`the cost model does not know the position ${position}`, "Add it to queues.ts.");
  return role;
};

/** Memory of a TBuf. */
export const bufferAt = (name: string, position: string): Memory => new Memory(name, roleOf(position).space);

/** A TQue of a kernel's text, and the tensors that wait in it. */
export class QueueHolder {
  readonly #role: ReturnType<typeof roleOf>;
  #queue: TensorQueue | undefined;
  readonly #waiting: Tensor[] = [];

  constructor(position: string) {
    this.#role = roleOf(position);
  }

  /** InitBuffer gives it tensors. */
  init(tensors: number, timeline: () => Timeline): void {
    this.#queue = new TensorQueue(this.#role.producer, this.#role.consumer, tensors, timeline);
    this.#waiting.length = 0;
  }

  /** What one of its methods does. @param type the element type @param tensor the argument of EnQue and FreeTensor */
  method(name: string, type: string, tensor: (() => Tensor) | undefined): () => Tensor | undefined {
    const { space } = this.#role;
    const queue = (): TensorQueue => {
      if (this.#queue) return this.#queue;
      throw new IrError("a queue is used before InitBuffer", "Call InitBuffer first.");
    };
    switch (name) {
      case "AllocTensor":
        return () => {
          queue().alloc();
          return { memory: new Memory("", space), offset: 0, type, size: sizeOfType(type) };
        };
      case "EnQue":
        return () => {
          queue().enqueue();
          if (tensor) this.#waiting.push(tensor());
          return undefined;
        };
      case "DeQue":
        return () => {
          queue().dequeue();
          return this.#waiting.shift();
        };
      case "FreeTensor":
        return () => void queue().release();
      default:
        throw new IrError(`the cost model does not know ${name} of a queue`, "Add it to queues.ts.");
    }
  }
}
