import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{ir,codegen,backends,runtime,bench,bin,test}/**/*.test.ts"],
    // Native code and software GPUs use every core themselves.
    fileParallelism: true,
    maxWorkers: 2,
    // Tests that wait for compilers run at once within a file.
    maxConcurrency: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
  resolve: { alias: { unmoor: new URL("./ir/dsl/index.ts", import.meta.url).pathname } },
});
