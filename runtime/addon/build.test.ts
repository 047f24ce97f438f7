import { beforeAll, describe, expect, it, vi } from "vitest";
import { buildAddon } from "./build.js";

beforeAll(async () => {
  await buildAddon();
});

describe("buildAddon", () => {
  it("does nothing when nothing has changed", async () => {
    expect((await buildAddon()).built).toBe(false);
  });

  it("names what the machine lacks and the command that installs it", async () => {
    const saved = process.env.CXX;
    process.env.CXX = "no-such-compiler-here";
    try {
      await expect(buildAddon({ force: true })).rejects.toThrow(
        /lacks g\+\+.*\n.*apt-get install -y g\+\+ make python3/,
      );
    } finally {
      if (saved === undefined) delete process.env.CXX;
      else process.env.CXX = saved;
    }
    expect((await buildAddon()).built).toBe(false);
  });
});

describe("an addon that is not built", () => {
  it("is an error with its remedy", async () => {
    vi.resetModules();
    vi.doMock("node:fs", async (original) => {
      const fs = await original<typeof import("node:fs")>();
      return { ...fs, existsSync: (path: string) => !path.endsWith(".node") && fs.existsSync(path) };
    });
    const native = await import("../native.ts");
    vi.doUnmock("node:fs");
    expect(() => native.NativeMemory.allocate(1)).toThrow(
      /^the native addon is not built: .*unmoor\.node does not exist\. Run: npm run setup$/,
    );
    expect(native.cpuFeatures().size).toBeGreaterThan(0);
  });
});
