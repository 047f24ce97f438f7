import { elementsOf } from "../../backends/wgsl/elements.ts";
import { wgslLanguage } from "../../backends/wgsl/functions.ts";
import type { Elements, LoadedPlan } from "../../backends/wgsl/support/run.js";
import { wgslTarget } from "../../backends/wgsl/target.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { emitWgsl } from "../../codegen/emit/wgsl/index.ts";
import { bufferBytes } from "../../codegen/memory.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import type { Storage } from "../../codegen/target.ts";
import { DiagnosticError, IrError } from "../../ir/core/diagnostic.ts";
import { layerHash } from "../../ir/core/hash.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { seededTensor } from "../../runtime/check/cases.ts";
import { type Agreement, compareWithOracle } from "../../runtime/check/compare.ts";
import { grouped, workOf } from "../work.ts";
import { withParams } from "./example.ts";

/** What the page shows and runs of a compiled layer. */
export interface CompiledLayer {
  readonly loaded: LoadedPlan;
  /** Hash of what the layer means, at its sizes. */
  readonly hash: string;
  readonly weightBytes: number;
}

/** Seeded weights and inputs, as the run module takes them. */
export interface RunData {
  readonly weights: Readonly<Record<string, Elements>>;
  readonly inputs: Readonly<Record<string, Elements>>;
  readonly dims: Readonly<Record<string, number>>;
}

/** What the oracle says of a run, and the work that its routing made. */
export interface Verdict extends Agreement {
  readonly flops: number;
  readonly bytes: number;
}

export type Outputs = Readonly<Record<string, Tensor>>;

/** Bytes of weights that a page may take: they are held for the device, for the oracle, and on the device. */
const MOST_BYTES = 64 * 2 ** 20;

/** Compiling a layer and holding its runs against the oracle: all that needs no device and no document. */
export class Session {
  #compilation: Compilation | undefined;
  #tensors: ReadonlyMap<string, Tensor> = new Map();
  #dims: Readonly<Record<string, number>> = {};

  /** Compiles a layer in textual form, with its weights in a storage. Throws Error in words for a visitor. */
  compile(text: string, params: Readonly<Record<string, number>>, storage: Storage): CompiledLayer {
    return inWords(() => {
      const layer = withParams(parseLayer(text), params);
      const compilation = compileLayer(layer, wgslTarget, storage);
      const weights = compilation.program.buffers.filter((b) => b.role === "weight");
      const weightBytes = weights.reduce((sum, b) => sum + bufferBytes(b).evaluate(), 0);
      if (weightBytes > MOST_BYTES)
        throw new IrError(
          `the weights take ${Math.ceil(weightBytes / 2 ** 20)} MiB at these sizes, and this page takes ${MOST_BYTES / 2 ** 20} MiB`,
          "Choose smaller sizes, or run unmoor bench on the command line.",
        );
      const { plan, modules } = emitWgsl(compilation.program, wgslLanguage);
      this.#compilation = compilation;
      return { loaded: { plan, modules: Object.fromEntries(modules) }, hash: layerHash(layer), weightBytes };
    });
  }

  /** Weights and inputs for a number of tokens, the same for the same seed on every machine. */
  data(tokens: number, seed: number): RunData {
    return inWords(() => {
      const { program, stored } = this.#compiled();
      const dims = Object.fromEntries(program.symbols.map((symbol) => [symbol, tokens]));
      const tensors = new Map(stored.args.map((a) => [a.value.name, seededTensor(stored, a, dims, seed)]));
      this.#tensors = tensors;
      this.#dims = dims;
      return {
        weights: elementsOf(program, programWeights(program, tensors), "weight"),
        inputs: elementsOf(program, tensors, "input"),
        dims,
      };
    });
  }

  /** Compares the outputs of a run on that data with the oracle. */
  compare(outputs: Outputs): Verdict {
    return inWords(() => {
      const compilation = this.#compiled();
      const agreement = compareWithOracle(compilation, this.#tensors, this.#dims, new Map(Object.entries(outputs)));
      const chosen = compilation.program.choices.flatMap(({ ids, weights }) => {
        const data = outputs[ids]?.data;
        return weights !== undefined && data instanceof Int32Array ? [data] : [];
      });
      return { ...agreement, ...workOf(grouped(compilation), this.#dims, chosen) };
    });
  }

  #compiled(): Compilation {
    if (!this.#compilation) throw new IrError("no layer is compiled yet", "Compile one first.");
    return this.#compilation;
  }
}

/** Runs `work`; what it says of wrong input is said with how to mend it. */
function inWords<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof IrError) throw new Error(`${error.message}. ${error.help}`);
    if (error instanceof DiagnosticError)
      throw new Error(error.diagnostics.map((d) => `${d.message}. ${d.help}`).join("\n"));
    throw error;
  }
}
