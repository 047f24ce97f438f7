/**
 * Sizes at which the page holds each example: small enough for the oracle, which computes in f64 on one core of the visitor's. A
 * parameter that is not named keeps the value that its author gave it.
 */
export const pageSizes: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "dbrx.ts": { H: 128, I: 64, E: 16, K: 4 },
  "deepseek-v2.ts": { H: 128, I: 48, S: 96, E: 32, K: 6, G: 8, M: 3 },
  "deepseek-v3.ts": { H: 128, I: 48, S: 48, E: 32, K: 8, G: 8, M: 4 },
  "deepseek-v4-hash.ts": { H: 128, I: 64, E: 32, K: 6, V: 64 },
  "deepseek-v4.ts": { H: 128, I: 64, E: 32, K: 6 },
  "ernie45.ts": { H: 128, I: 64, S: 96, E: 16, K: 6 },
  "gemma4.ts": { H: 128, I: 48, D: 96, E: 16, K: 8 },
  "gpt-oss.ts": { H: 128, I: 128, E: 16, K: 4 },
  "granite-moe.ts": { H: 128, I: 64, E: 16, K: 8 },
  "kimi-k3.ts": { H: 128, L: 64, I: 48, S: 96, E: 32, K: 8 },
  "llama4.ts": { H: 128, I: 192, E: 8, K: 1 },
  "longcat-block.ts": { H: 96, A: 4, Q: 48, L: 32, N: 16, R: 8, V: 16, F: 96, I: 48, E: 8, Z: 4, K: 3 },
  "longcat-moe.ts": { H: 128, I: 64, E: 16, Z: 8, K: 4 },
  "mixtral.ts": { H: 128, I: 256, E: 8, K: 2 },
  "nemotron3.ts": { H: 128, I: 64, S: 128, E: 16, K: 6 },
  "olmoe.ts": { H: 128, I: 64, E: 16, K: 8 },
  "phi35-moe.ts": { H: 128, I: 192, E: 8, K: 2 },
  "qwen2-moe.ts": { H: 128, I: 64, S: 128, E: 16, K: 4 },
  "qwen3-moe.ts": { H: 128, I: 64, E: 16, K: 8 },
};
