/** The page as it is built, in the system's Chromium with its software GPU. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunRecord } from "./record.ts";
import { findChromium, launch, openPage, type ServedPage, servePage } from "./testing.ts";

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
      await page.locator("#run:not([disabled])").waitFor();
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
});
