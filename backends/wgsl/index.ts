export { createWgsl } from "./backend.ts";
export { wgslTarget } from "./target.ts";
