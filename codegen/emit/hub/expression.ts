import type { LaunchPlan } from "../wgsl/index.ts";

type Polynomial = LaunchPlan["slots"][number]["bytes"][number];

/** A polynomial as an expression of the manifest's language, which is Jinja's. */
export const amount = (polynomial: Polynomial): string =>
  polynomial.length === 0
    ? "0"
    : polynomial
        .map(({ coefficient, factors }) =>
          [...(coefficient === 1 && factors.length > 0 ? [] : [coefficient]), ...factors].join(" * "),
        )
        .join(" + ");

/** A size: a number where it is known. */
export const size = (polynomial: Polynomial): string | number =>
  polynomial.every((t) => t.factors.length === 0)
    ? polynomial.reduce((sum, t) => sum + t.coefficient, 0)
    : amount(polynomial);

/** A name that manifests take: that of a buffer, where the dot of a part becomes an underscore. */
export const argument = (name: string): string => name.replaceAll(".", "_");

/** Workgroups of a kernel along two dimensions, as one takes only so many; none for sizes at which it is not launched. */
export function dispatch({ grid, workgroupSize, when }: LaunchPlan["kernels"][number]): {
  readonly x: string;
  readonly y: string;
} {
  const blocks = grid.length === 0 ? "1" : grid.map((extent) => `(${amount(extent)})`).join(" * ");
  const groups = `ceilDiv(${blocks}, ${workgroupSize})`;
  const y = `max(1, ceilDiv(${groups}, device.limits.maxComputeWorkgroupsPerDimension))`;
  const x = `ceilDiv(${groups}, ${y})`;
  if (when === undefined) return { x, y };
  const below = when.below === undefined ? "" : ` and ${amount(when.of)} < ${when.below}`;
  return { x: `(${x} if ${amount(when.of)} >= ${when.from}${below} else 0)`, y };
}
