import { describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { type KernelPart, type LoweredKernel, lowerKernel } from "../../codegen/emit/ascend/lower-kernel.ts";
import { type Access, line, type Node, type Pipe, pipes } from "../../codegen/emit/ascend/nodes.ts";
import { synchronise } from "../../codegen/emit/ascend/synchronise.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { ascendIsa, ascendTarget } from "./target.ts";

/** What one kind of core does of a kernel. */
type Part = KernelPart & Pick<LoweredKernel, "kernel" | "buffers">;

/** The place of a statement for the messages, and what is wrong there. */
type Race = string;

/**
 * Runs lowered code once, in program order, with vector clocks per pipe, and reports accesses that conflict and are not ordered.
 * Written apart from the generator's own analysis. Loops run three times, conditions both ways in turn.
 */
class Clocks {
  readonly races: Race[] = [];
  /** What each pipe knows to be complete: pipe → pipe → time. */
  readonly #known: Record<Pipe, Record<Pipe, number>>;
  readonly #now: Record<Pipe, number>;
  readonly #accesses = new Map<string, { access: Access; time: number; place: string }[]>();
  readonly #slot = new Map<string, { next: number; freed: (Record<Pipe, number> | undefined)[]; current: number }>();
  #turn = 0;
  readonly #kernel: Part;

  constructor(kernel: Part) {
    this.#kernel = kernel;
    const zeros = () => Object.fromEntries(pipes.map((p) => [p, 0])) as Record<Pipe, number>;
    this.#now = zeros();
    this.#known = Object.fromEntries(pipes.map((p) => [p, zeros()])) as Record<Pipe, Record<Pipe, number>>;
  }

  run(nodes: readonly Node[]): void {
    for (const node of nodes) {
      if (node.kind === "line") this.#line(node);
      else if (node.kind === "queue") this.#queue(node);
      else if (node.kind === "loop" && node.accesses) this.#touch(node.accesses, node.head);
      else if (node.kind === "loop") for (let i = 0; i < 3; i++) this.run(node.body);
      else if (node.kind === "if") this.run(this.#turn++ % 2 === 0 ? node.then : node.otherwise);
    }
  }

  #line(node: Extract<Node, { kind: "line" }>): void {
    if (node.orders !== undefined) {
      const [from, to] = node.orders.split(" ") as [Pipe, Pipe];
      this.#wait(to, this.#complete(from));
    } else this.#touch(node.accesses, node.text);
  }

  #complete(pipe: Pipe): Record<Pipe, number> {
    return { ...this.#known[pipe], [pipe]: this.#now[pipe] };
  }

  #wait(pipe: Pipe, until: Record<Pipe, number>): void {
    // What the scalar unit has waited for is complete for all that it issues afterwards.
    for (const to of pipe === "S" ? pipes : [pipe])
      for (const p of pipes) this.#known[to][p] = Math.max(this.#known[to][p], until[p]);
  }

  #queue({ step, resource, producer, consumer }: Extract<Node, { kind: "queue" }>): void {
    const name = this.#kernel.physical.get(resource) ?? resource;
    const count = this.#kernel.local.find((b) => b.name === name)?.count ?? 1;
    const queue = this.#slot.get(name) ?? { next: 0, freed: [], current: 0 };
    this.#slot.set(name, queue);
    if (step === "pass") this.#wait(consumer, this.#complete(producer));
    else if (step === "free") queue.freed[queue.current] = this.#complete(consumer);
    else {
      queue.current = queue.next;
      queue.next = (queue.next + 1) % count;
      const freed = queue.freed[queue.current];
      if (freed) this.#wait(producer, freed);
    }
  }

  #touch(accesses: readonly Access[], place: string): void {
    for (const access of accesses) {
      const name = this.#kernel.physical.get(access.resource) ?? access.resource;
      const key = `${name} ${this.#slot.get(name)?.current ?? 0}`;
      const global = this.#kernel.buffers.find((b) => b.local === access.resource);
      for (const before of this.#accesses.get(key) ?? []) {
        const { pipe } = before.access;
        if (!(before.access.write || access.write) || before.time <= this.#known[access.pipe][pipe]) continue;
        // Tiles of the exchange are handed over by flags between cores.
        if (access.resource === "exchange") continue;
        // One pipe writes different places of a global buffer, and the scalar unit runs in order.
        if (pipe === access.pipe && (pipe === "S" || (global && global.access !== "readwrite"))) continue;
        this.races.push(`${key}: ${pipe} "${before.place}" and ${access.pipe} "${place}"`);
      }
    }
    for (const access of accesses) {
      const name = this.#kernel.physical.get(access.resource) ?? access.resource;
      const key = `${name} ${this.#slot.get(name)?.current ?? 0}`;
      const time = ++this.#now[access.pipe];
      this.#accesses.set(key, [...(this.#accesses.get(key) ?? []), { access, time, place }]);
    }
  }
}

function races(kernel: Part, body: readonly Node[] = kernel.body): readonly Race[] {
  const clocks = new Clocks(kernel);
  clocks.run(body);
  return clocks.races;
}

/** Every body that lacks one wait. */
function* withoutOneWait(nodes: readonly Node[]): Generator<{ readonly body: Node[]; readonly removed: string }> {
  for (const [i, node] of nodes.entries()) {
    const put = (by: readonly Node[]): Node[] => [...nodes.slice(0, i), ...by, ...nodes.slice(i + 1)];
    if (node.kind === "line" && node.orders !== undefined) yield { body: put([]), removed: node.text };
    if (node.kind === "loop")
      for (const inner of withoutOneWait(node.body)) yield { ...inner, body: put([{ ...node, body: inner.body }]) };
    if (node.kind === "if") {
      const { then, otherwise } = node;
      for (const inner of withoutOneWait(then)) yield { ...inner, body: put([withParts(node, inner.body, otherwise)]) };
      for (const inner of withoutOneWait(otherwise)) yield { ...inner, body: put([withParts(node, then, inner.body)]) };
    }
  }
}

