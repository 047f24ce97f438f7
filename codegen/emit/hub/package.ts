import { sha256 } from "../../../ir/core/hash.ts";
import type { LaunchPlan, WgslSources } from "../wgsl/index.ts";
import { dtypeOf, wordsOf } from "./dtype.ts";
import { amount, argument, dispatch, size } from "./expression.ts";

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

type Buffer = LaunchPlan["buffers"][number];
type Kernel = LaunchPlan["kernels"][number];

/** The operation's domain; its id is that and the layer's name. */
const domain = "dev.unmoor";

/** Where the files of a kernel repository lie. */
export const folder = "build/webgpu";

/**
 * A compiled layer in the package layout of Hugging Face's WebGPU kernels: a card, and in build/webgpu manifest, tests, benchmarks, metadata and
 * shader templates. docs/webgpu.md says what is known of the layout, and from where.
 * @param test cases for test.json
 * @param bench cases for bench.json
 */
export function hubPackage(
  { plan, modules }: WgslSources,
  version: string,
  test: readonly Json[],
  bench: readonly Json[],
): ReadonlyMap<string, string> {
  const id = `${domain}.${plan.name}`;
  const json = (value: Json): string => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map<string, string>([
    ["manifest.json", json(manifestOf(plan))],
    ["test.json", json({ schemaVersion: 1, op: id, cases: test })],
    ["bench.json", json({ schemaVersion: 1, op: id, cases: bench })],
    ...[...modules].map(([path, text]) => [templateOf(path), text] as const),
  ]);
  const digests = Object.fromEntries([...files].map(([path, text]) => [path, sha256(new TextEncoder().encode(text))]));
  const metadata: Json = {
    id,
    version: 1,
    digest: { algorithm: "sha256", files: digests },
    provenance: { generator: "unmoor", version, params: plan.params },
  };
  return new Map([
    ["README.md", card(plan, id)],
    [`${folder}/metadata.json`, json(metadata)],
    ...[...files].map(([path, text]) => [`${folder}/${path}`, text] as const),
  ]);
}

const templateOf = (module: string): string => `${module.replace(/^kernels\//, "").replace(/\.wgsl$/, "")}.wgsl.jinja`;

/** The contract and the one variant: preparation and kernels as passes, workspace as intermediates. */
export function manifestOf(plan: LaunchPlan): Json {
  const byRole = (...roles: readonly Buffer["role"][]) => plan.buffers.filter((b) => roles.includes(b.role));
  const given = byRole("input", "weight");
  const outputs = byRole("output");
  const args = [...given, ...outputs].map((b) => [
    argument(b.name),
    { kind: "tensor", role: b.role === "output" ? "output" : "input", dtype: dtypeOf(b.dtype), required: true },
  ]);
  return {
    schemaVersion: 1,
    domain,
    name: plan.name,
    sinceVersion: 1,
    inputs: given.map((b) => ({ role: argument(b.name), dtype: dtypeOf(b.dtype), description: describe(b) })),
    outputs: outputs.map((b) => ({
      role: argument(b.name),
      dtype: dtypeOf(b.dtype),
      shape: shapeOf(b),
      description: describe(b),
    })),
    args: Object.fromEntries(args),
    attributes: {},
    typeConstraints: {},
    derive: Object.fromEntries(plan.symbols.map((symbol) => [symbol, symbolOf(plan, symbol)])),
    variants: [
      {
        id: "main",
        default: true,
        requiredFeatures: plan.requires.features,
        requiredLimits: constantLimits(plan),
        intermediates: intermediatesOf(plan),
        passes: [...plan.prepare, ...plan.kernels].map((kernel) => passOf(plan, kernel)),
      },
    ],
  };
}

const describe = (b: Buffer): string =>
  `${b.dtype}[${b.dims.map((dim) => amount(dim)).join(", ")}]${b.part ? `, elements from ${b.part.first} on of the weight ${b.part.of}` : ""}`;

/** A buffer's shape: as the layer has it, or of elements narrower than a word as the words that hold them. */
const shapeOf = (b: Buffer): readonly Json[] =>
  dtypeOf(b.dtype) === "uint32" ? [wordsOf(b)] : b.dims.map((dim) => size(dim));

/** A run-time size, from a dimension of an input that is a multiple of it. */
function symbolOf(plan: LaunchPlan, symbol: string): string {
  for (const b of plan.buffers) {
    if (b.role !== "input" || dtypeOf(b.dtype) === "uint32") continue;
    for (const [d, dim] of b.dims.entries()) {
      const [term, second] = dim;
      if (!term || second || term.factors.join() !== symbol) continue;
      const found = `dim(shapes.${argument(b.name)}, ${d})`;
      return term.coefficient === 1 ? found : `${found} / ${term.coefficient}`;
    }
  }
  throw new Error(`no input of ${plan.name} tells ${symbol}`);
}

