import type { LaunchPlan } from "../wgsl/index.ts";
import { amount } from "./expression.ts";

/** The tensor type that holds a dtype: elements narrower than a word are given as the words that they lie in. */
export const dtypeOf = (dtype: LaunchPlan["buffers"][number]["dtype"]): "float32" | "int32" | "uint32" =>
  dtype === "f32" ? "float32" : dtype === "i32" ? "int32" : "uint32";

/** How many words a buffer takes, as an expression. */
export const wordsOf = (buffer: LaunchPlan["buffers"][number]): string => `ceilDiv(${amount(buffer.bytes)}, 4)`;
