import type { VectorIsa } from "../../../codegen/emit/c/index.ts";
import { instructionTable } from "./meanings.ts";
import { neon, neonRows } from "./neon.ts";

const lanes = 4;

/**
 * NEON with BF16 and I8MM, which Armv8.6 has together (Neoverse V1 and N2, Apple M2): products of bf16 pairs, and the conversion;
 * products of signed with unsigned bytes. Costs as for NEON.
 */
export const neonBf16: VectorIsa = {
  ...neon,
  name: "neon-bf16",
  title: "NEON with BF16",
  types: { ...neon.types, pairs: "bfloat16x8_t" },
  flags: ["-march=armv8.2-a+bf16+i8mm"],
  features: [...neon.features, "bf16", "i8mm"],
  instructions: [
    ...instructionTable(lanes, {
      ...neonRows,
      "store.bf16": ["unmoor_store_bf16x4({p}, {a})", 0.5],
      "dot.quads": ["vusdotq_s32({c}, {b}, vreinterpretq_s8_u8({a}))", 0.25],
    }),
    {
      // BFDOT: c + (a₀·b₀ + a₁·b₁), each sum rounded to odd; denormals count as zero (Arm Architecture Reference Manual, BFDotAdd).
      // The meaning is the exact sum, rounded once; rounding to odd errs at most twice as far as rounding to nearest.
      op: "dot.bf16",
      text: "vbfdotq_f32({c}, {a}, {b})",
      cost: 0.25,
      meaning: (a = [], b = [], c = []) =>
        c.map((sum, i) =>
          Math.fround(sum + (a[2 * i] ?? 0) * (b[2 * i] ?? 0) + (a[2 * i + 1] ?? 0) * (b[2 * i + 1] ?? 0)),
        ),
    },
    {
      op: "load_pairs.bf16",
      text: "vreinterpretq_bf16_u16(vld1q_u16({p}))",
      cost: 0.33,
      memory: "bf16",
      meaning: (p = []) => p.slice(0, 2 * lanes),
    },
    {
      op: "broadcast_pair.bf16",
      text: "unmoor_broadcast_pair_bf16x4({p})",
      cost: 0.5,
      memory: "bf16",
      meaning: ([first = 0, second = 0] = []) =>
        Array.from({ length: 2 * lanes }, (_, i) => (i % 2 === 0 ? first : second)),
    },
  ],
};
