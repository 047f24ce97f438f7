import type { VectorIsa } from "../../../codegen/emit/c/index.ts";
import { avx512, avx512Rows } from "./avx512.ts";
import { instructionTable, type Row } from "./meanings.ts";

export const avx512VnniRows = {
  ...avx512Rows,
  "dot.quads": ["_mm512_dpbusd_epi32({c}, {b}, {a})", 1],
} satisfies Readonly<Record<string, Row>>;

/** AVX-512 with VNNI, products of bytes: CPUs from Cascade Lake and Ice Lake on. Costs as those of AVX-512. */
export const avx512Vnni: VectorIsa = {
  ...avx512,
  name: "avx512-vnni",
  title: "AVX-512 with VNNI",
  flags: [...avx512.flags, "-mavx512vnni"],
  features: [...avx512.features, "avx512_vnni"],
  instructions: instructionTable(16, avx512VnniRows),
};
