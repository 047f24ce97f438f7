import { defineConfig } from "vitest/config";
import { lavapipeDriver } from "./backends/wgsl/adapter/loader.ts";

/** With the slow tests, those of WebGPU run a second time on Mesa's adapter, where it is installed: it compiles for minutes. */
const onLavapipe = {
  extends: true as const,
  test: {
    name: "lavapipe",
    include: ["backends/wgsl/*.test.ts"],
    env: { UNMOOR_ADAPTER: "lavapipe" },
    testTimeout: 600_000,
  },
};

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: { name: "unmoor", include: ["{ir,codegen,backends,runtime,bench,bin,test}/**/*.test.ts"] },
      },
      ...(process.env.UNMOOR_TEST_ALL && lavapipeDriver() ? [onLavapipe] : []),
    ],
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
