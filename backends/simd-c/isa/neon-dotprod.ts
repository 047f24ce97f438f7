import type { VectorIsa } from "../../../codegen/emit/c/index.ts";
import { instructionTable } from "./meanings.ts";
import { neon, neonRows } from "./neon.ts";

/** NEON with products of signed bytes, which many CPUs have without BF16 and I8MM: Cortex-A55, A75 and A76, Neoverse N1, Apple M1. Costs as for NEON. */
export const neonDotprod: VectorIsa = {
  ...neon,
  name: "neon-dotprod",
  title: "NEON with dot products",
  flags: ["-march=armv8.2-a+dotprod"],
  features: [...neon.features, "asimddp"],
  instructions: instructionTable(4, {
    ...neonRows,
    "dot.signed": ["vdotq_s32({c}, vreinterpretq_s8_u8({a}), vreinterpretq_s8_u8({b}))", 0.25],
  }),
};
