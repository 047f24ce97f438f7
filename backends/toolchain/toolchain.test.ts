import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { LackError } from "../backend.ts";
import { cachedLibrary } from "./cache.ts";
import { buildLibrary, findCompiler } from "./compiler.ts";

const root = mkdtempSync(join(tmpdir(), "unmoor-toolchain-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
/** A path of a folder that does not exist yet. */
const fresh = (): string => join(root, `folder${made++}`);
const key = "0123456789abcdef".repeat(2);
const built = (text: string) => vi.fn(async () => Buffer.from(text));

describe("the cache of compiled libraries", () => {
  it("is the user's alone, whatever the umask, and leaves nothing half-written", async () => {
    const before = process.umask(0);
    try {
      const folder = fresh();
      const path = await cachedLibrary(folder, key, built("code"));
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(statSync(path).mode & 0o077).toBe(0);
      expect(readdirSync(folder)).toHaveLength(1);
    } finally {
      process.umask(before);
    }
  });

  it("closes a folder that others may only read", async () => {
    const folder = fresh();
    mkdirSync(folder, { mode: 0o700 });
    chmodSync(folder, 0o755);
    await cachedLibrary(folder, key, built("code"));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it("builds a library anew that is not what was written, and says so", async () => {
    const folder = fresh();
    const path = await cachedLibrary(folder, key, built("code"));
    const build = built("code");
    expect(await cachedLibrary(folder, key, build)).toBe(path);
    expect(build).not.toHaveBeenCalled();
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      writeFileSync(path, "evil");
      expect(await cachedLibrary(folder, key, build)).toBe(path);
      expect(readFileSync(path, "utf8")).toBe("code");
      expect(build).toHaveBeenCalledOnce();
      expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`${path} is not what was written there`));
    } finally {
      warn.mockRestore();
    }
  });

  it("may be written by several at once", async () => {
    const folder = fresh();
    const paths = await Promise.all(Array.from({ length: 8 }, () => cachedLibrary(folder, key, built("code"))));
    expect(new Set(paths).size).toBe(1);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it.each<readonly [what: string, make: (folder: string) => void, why: string]>([
    [
      "a folder that others may write to",
      (folder) => {
        mkdirSync(folder);
        chmodSync(folder, 0o777);
      },
      "others may write to it",
    ],
    [
      "a folder of a group",
      (folder) => {
        mkdirSync(folder);
        chmodSync(folder, 0o770);
      },
      "others may write to it",
    ],
    ["a link to another folder", (folder) => symlinkSync(root, folder), "no folder but a link"],
  ])("refuses %s, with the mend, and builds nothing", async (_, make, why) => {
    const folder = fresh();
    make(folder);
    const build = built("code");
    const error = await cachedLibrary(folder, key, build).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LackError);
    expect(error).toMatchObject({
      message: expect.stringContaining(why),
      mend: expect.stringContaining("XDG_CACHE_HOME"),
    });
    expect(build).not.toHaveBeenCalled();
  });

  it("refuses a folder in one where others may put another in its place", async () => {
    const above = fresh();
    mkdirSync(above);
    chmodSync(above, 0o777);
    await expect(cachedLibrary(join(above, "mine"), key, built("code"))).rejects.toThrow("another folder in its place");
    chmodSync(above, 0o1777);
    await expect(cachedLibrary(join(above, "mine"), key, built("code"))).resolves.toContain(key);
  });

  it.skipIf(process.getuid?.() === undefined)("refuses a folder of another user", async () => {
    const folder = fresh();
    mkdirSync(folder, { mode: 0o700 });
    const owner = vi.spyOn(process as { getuid(): number }, "getuid").mockReturnValue(4242);
    try {
      await expect(cachedLibrary(folder, key, built("code"))).rejects.toThrow("belongs to another user");
    } finally {
      owner.mockRestore();
    }
  });
});

describe("the compiler", () => {
  it("is started without a shell: what a name holds is no command", async () => {
    const mark = join(root, "mark");
    const choice = { language: "C", variable: "CC", candidates: ["cc"], mend: "get one" };
    for (const CC of [`cc; touch ${mark}`, `$(touch ${mark})`, `cc && touch ${mark}`])
      await expect(findCompiler(choice, { CC }))
        .rejects.toThrow("which does not run")
        .catch(() => {});
    const script = join(root, "cc");
    writeFileSync(script, "#!/bin/sh\necho cc 1.0; exit 0\n", { mode: 0o755 });
    const compiler = await findCompiler(choice, { CC: script });
    const sources = new Map([["a.c", ""]]);
    await buildLibrary(compiler, sources, [`; touch ${mark}`], [`$(touch ${mark})`], { title: "x", mend: "y" }).catch(
      () => {},
    );
    expect(existsSync(mark)).toBe(false);
  });

  it("is found by a path with spaces, and by one from here, though it runs elsewhere", async () => {
    const folder = join(root, "my tools");
    mkdirSync(folder);
    const script = join(folder, "cc");
    writeFileSync(script, '#!/bin/sh\n[ "$1" = --version ] && exec echo cc 1.0\necho built >"$2"\n', { mode: 0o755 });
    const choice = { language: "C", variable: "CC", candidates: ["cc"], mend: "get one" };
    for (const CC of [script, relative(process.cwd(), script)]) {
      const compiler = await findCompiler(choice, { CC });
      const library = await buildLibrary(compiler, new Map(), [], [], { title: "x", mend: "y" });
      expect(library.toString()).toBe("built\n");
    }
    const plain = join(root, "wrapped");
    writeFileSync(plain, "#!/bin/sh\necho $1\n", { mode: 0o755 });
    expect(await findCompiler(choice, { CC: `${plain} cc` })).toEqual({ command: [plain, "cc"], version: "cc" });
  });
});
