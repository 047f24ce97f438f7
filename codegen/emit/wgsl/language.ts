import type { ScalarType } from "../../../ir/core/scalar.ts";
import type { BasicOp } from "../../tile/composites.ts";

/** How tightly a WGSL expression binds, loosest first. `and` and `or` do not mix without parentheses. */
export const levels = ["or", "and", "relational", "additive", "multiplicative", "unary", "primary"] as const;
export type Level = (typeof levels)[number];

/** A scalar operation as WGSL writes it: data that the backend supplies, tested one by one on a device. */
export interface WgslFunction {
  /** Text with holes {a} {b} {c}. */
  readonly text: string;
  /** How tightly the text binds. */
  readonly level: Level;
  /** Per hole, the loosest operand that stands there without parentheses. */
  readonly operands: readonly Level[];
  /** A shorter form for i32 where no operand is negative and the second is a positive constant. */
  readonly natural?: { readonly text: string; readonly level: Level; readonly operands: readonly Level[] };
  /** What it gives on arguments of the type, rounded to f32 or wrapped to 32 bits: the executable meaning. bool is 0 or 1. */
  meaning(type: ScalarType, a: number, b: number, c: number): number;
  /** Largest error of a device in units in the last place of f32, at this argument; absent: correctly rounded or exact. */
  ulps?(a: number, b: number): number;
  /** Arguments for which the result is indeterminate in WGSL and not compared. */
  indeterminate?(a: number, b: number): boolean;
}

/**
 * What modules use beyond what all devices have: the directive that says so, and whether a device must be asked for it, as opposed to
 * what an implementation of WGSL knows or does not.
 */
export const wgslFeatures = {
  subgroups: { directive: "enable subgroups;", ofDevice: true },
  "shader-f16": { directive: "enable f16;", ofDevice: true },
  packed_4x8_integer_dot_product: { directive: "requires packed_4x8_integer_dot_product;", ofDevice: false },
} as const;
export type WgslFeature = keyof typeof wgslFeatures;
/** Those that a device is asked for. */
export type DeviceFeature = {
  [F in WgslFeature]: (typeof wgslFeatures)[F]["ofDevice"] extends true ? F : never;
}[WgslFeature];

/** Lanes of a subgroup that may read rows for each other: a quad, which subgroups of all sizes have, or eight, which those from 8 on have. */
export type SharingLanes = 4 | 8;
/** What a kernel calls a lane's place among them. */
export const placeAmong = { 4: "quad", 8: "octet" } as const satisfies Record<SharingLanes, string>;

/** The vocabulary of the target: scalar operations, and support functions by name, which texts may call. */
export interface WgslLanguage {
  readonly functions: Readonly<Record<BasicOp, WgslFunction>>;
  /** Declarations of the support functions: those of `functions`, infinity, not_a_number, and order_key for top-k. */
  readonly helpers: Readonly<Record<string, string>>;
  /** Invocations per workgroup, at most. */
  readonly workgroupSize: number;
  /** Features of the device that modules may enable where it serves them. */
  readonly features?: readonly WgslFeature[];
  /** Lanes that every subgroup has at least, where kernels may count on more than a quad. */
  readonly subgroupLanes?: SharingLanes;
}
