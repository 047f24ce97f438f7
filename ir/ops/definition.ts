import type { AttributeMap, Region, Value } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import type { TensorType } from "../core/types.ts";

/** What an op's reference meaning may ask of the interpreter. */
export interface EvaluationContext {
  /** Values of the symbols and parameters. */
  readonly dims: Readonly<Record<string, number>>;
  /** Runs a region; values from outside it are found in the surrounding layer. */
  runRegion(region: Region, args: readonly Tensor[]): readonly Tensor[];
  /**
   * Where a backend chose among keys closer than the rounding bound, the oracle follows that choice: the whole numbers of the
   * result, or undefined to choose by the exact keys. `report` tells how the choice was made.
   */
  choice(result: Value): Choice;
}

/** A choice among floats, as the oracle makes it. */
export interface Choice {
  /** What a backend chose, row by row. */
  readonly given: Int32Array | undefined;
  /** Whether it is followed even where the bounds at hand do not explain it. */
  readonly trusted: boolean;
  report(outcome: ChoiceOutcome): void;
}

/** Rows (tokens) whose choice lies within the rounding bound, and rows whose given choice no rounding explains. */
export interface ChoiceOutcome {
  readonly ambiguous: readonly number[];
  readonly wrong: readonly number[];
}

/** Work of one operation at concrete dimensions. `bytes` counts each operand and result once (a roofline's traffic). */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/** What one op family means. One file per op in ir/ops. An op without a reference meaning cannot be registered. */
export interface OpDefinition {
  readonly name: string;
  /** One sentence, with shapes. */
  readonly summary: string;
  /**
   * Whether the first result is chosen by comparing floats. Backends give such results as outputs, and the oracle follows them where
   * rounding explains them (see EvaluationContext.choice).
   */
  readonly chooses?: boolean;
  /**
   * Result types for these operands, attributes and regions. Throws IrError, in the words of an author, where they do not fit.
   */
  infer(operands: readonly TensorType[], attributes: AttributeMap, regions: readonly Region[]): readonly TensorType[];
  /**
   * What must hold once parameters have their values: dimensions name run-time sizes only, each any number from 0 on. Throws IrError.
   * Absent where `infer` says all.
   */
  checkSizes?(operands: readonly TensorType[], attributes: AttributeMap): void;
  /** The reference meaning over reals, with the error bound of an implementation that rounds as the dtypes allow. */
  evaluate(
    operands: readonly Tensor[],
    attributes: AttributeMap,
    regions: readonly Region[],
    context: EvaluationContext & { readonly results: readonly Value[] },
  ): readonly Tensor[];
  /**
   * Floating-point operations at concrete dimensions; elementwise ops count one per scalar operation. Ops that work on
   * routed rows count every slot, or as many as `dims.rows` says where the number of routed rows is known.
   * `regions` is given for ops that have them.
   */
  flops(
    operands: readonly TensorType[],
    attributes: AttributeMap,
    results: readonly TensorType[],
    dims: Readonly<Record<string, number>>,
    regions?: readonly Region[],
  ): number;
}
