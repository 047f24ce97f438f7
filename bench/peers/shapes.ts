/** Storages of weights that a peer and we round alike: llama.cpp makes f16 of activations beside weights in f16, we do not. */
export const comparable = ["f32", "bf16", "q8_0", "q4_0"] as const;
export type Comparable = (typeof comparable)[number];

/** One of the layers that are compared: an example at the sizes of a published model. */
export interface Shape {
  readonly name: string;
  /** File of examples/. */
  readonly example: string;
  readonly params: Readonly<Record<"H" | "I" | "E" | "K", number>>;
  /** What weighs the chosen experts: softmax over all, that divided by its sum over the chosen, softmax over the chosen logits. */
  readonly weigh: "all" | "renormalised" | "chosen";
  /** SiLU(gate) · up, or gpt-oss's clamped one. */
  readonly activation: "silu" | "clamped";
  /** What a reader must know of the comparison. */
  readonly note?: string;
}

export const shapes: readonly Shape[] = [
  {
    name: "olmoe",
    example: "olmoe.ts",
    params: { H: 2048, I: 1024, E: 64, K: 8 },
    weigh: "all",
    activation: "silu",
  },
  {
    name: "mixtral-small",
    example: "mixtral.ts",
    params: { H: 1024, I: 3584, E: 8, K: 2 },
    weigh: "renormalised",
    activation: "silu",
  },
  {
    name: "longcat-flash-lite",
    example: "olmoe.ts",
    params: { H: 3072, I: 1024, E: 256, K: 12 },
    weigh: "all",
    activation: "silu",
    note: "the FFN experts of its shape without the zero-computation ones, which no peer has",
  },
  {
    name: "gpt-oss-20b",
    example: "gpt-oss.ts",
    params: { H: 2880, I: 2880, E: 32, K: 4 },
    weigh: "chosen",
    activation: "clamped",
  },
];
