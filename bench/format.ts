/** H 256, I 128: parameters in words. */
export const formatParams = (params: Readonly<Record<string, number>>): string =>
  Object.entries(params)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

/** A number with three digits: 0.00123, 1.23, 123, 12,300; whole numbers as they are. */
export function digits(value: number): string {
  if (!Number.isFinite(value) || Math.abs(value) >= 1e15) return value > 0 ? "∞" : "?";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -4) return value.toExponential(1);
  const places = Math.max(0, 2 - magnitude);
  return value.toLocaleString("en-US", { maximumFractionDigits: places, minimumFractionDigits: places });
}

/** A whole number with its thousands apart: 12,345. Not by `Intl`, whose first use costs more than a small command's work. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
