import type { SourceTree } from "../backends/backend.ts";
import { wgslLanguage } from "../backends/wgsl/functions.ts";
import type { Compilation } from "../codegen/compile.ts";
import { goldenFiles } from "../codegen/emit/ascend/index.ts";
import { dtypeOf } from "../codegen/emit/hub/dtype.ts";
import { argument } from "../codegen/emit/hub/expression.ts";
import { hubPackage, type Json } from "../codegen/emit/hub/package.ts";
import { emitWgsl, type LaunchPlan } from "../codegen/emit/wgsl/index.ts";
import type { Target } from "../codegen/target.ts";
import { elementArrays } from "../ir/core/tensor.ts";
import { goldenData } from "./golden.ts";
import { unmoorVersion } from "./version.ts";

type Buffer = LaunchPlan["buffers"][number];

/** Test cases hold their tensors in the text: no more than so many elements. */
const mostElements = 2 ** 16;

/** Tokens of the benchmark cases: one, a few, many. */
const benchTokens = [1, 16, 128];

/** A target for packages. They have no step at load: floats are read where they are, not packed at each call. */
export const hubTarget = (target: Target): Target =>
  target.matmul.kind === "registers" ? { ...target, matmul: { ...target.matmul, packed: false } } : target;

/**
 * A layer compiled for WebGPU as a package in the layout of Hugging Face's WebGPU kernels. test.json has a case with what the oracle says
 * and how far rounding may lead from it, where the layer's tensors are small.
 */
export function hubFiles(compilation: Compilation): SourceTree {
  const { program, target } = compilation;
  const sources = emitWgsl(program, wgslLanguage, target.limits.bufferBytes);
  return hubPackage(sources, unmoorVersion(), testCases(compilation, sources.plan), benchCases(sources.plan));
}

const isGiven = (b: Buffer): boolean => b.role === "input" || b.role === "weight";

const shapeAt = (b: Buffer, dims: Readonly<Record<string, number>>): readonly number[] => {
  const value = (polynomial: Buffer["bytes"]): number =>
    polynomial.reduce((sum, t) => sum + t.factors.reduce((p, f) => p * (dims[f] ?? 0), t.coefficient), 0);
  return dtypeOf(b.dtype) === "uint32" ? [Math.ceil(value(b.bytes) / 4)] : b.dims.map(value);
};

const benchCases = (plan: LaunchPlan): readonly Json[] =>
  benchTokens.map((tokens) => {
    const dims = Object.fromEntries(plan.symbols.map((symbol) => [symbol, tokens]));
    const inputs = plan.buffers.flatMap((b) =>
      isGiven(b) ? [[argument(b.name), { dtype: dtypeOf(b.dtype), shape: shapeAt(b, dims) }]] : [],
    );
    return { id: `tokens_${tokens}`, inputs: Object.fromEntries(inputs) };
  });

function testCases(compilation: Compilation, plan: LaunchPlan): readonly Json[] {
  const files = goldenData(compilation);
  const bytesOf = (name: string): Uint8Array => files.get(`${goldenFiles.folder}/${name}`) ?? new Uint8Array();
  const text = new TextDecoder().decode(bytesOf(goldenFiles.dims)).trim();
  if (text === "") return [];
  const dims = Object.fromEntries(text.split("\n").map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
  const shaped = plan.buffers.map((b) => ({ b, shape: shapeAt(b, dims) }));
  const elements = shaped.reduce((sum, { b, shape }) => sum + (isGiven(b) ? shape.reduce((x, y) => x * y, 1) : 0), 0);
  if (elements > mostElements || plan.buffers.some((b) => b.part)) return [];
  const numbers = (bytes: Uint8Array, b: Buffer | undefined): readonly number[] => {
    const dtype = b && dtypeOf(b.dtype);
    const Elements = !dtype
      ? Float64Array
      : elementArrays[dtype === "float32" ? "f32" : dtype === "int32" ? "i32" : "u32"];
    // Words are whole.
    const whole = new Uint8Array(Math.ceil(bytes.length / Elements.BYTES_PER_ELEMENT) * Elements.BYTES_PER_ELEMENT);
    whole.set(bytes);
    return [...new Elements(whole.buffer)];
  };
  const inputs = shaped.flatMap(({ b, shape }) =>
    isGiven(b)
      ? [[argument(b.name), { dtype: dtypeOf(b.dtype), shape, data: numbers(bytesOf(goldenFiles.given(b.name)), b) }]]
      : [],
  );
  const outputs = shaped.flatMap(({ b, shape }) =>
    b.role === "output"
      ? [
          [
            argument(b.name),
            {
              dtype: dtypeOf(b.dtype),
              shape,
              data: numbers(bytesOf(goldenFiles.expected(b.name)), undefined),
              bound: numbers(bytesOf(goldenFiles.bound(b.name)), undefined),
            },
          ],
        ]
      : [],
  );
  return [{ id: "oracle", inputs: Object.fromEntries(inputs), outputs: Object.fromEntries(outputs) }];
}