const withParts = (node: Extract<Node, { kind: "if" }>, then: readonly Node[], otherwise: readonly Node[]): Node => ({
  ...node,
  then,
  otherwise,
});

const layer = parseLayer(
  `layer @moe {H = 2100, I = 24, E = 5, Z = 3, K = 2} (
  input auto %x: f32[T, H],
  weight fixed %router: f32[E + Z, H],
  weight fixed %bias: f32[E + Z],
  weight auto %up: f32[E, I, H],
  weight auto %down: f32[E, H, I]
) {
  %logits = linear(%x, %router) : f32[T, E + Z]
  %ids, %weights = route(%logits, %bias) {with = ["select_bias"], score = "softmax", top_k = K, renormalise = "sum", scale = 6} : i32[T, K], f32[T, K]
  %y = mix(%x, %ids, %weights) {ffn = E, identity = Z} (%token: f32[H], %e: i32[]) {
    %up_e = index(%up, %e) : f32[I, H]
    %down_e = index(%down, %e) : f32[H, I]
    %u = linear(%token, %up_e) : f32[I]
    %h = map(%u) {fn = (u) => (u * (1.0 / (1.0 + exp(neg(u)))))} : f32[I]
    %o = linear(%h, %down_e) : f32[H]
    yield %o
  } : f32[T, H]
  return y = %y
}
`,
  "moe.moe",
);

const kernels = compileLayer(layer, ascendTarget, "bf16").program.kernels.flatMap((k): Part[] => {
  const { kernel, buffers, parts } = lowerKernel(k, ["T"], ascendIsa());
  return parts.map((p) => ({ ...p, kernel, buffers }));
});

const access = (pipe: Pipe, resource: string, write: boolean): Access => ({ pipe, resource, write });
const texts = (nodes: readonly Node[]): unknown[] =>
  nodes.map((n) => (n.kind === "line" ? n.text : n.kind === "loop" ? texts(n.body) : n.kind));

describe("the waits between pipes", () => {
  it.each(kernels.map((k) => [`${k.kernel.name} ${k.core}`, k] as const))("order every conflict in %s", (_, kernel) => {
    expect(races(kernel)).toEqual([]);
  });

  it.each(kernels.map((k) => [`${k.kernel.name} ${k.core}`, k] as const))("are none too many in %s", (_, kernel) => {
    const idle = [...withoutOneWait(kernel.body)].filter(({ body }) => races(kernel, body).length === 0);
    // Loops run three times here. Where one does not run at all (no tokens), these are the only waits; where it does, others cover them.
    const withoutTokens =
      kernel.kernel.origin.op === "dispatch" ? ["WaitFor<HardEvent::V_S>();", "WaitFor<HardEvent::S_MTE3>();"] : [];
    expect(idle.map((m) => m.removed).filter((text) => !withoutTokens.includes(text))).toEqual([]);
  });

  it("are followed around a loop, and put before it where once is enough", () => {
    const body: Node[] = [
      line("copy a", [access("MTE2", "a", true)]),
      {
        kind: "loop",
        head: "for",
        body: [
          line("read a, write b", [access("V", "a", false), access("V", "b", true)]),
          line("store b", [access("MTE3", "b", false)]),
        ],
      },
    ];
    expect(texts(synchronise(body, (r) => r, new Map()))).toEqual([
      "copy a",
      "WaitFor<HardEvent::MTE2_V>();",
      [
        // That pipe waited for the write before, so the write needs no barrier of its own.
        "WaitFor<HardEvent::MTE3_V>();",
        "read a, write b",
        "WaitFor<HardEvent::V_MTE3>();",
        "store b",
      ],
    ]);
  });

  it("in a loop that certainly runs are known after it; after one that may not run they are not", () => {
    const write = line("write a", [access("V", "a", true)]);
    const read = line("read a", [access("S", "a", false)]);
    const synchronised = (runs: boolean) =>
      texts(synchronise([write, { kind: "loop", head: "for", body: [write, read], runs }, read], (r) => r, new Map()));
    const loop = ["WaitFor<HardEvent::S_V>();", "write a", "WaitFor<HardEvent::V_S>();", "read a"];
    const before = ["write a", "PipeBarrier<PIPE_V>();"];
    expect(synchronised(true)).toEqual([...before, loop, "read a"]);
    expect(synchronised(false)).toEqual([...before, loop, "WaitFor<HardEvent::V_S>();", "read a"]);
  });

  it("for reads that come later are no reads: what is waited for ahead of a loop keeps nobody waiting after it", () => {
    const inner: Node[] = [
      line("read a[i]", [access("S", "a", false)]),
      line("write b", [access("V", "b", true)]),
      line("read b", [access("S", "b", false)]),
    ];
    const ahead: Node = { kind: "line", text: "", accesses: [access("S", "a", false)], ahead: true };
    const copy = line("copy a", [access("MTE2", "a", true)]);
    const body: Node[] = [
      { kind: "loop", head: "for", body: [copy, ahead, { kind: "loop", head: "for", body: inner }] },
    ];
    expect(texts(synchronise(body, (r) => r, new Map()))).toEqual([
      [
        "copy a",
        "WaitFor<HardEvent::MTE2_S>();",
        // The vector unit waits for the read of b, and so for that of a; the scalar unit waits for it, and issues the next copy.
        ["read a[i]", "WaitFor<HardEvent::S_V>();", "write b", "WaitFor<HardEvent::V_S>();", "read b"],
      ],
    ]);
  });
});
