export { parseLayer } from "./parser.ts";
export { type PrintOptions, printLayer } from "./printer.ts";
