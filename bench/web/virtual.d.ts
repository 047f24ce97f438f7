declare module "virtual:examples" {
  import type { Example } from "./example.ts";
  export const examples: readonly Example[];
  /** Version of Unmoor that the page was built from. */
  export const version: string;
}
