import type { Backend } from "../../backends/backend.ts";

/** What the names of a variant's records begin with. */
export const recordPrefix = (backend: Backend, isa: string): string => `${backend.name}-${isa}-`;
