export { parseLayer } from "./parser.ts";
export { printLayer } from "./printer.ts";
