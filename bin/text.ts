/** One JSON document with a newline. */
export const jsonDocument = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
