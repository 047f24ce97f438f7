import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { LackError } from "../../backends/backend.ts";
import { installFolder } from "../../runtime/version.ts";
import { findChromium, launch } from "./browser.ts";
import type { RaceResult, RaceTrack } from "./entry.ts";
import { pack, unpack } from "./transfer.ts";

const types: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** Pages with these headers get a finer clock. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const tfjs = (name: string): string =>
  `<script src="/bench/web-peers/node_modules/@tensorflow/tfjs-${name}/dist/tf-${name}.min.js"></script>`;

/** tfjs as it comes for a page; without the peers these are missing, and nothing asks for them. */
const html = `<!doctype html><title>bench:web</title>${tfjs("core")}${tfjs("backend-cpu")}${tfjs("backend-webgpu")}`;

/**
 * Races in the system's Chromium, without a window.
 * @throws LackError where there is none
 */
export async function chromiumTrack(): Promise<RaceTrack> {
  const executable = findChromium();
  if (executable === undefined)
    throw new LackError("there is no Chromium", "apt-get install -y chromium, or name one in UNMOOR_CHROMIUM");
  const told = new Told();
  const server = await serve(told);
  // Without the last argument its timestamps are rounded to 0.1 ms.
  const browser = await launch(executable, true, ["--enable-webgpu-developer-features"]);
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
  };
  try {
    const page = await browser.newPage();
    const { port } = server.address() as AddressInfo;
    await page.goto(`http://localhost:${port}/`);
    return {
      where: `Chromium ${browser.version()}`,
      close,
      async race(entries, options) {
        told.ask({ entries, options });
        const module = "/dist/bench/web-peers/page.js";
        const parts = await page.evaluate(`import(${JSON.stringify(module)}).then((page) => page.answer())`);
        return told.answer(Number(parts)) as RaceResult;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the page is asked, and what it answers. */
class Told {
  #asked: ReturnType<typeof pack> = pack(undefined);
  readonly #answered = new Map<string, Buffer>();

  ask(question: unknown): void {
    this.#asked = pack(question);
    this.#answered.clear();
  }

  /** What to serve at /told/…: the text, or a part. */
  at(name: string): Uint8Array | string | undefined {
    return name === "text" ? this.#asked.text : this.#asked.parts[Number(name)];
  }

  hear(name: string, bytes: Buffer): void {
    this.#answered.set(name, bytes);
  }

  answer(parts: number): unknown {
    const part = (i: number): ArrayBuffer => new Uint8Array(this.#answered.get(String(i)) ?? []).buffer;
    return unpack(
      this.#answered.get("text")?.toString() ?? "",
      Array.from({ length: parts }, (_, i) => part(i)),
    );
  }
}

/** Serves the installation's files, on this machine only, and what is told. */
async function serve(told: Told): Promise<Server> {
  const root = installFolder();
  const content = async (request: IncomingMessage): Promise<Uint8Array | string | undefined> => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    if (pathname === "/") return html;
    const name = pathname.match(/^\/told\/(\w+)$/)?.[1];
    if (name === undefined) return readFileSync(join(root, pathname));
    if (request.method !== "POST") return told.at(name);
    told.hear(name, await buffer(request));
    return "";
  };
  const server = createServer(async (request, response) => {
    const found = await content(request).catch(() => undefined);
    const type = types[extname(request.url ?? "")] ?? (request.url === "/" ? "text/html" : "application/octet-stream");
    response.writeHead(found === undefined ? 404 : 200, { ...headers, "Content-Type": type }).end(found);
  });
  await new Promise<void>((done) => server.listen(0, "localhost", done));
  return server;
}
