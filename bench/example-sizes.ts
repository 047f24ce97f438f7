/** Small sizes for each example, some of which no tile divides. */
export const exampleSizes: Readonly<Record<string, readonly Readonly<Record<string, number>>[]>> = {
  "longcat-block.ts": [
    { H: 37, A: 3, Q: 19, L: 13, N: 6, R: 4, V: 5, F: 29, I: 21, E: 5, Z: 3, K: 2, scale: 6, theta: 1e7 },
  ],
  "longcat-moe.ts": [
    { H: 64, I: 32, E: 8, Z: 4, K: 3, scale: 6 },
    { H: 37, I: 21, E: 5, Z: 3, K: 2, scale: 2.5 },
  ],
  "dbrx.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "deepseek-v2.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3, G: 4, M: 2 }],
  "deepseek-v3.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3, G: 4, M: 2 }],
  "deepseek-v4-hash.ts": [{ H: 37, I: 21, E: 12, K: 3, V: 7 }],
  "deepseek-v4.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "ernie45.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "gemma4.ts": [{ H: 37, I: 21, D: 19, E: 12, K: 3 }],
  "gpt-oss.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "granite-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "kimi-k3.ts": [{ H: 37, L: 23, I: 21, S: 19, E: 12, K: 3 }],
  "llama4.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "mixtral.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "nemotron3.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "olmoe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "phi35-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "qwen2-moe.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "qwen3-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
};
