import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { hasSwiftShader } from "./swiftshader.ts";
import { type Bench, makeBench } from "./testing.ts";

const INSTALL = `
  import { ensureSoftwareAdapter } from "./index.js";
  console.log(JSON.stringify(await ensureSoftwareAdapter()));
`;

describe.skipIf(!hasSwiftShader())("ensureSoftwareAdapter", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = makeBench();
  });
  afterEach(() => rmSync(bench.cache, { recursive: true, force: true }));
  afterAll(() => bench.remove());

  async function install(): Promise<{ name: string; folder: string; installed: boolean }> {
    const ended = await bench.run(INSTALL);
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    return JSON.parse(ended.stdout);
  }

  it("unpacks once, for the user alone, with a note on the licence", async () => {
    const first = await install();
    expect(first).toMatchObject({ name: "SwiftShader", installed: true });
    expect(first.folder.startsWith(join(bench.cache, "unmoor", "swiftshader-"))).toBe(true);
    expect(statSync(first.folder).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(first.folder, "LICENSE-NOTE.txt"), "utf8")).toContain("Apache License 2.0");
    expect(await install()).toEqual({ ...first, installed: false });
  });

  it.each([
    ["truncated", (file: string) => writeFileSync(file, readFileSync(file).subarray(0, 1000))],
    ["changed in one bit", (file: string) => flip(file)],
    ["removed", (file: string) => rmSync(file)],
  ])("mends a driver that was %s", async (_, damage) => {
    const { folder } = await install();
    const driver = join(folder, "libvk_swiftshader.so");
    const whole = readFileSync(driver);
    damage(driver);
    expect((await install()).installed).toBe(true);
    expect(readFileSync(driver).equals(whole)).toBe(true);
    expect((await install()).installed).toBe(false);
  });

  it("does not trust a folder that others may write to", async () => {
    const { folder } = await install();
    chmodSync(folder, 0o777);
    expect((await install()).installed).toBe(true);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it("lets several processes unpack at once", async () => {
    const all = await Promise.all([install(), install(), install()]);
    expect(new Set(all.map((each) => each.folder)).size).toBe(1);
    expect(all.some((each) => each.installed)).toBe(true);
    expect(readdirSync(join(bench.cache, "unmoor")).filter((name) => name.startsWith("."))).toEqual([]);
    expect((await install()).installed).toBe(false);
  });

  it("says what to do where the cache folder cannot be made", async () => {
    const file = join(bench.cache, "..", "file");
    writeFileSync(file, "");
    const ended = await bench.run(
      `import { ensureSoftwareAdapter } from "./index.js";
       await ensureSoftwareAdapter().catch((error) => console.log(error.name, error.message, error.mend));`,
      { XDG_CACHE_HOME: file },
    );
    expect(ended.stdout).toMatch(/^LackError SwiftShader cannot be unpacked into .*: .*point XDG_CACHE_HOME/);
    expect(existsSync(join(file, "unmoor"))).toBe(false);
  });
});

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[5000] = (bytes[5000] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
