import type { Session } from "./session.ts";

type Method = "compile" | "data" | "compare";

/** What the page asks its worker for. */
export interface Call {
  readonly id: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** A Session that lives in a worker. */
export class RemoteSession {
  #worker = start();
  #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #last = 0;

  constructor() {
    this.#listen();
  }

  compile(...args: Parameters<Session["compile"]>): Promise<ReturnType<Session["compile"]>> {
    return this.#call("compile", args);
  }

  data(...args: Parameters<Session["data"]>): Promise<ReturnType<Session["data"]>> {
    return this.#call("data", args);
  }

  compare(...args: Parameters<Session["compare"]>): Promise<ReturnType<Session["compare"]>> {
    return this.#call("compare", args);
  }

  /** Gives up what is being done; those who wait for it are told so. A layer must be compiled again. */
  stop(): void {
    this.#worker.terminate();
    this.#fail("stopped");
    this.#worker = start();
    this.#listen();
  }

  #call<T>(method: Method, args: readonly unknown[]): Promise<T> {
    const id = ++this.#last;
    const call: Call = { id, method, args };
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject });
      this.#worker.postMessage(call);
    });
  }

  #listen(): void {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.value);
    });
    this.#worker.addEventListener("error", (event) => this.#fail(event.message || "the worker could not be started"));
  }

  #fail(message: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}

const start = (): Worker => new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