const constantLimits = (plan: LaunchPlan): Record<string, number> =>
  Object.fromEntries(
    Object.entries(plan.requires.limits).flatMap(([name, values]) => {
      const constants = values.flatMap((v) => (v.every((t) => t.factors.length === 0) ? [evaluateConstant(v)] : []));
      return constants.length > 0 ? [[name, Math.max(...constants)]] : [];
    }),
  );

const evaluateConstant = (value: LaunchPlan["slots"][number]["bytes"][number]): number =>
  value.reduce((sum, t) => sum + t.coefficient, 0);

/** Workspace, and what is made of weights: this layout has no step at load, so it is made at each call. */
function intermediatesOf(plan: LaunchPlan): readonly Json[] {
  const words = (bytes: readonly string[]): string => `max(4, ${bytes.map((b) => `ceilDiv(${b}, 4)`).join(", ")})`;
  return [
    ...plan.slots.map((slot, i) => ({ id: `slot_${i}`, dtype: "uint32", shape: [words(slot.bytes.map(amount))] })),
    ...plan.buffers.flatMap((b) =>
      b.role === "prepared" ? [{ id: argument(b.name), dtype: "uint32", shape: [words([amount(b.bytes)])] }] : [],
    ),
  ];
}

function passOf(plan: LaunchPlan, kernel: Kernel): Json {
  const buffers = new Map(plan.buffers.map((b) => [b.name, b]));
  const resource = (name: string): string => {
    const slot = buffers.get(name)?.slot;
    return slot === undefined ? argument(name) : `slot_${slot}`;
  };
  const scratch = (access: "read" | "read_write") =>
    kernel.bindings.flatMap((b) => {
      const role = buffers.get(b.buffer)?.role;
      return b.access === access && (role === "temporary" || role === "prepared") ? [resource(b.buffer)] : [];
    });
  const storage = kernel.bindings.map(({ binding, buffer, access }) => ({
    name: argument(buffer),
    arg: resource(buffer),
    role: resource(buffer),
    binding,
    buffer: { type: access === "read" ? "read-only-storage" : "storage" },
    elementType: "u32",
  }));
  const uniform = kernel.symbols
    ? [
        {
          name: "symbols",
          binding: kernel.symbols.binding,
          buffer: { type: "uniform" },
          struct: {
            name: "Symbols",
            fields: kernel.symbols.names.map((name) => ({
              name,
              type: "i32",
              value: kernel.symbols?.constants[name] ?? name,
            })),
          },
        },
      ]
    : [];
  return {
    id: argument(kernel.name),
    name: kernel.name,
    source: { kind: "template", shader: templateOf(kernel.module), inputs: {} },
    entryPoint: kernel.entryPoint,
    bindings: [...storage, ...uniform],
    dispatch: dispatch(kernel),
    reads: scratch("read"),
    writes: scratch("read_write"),
    metadata: { source: JSON.stringify(`${kernel.origin.summary} (${kernel.origin.source})`) },
  };
}

function card(plan: LaunchPlan, id: string): string {
  const row = (b: Buffer): string =>
    `| \`${argument(b.name)}\` | ${b.role} | ${dtypeOf(b.dtype)} | ${describe(b).replaceAll("|", "\\|")} |`;
  const shown = plan.buffers.filter((b) => b.role === "input" || b.role === "weight" || b.role === "output");
  const call = shown
    .filter((b) => b.role !== "output")
    .map((b) => `  ${argument(b.name)}: { data: ${argument(b.name)}, shape: [${b.dims.map(amount).join(", ")}] },`);
  return [
    "---",
    "library_name: kernels",
    "tags:",
    "- kernel",
    "- webgpu",
    "- wgsl",
    "---",
    "",
    `# ${id}`,
    "",
    `The layer ${plan.name}, compiled to WGSL by Unmoor at ${Object.entries(plan.params)
      .map((p) => p.join(" = "))
      .join(", ")}.`,
    "",
    "| name | role | dtype | shape |",
    "|---|---|---|---|",
    ...shown.map(row),
    "",
    "```js",
    'import { getKernel } from "@huggingface/kernels";',
    "",
    "// The loader takes kernels of other publishers than its own only where it is told to trust them.",
    `const layer = await getKernel("<repository>", { version: 1, trustRemoteCode: true });`,
    `const outputs = await layer({`,
    ...call,
    "});",
    "```",
    "",
    ...(plan.prepare.length > 0
      ? [
          "What is made of weights once in Unmoor's own form is made at each call here: the layout has no step at load.",
          "",
        ]
      : []),
  ].join("\n");
}
