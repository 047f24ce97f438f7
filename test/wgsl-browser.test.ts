/** What compile writes for WebGPU, in a browser: a page with nothing but a script of its own. */
import { createReadStream, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { elementsOf } from "../backends/wgsl/elements.ts";
import { createWgsl } from "../backends/wgsl/index.ts";
import { openPage } from "../bench/web/testing.ts";
import { findChromium, launch } from "../bench/web-peers/browser.ts";
import { compileLayer } from "../codegen/compile.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { casesFor } from "../runtime/check/cases.ts";
import { splitByRole } from "../runtime/check/check.ts";
import { compareWithOracle } from "../runtime/check/compare.ts";
import { readLayer } from "../runtime/source.ts";
import { example, small, smallParams, temporaryFolder, unmoor } from "./support.ts";

const chromium = findChromium();

const page = `<!doctype html>
<link rel="icon" href="data:," />
<script type="module">
  import { createRunner, fetchPlan } from "./run.js";
  const { weights, inputs, dims } = await (await fetch("given.json")).json();
  const arrays = (given) =>
    Object.fromEntries(Object.entries(given).map(([name, [type, numbers]]) => [name, globalThis[type].from(numbers)]));
  const adapter = await navigator.gpu.requestAdapter();
  const layer = await createRunner(await adapter.requestDevice(), await fetchPlan(new URL("./", import.meta.url)));
  await layer.setWeights(arrays(weights));
  const { outputs } = await layer.run(arrays(inputs), dims);
  window.outputs = Object.entries(outputs).map(([name, { dtype, dims, data }]) => [name, dtype, dims, [...data]]);
</script>
`;

test.skipIf(!chromium)(
  "a plain page runs the folder, weights in parts, and agrees with the oracle",
  async () => {
    const folder = temporaryFolder();
    const limits = join(temporaryFolder(), "limits.json");
    writeFileSync(limits, '{"maxStorageBufferBindingSize": 4096}');
    const compile = ["compile", example, ...smallParams, "--target", "wgsl", "--limits", limits, "--out", folder];
    expect((await unmoor(compile)).status).toBe(0);

    const target = createWgsl().target("wgsl");
    const compilation = compileLayer(
      await readLayer({ file: example, params: small, cache: undefined }),
      target,
      "f32",
    );
    const given = [...casesFor(compilation, 1)].find((c) => c.name === "3 tokens");
    if (!given || !chromium) throw new Error("there is no case of 3 tokens");
    const { weights, inputs } = splitByRole(compilation.stored, given.tensors);
    const numbers = (tensors: ReadonlyMap<string, Tensor>, role: "weight" | "input") =>
      Object.entries(elementsOf(compilation.program, tensors, role)).map(([name, data]) => [
        name,
        [data.constructor.name, [...data]],
      ]);
    const json = {
      weights: Object.fromEntries(numbers(weights, "weight")),
      inputs: Object.fromEntries(numbers(inputs, "input")),
      dims: given.dims,
    };
    writeFileSync(join(folder, "given.json"), JSON.stringify(json));
    writeFileSync(join(folder, "index.html"), page);

    const browser = await launch(chromium, true);
    onTestFinished(() => browser.close());
    const { page: opened, complaints } = await openPage(browser, await serve(folder));
    const found = await opened
      .waitForFunction("window.outputs", undefined, { timeout: 60_000 })
      .then((handle) => handle.jsonValue() as Promise<[string, "f32" | "i32", number[], number[]][]>);
    expect(complaints).toEqual([]);
    const outputs = new Map(
      found.map(([name, dtype, dims, data]) => [
        name,
        { dtype, dims, data: dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data) },
      ]),
    );
    expect(compareWithOracle(compilation, given.tensors, given.dims, outputs, false).disagreements).toEqual([]);
    expect(outputs.size).toBeGreaterThan(1);
  },
  120_000,
);

/** Serves a folder, as any server of static files would. */
async function serve(folder: string): Promise<string> {
  const types: Readonly<Record<string, string>> = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
  };
  const server = createServer(({ url = "/" }, response) => {
    const path = url === "/" ? "/index.html" : url;
    response.setHeader("Content-Type", types[extname(path)] ?? "text/plain");
    createReadStream(join(folder, path))
      .on("error", () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
