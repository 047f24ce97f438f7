/** One layer in every storage that a target reads, against the oracle; and the storages that only some layers' rows are read in. */
import { test } from "vitest";
import { type Storage, storages, type TargetName } from "../codegen/target.ts";
import { blockMultiple, isBlockFormat } from "../ir/core/block-formats.ts";
import { example, expectAgreement, small, variants } from "./support.ts";

/** Milliseconds. Several tests share one thread while they wait for compilers, on a machine that may be busy. */
const patience = 600_000;

/** The example with rows of two blocks, and of one. */
const sizes = (storage: Storage) => {
  const block = isBlockFormat(storage) ? blockMultiple(storage) : 32;
  return { ...small, H: block >= 128 ? block : 2 * block, I: block };
};

/** Those that the matrix of examples leaves out, on WGSL few; all of them in the long run of tests. */
const storagesOf = (target: TargetName): readonly Storage[] => {
  if (process.env.UNMOOR_TEST_ALL === "1") return storages;
  if (target === "simd-c") return ["f16", "q4_k", "q6_k", "int4_64", "mxfp4", "fp8"];
  return target === "ascend" ? ["f16", "int8"] : ["f16"];
};

const targets = await variants();

test.concurrent.each(
  targets.flatMap(([name, isa]) => storagesOf(name).map((storage) => [name, isa, storage] as const)),
)("%s %s agrees in %s", { timeout: patience }, (name, isa, storage) =>
  expectAgreement(example, sizes(storage), name, isa, [storage]),
);

test.concurrent.each(targets)(
  "%s %s agrees in mxfp4 where gate and up lie row by row",
  { timeout: patience },
  (name, isa) => expectAgreement("examples/gpt-oss.ts", { H: 32, I: 32, E: 3, K: 2 }, name, isa, ["mxfp4"]),
);
