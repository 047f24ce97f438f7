import type { VectorIsa } from "../../../codegen/emit/c/index.ts";
import { avx512Vnni, avx512VnniRows } from "./avx512-vnni.ts";
import { instructionTable, toBf16 } from "./meanings.ts";

/** VCVTNEPS2BF16 takes denormals for zeros, whatever the rounding mode says (Intel SDM, volume 2C). */
const narrow = (x: number): number => (Math.abs(x) < 2 ** -126 ? x * 0 : toBf16(x));

const lanes = 16;

/** AVX-512 with BF16, and VNNI, which every CPU with BF16 has: products of bf16 pairs, and the conversion. Costs as those of AVX-512. */
export const avx512Bf16: VectorIsa = {
  ...avx512Vnni,
  name: "avx512-bf16",
  title: "AVX-512 with BF16",
  types: { ...avx512Vnni.types, pairs: "__m512i" },
  flags: [...avx512Vnni.flags, "-mavx512bf16"],
  features: [...avx512Vnni.features, "avx512_bf16"],
  // Emerald Rapids starts a VDPBF16PS every second cycle, and two FMAs in each: twice the products (docs/cpu-schedules.md).
  faster: { intel: avx512Vnni.name },
  instructions: [
    ...instructionTable(
      lanes,
      {
        ...avx512VnniRows,
        "store.bf16": ["unmoor_store_bf16x16({p}, {a})", 2],
      },
      {
        "store.bf16": (a = [], p = []) => p.map((old, i) => (i < lanes ? narrow(a[i] ?? 0) : old)),
        "store_partial.bf16": (a = [], p = [], [n = 0] = []) => p.map((old, i) => (i < n ? narrow(a[i] ?? 0) : old)),
      },
    ),
    {
      // VDPBF16PS: c + a₁·b₁ + a₀·b₀, a rounding after each product; denormals count as zero. A CPU may take the products the
      // other way round: the meaning is the exact sum, rounded once, and holds to two roundings of the largest part.
      op: "dot.bf16",
      text: "_mm512_dpbf16_ps({c}, (__m512bh){a}, (__m512bh){b})",
      cost: 1,
      meaning: (a = [], b = [], c = []) =>
        c.map((sum, i) =>
          Math.fround(sum + (a[2 * i] ?? 0) * (b[2 * i] ?? 0) + (a[2 * i + 1] ?? 0) * (b[2 * i + 1] ?? 0)),
        ),
    },
    {
      op: "load_pairs.bf16",
      text: "_mm512_loadu_si512({p})",
      cost: 1,
      memory: "bf16",
      meaning: (p = []) => p.slice(0, 2 * lanes),
    },
    {
      op: "broadcast_pair.bf16",
      text: "unmoor_broadcast_pair_bf16x16({p})",
      cost: 0.5,
      memory: "bf16",
      meaning: ([first = 0, second = 0] = []) =>
        Array.from({ length: 2 * lanes }, (_, i) => (i % 2 === 0 ? first : second)),
    },
  ],
};
