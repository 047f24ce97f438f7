import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkWritable, writeTree, writeWhole } from "./files.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const tree = new Map([
  ["a.c", "one"],
  ["inner/b.c", "two"],
]);
const unwritable = { diagnostics: [{ code: "U310" }] };

describe("writeTree", () => {
  test("makes folders, replaces files, and leaves others and nothing of its own", async () => {
    const out = join(folder, "x", "y");
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "a.c"), "old");
    writeFileSync(join(out, "mine"), "mine");
    await writeTree(out, tree);
    expect(readdirSync(out).sort()).toEqual(["a.c", "inner", "mine"]);
    expect(readFileSync(join(out, "a.c"), "utf8")).toBe("one");
    expect(readFileSync(join(out, "inner", "b.c"), "utf8")).toBe("two");
  });

  test("changes nothing where one of the files cannot have its name", async () => {
    mkdirSync(join(folder, "inner", "b.c"), { recursive: true });
    writeFileSync(join(folder, "a.c"), "old");
    await expect(writeTree(folder, tree)).rejects.toMatchObject(unwritable);
    expect(readdirSync(folder).sort()).toEqual(["a.c", "inner"]);
    expect(readFileSync(join(folder, "a.c"), "utf8")).toBe("old");
  });

  test("removes the folders that it made when a file cannot be written", async () => {
    const files = new Map([...tree, [`${"n".repeat(300)}.c`, "too long a name"]]);
    await expect(writeTree(join(folder, "new", "out"), files)).rejects.toMatchObject(unwritable);
    expect(existsSync(join(folder, "new"))).toBe(false);
  });

  test.runIf(process.platform === "linux")(
    "ends where the file system refuses folders as if they were missing",
    async () => {
      await expect(writeTree("/proc/unmoor/out", tree)).rejects.toMatchObject(unwritable);
    },
  );
});

describe("single files", () => {
  test("are replaced whole", async () => {
    const path = join(folder, "report.json");
    await writeWhole(path, "one");
    await writeWhole(path, "two");
    expect(readdirSync(folder)).toEqual(["report.json"]);
    expect(readFileSync(path, "utf8")).toBe("two");
  });

  test.each([
    ["a folder", ""],
    ["a place below a missing folder", "missing/file"],
  ])("are refused at %s, before and while they are written", async (_, name) => {
    const path = join(folder, name);
    await expect(checkWritable(path)).rejects.toMatchObject(unwritable);
    await expect(writeWhole(path, "text")).rejects.toMatchObject(unwritable);
    expect(readdirSync(folder)).toEqual([]);
  });
});
