/** The page as it is built, in the system's Chromium with its software GPU. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findChromium, launch } from "../web-peers/browser.ts";
import type { RunRecord } from "./record.ts";
import { openPage, type ServedPage, servePage } from "./testing.ts";

const chromium = findChromium();
const title =
  chromium === undefined
    ? "the page in Chromium: skipped, since this machine has none (apt-get install chromium, or set UNMOOR_CHROMIUM)"
    : "the page in Chromium";

const every = process.env.UNMOOR_TEST_ALL === "1";
const examples = readdirSync(join(import.meta.dirname, "../../examples")).filter((file) => file.endsWith(".ts"));
/** A router with identity experts, one with groups, one with its own experts' function, a decoder layer with a cache. */
const some = ["longcat-moe.ts", "deepseek-v3.ts", "gpt-oss.ts", "longcat-block.ts"];

/** Runs the layer that the page shows and gives what it would share. */
async function runShown(page: Page): Promise<RunRecord> {
  await page.locator("#run:not([disabled])").click();
  await page.locator("#stop:not([hidden])").waitFor();
  await page.locator("#stop").waitFor({ state: "hidden" });
  const json = page.locator("#json");
  if ((await json.count()) === 0) throw new Error((await page.locator("#status").textContent()) ?? "");
  return JSON.parse((await json.locator(".line").allTextContents()).join("\n"));
}

describe.skipIf(chromium === undefined)(title, () => {
  let served: ServedPage;
  let browser: Browser;
  beforeAll(async () => {
    [served, browser] = await Promise.all([servePage(), launch(chromium ?? "", true)]);
  });
  afterAll(async () => {
    await browser?.close();
    await served?.close();
  });

  test("shows every example, compiled, with its source", async () => {
    const { page, complaints } = await openPage(browser, served.url);
    const options = page.locator("#layer option");
    expect(await options.evaluateAll((all) => all.map((o) => o.getAttribute("value")))).toEqual(examples);
    for (const file of examples) {
      await page.selectOption("#layer", file);
      await page.getByText(/\d kernels/).waitFor();
      expect(await page.locator("#dsl").textContent(), file).toContain("export const");
      expect(await page.locator("#wgsl").textContent(), file).toContain("@compute");
      expect(await page.locator("#dsl .marked").count(), file).toBe(1);
    }
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test.each(every ? examples : some)("%s agrees with the oracle, and has figures", async (file) => {
    const { page, complaints } = await openPage(browser, `${served.url}#layer=${file}&tokens=5&runs=3&seed=7`);
    const record = await runShown(page);
    expect(record).toMatchObject({ format: "unmoor-web-run-1", file, seed: 7, agrees: true, disagreements: [] });
    expect(record.max_error_over_bound).toBeLessThanOrEqual(1);
    expect(record.max_error_over_bound).toBeGreaterThan(0);
    expect(record.milliseconds).toHaveLength(3);
    expect(record.evidence).toBe("emulated"); // Chromium without a GPU computes on the CPU
    expect(await page.locator("#result .good").textContent()).toContain("Agrees");
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test.each(["bf16", "q8_0", "q4_0"])("agrees with weights in %s", async (storage) => {
    const { page, complaints } = await openPage(
      browser,
      `${served.url}#layer=longcat-moe.ts&storage=${storage}&tokens=5&runs=1&seed=7`,
    );
    const record = await runShown(page);
    expect(record).toMatchObject({ storage, agrees: true, disagreements: [] });
    expect(record.max_error_over_bound).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("a storage that the layer's sizes do not have is refused in words, and f32 still runs", async () => {
    const { page } = await openPage(browser, `${served.url}#layer=gemma4.ts&storage=q8_0&tokens=2&runs=1`);
    await page.locator("#status.error").waitFor();
    expect(await page.locator("#status").textContent()).toMatch(/32/);
    expect(await page.locator("#run").isDisabled()).toBe(true);
    await page.selectOption("#storage", "f32");
    expect(await runShown(page)).toMatchObject({ storage: "f32", agrees: true });
    await page.context().close();
  });

  test("a wrong result is called wrong, and has no figure", async () => {
    const { page } = await openPage(browser, `${served.url}#layer=longcat-moe.ts&tokens=3&runs=3`);
    await page.evaluate(() => {
      const { getMappedRange } = GPUBuffer.prototype;
      GPUBuffer.prototype.getMappedRange = function (...given) {
        const range = getMappedRange.apply(this, given);
        new Float32Array(range)[0] += 1;
        return range;
      };
    });
    const record = await runShown(page);
    expect(record).toMatchObject({ agrees: false, milliseconds: [] });
    expect(record.disagreements.length).toBeGreaterThan(0);
    expect(await page.locator("#result .bad").textContent()).toContain("Not what the oracle computes");
    expect(await page.locator("#result").textContent()).not.toContain("Median");
    await page.context().close();
  });

  test("sizes without sense are refused, and nothing runs", async () => {
    const { page } = await openPage(browser, `${served.url}#layer=olmoe.ts`);
    for (const [field, value] of [
      ["#tokens", "-1"],
      ["#tokens", "1.5"],
      ["#runs", ""],
      ['[name="H"]', "0"],
    ] as const) {
      const before = await page.locator(field).inputValue();
      await page.fill(field, value);
      await page.locator(field).blur();
      await page.locator("#status.error").waitFor();
      expect(await page.locator("#run").isDisabled(), `${field} = ${value}`).toBe(true);
      await page.fill(field, before);
      await page.locator(field).blur();
      await page.locator("#run:not([disabled])").waitFor();
    }
    await page.context().close();
  });

  test("a run is given up with Stop, and another one works", async () => {
    const { page } = await openPage(browser, `${served.url}#layer=longcat-moe.ts&tokens=64&runs=1000`);
    await page.locator("#run:not([disabled])").click();
    await page.getByText("Timing …").waitFor();
    await page.locator("#stop").click();
    await page.getByText("Stopped.").waitFor();
    await page.fill("#runs", "2");
    expect(await runShown(page)).toMatchObject({ agrees: true });
    await page.context().close();
  });

  test("is used with the keyboard alone, on a narrow screen", async () => {
    const narrow = { width: 360, height: 780 };
    const { page, complaints } = await openPage(browser, `${served.url}#layer=longcat-moe.ts&tokens=2&runs=1`, narrow);
    await page.locator("#run:not([disabled])").waitFor();
    const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.id ?? "");
    const reached: string[] = [];
    for (let i = 0; i < 40 && !reached.includes("wgsl"); i++) {
      await page.keyboard.press("Tab");
      reached.push(await focused());
    }
    expect(reached).toEqual(
      expect.arrayContaining(["layer", "storage", "tokens", "runs", "seed", "run", "kernel", "dsl", "wgsl"]),
    );
    await page.locator("#seed").focus();
    await page.keyboard.press("Enter");
    await page.locator("#result .good").waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(narrow.width);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("without a GPU it says so, and shows the code", async () => {
    const plain = await launch(chromium ?? "", false);
    try {
      const { page } = await openPage(plain, `${served.url}#layer=olmoe.ts`);
      await page.locator("#adapter:not([hidden])").waitFor();
      expect(await page.locator("#adapter").textContent()).toContain("no adapter");
      await page.getByText("They cannot be run here.").waitFor();
      expect(await page.locator("#run").isDisabled()).toBe(true);
      expect(await page.locator("#wgsl").textContent()).toContain("@compute");
    } finally {
      await plain.close();
    }
  });
});
