import { codes as language } from "../ir/frontend/codes.ts";

/**
 * Every code of a diagnostic. Codes are stable: a meaning never changes, a code is never reused. U0xx: the language (listed in
 * the frontend); U1xx and U2xx: what a target can do; U3xx: weights, inputs and files; U4xx: the command line.
 */
export const codes = {
  ...language,
  U200: { title: "Layer that cannot be compiled" },
  U201: { title: "Sizes that do not fit the parameters" },
  U211: { title: "Storage that a target does not read" },
  U213: { title: "Buffer too large for a target" },
  U214: { title: "Too little memory of a kind in a target" },
  U215: { title: "Too many buffers in a kernel" },
  U216: { title: "Too many blocks in a grid" },
  U301: { title: "Missing weight" },
  U302: { title: "Weight of another shape" },
  U303: { title: "Type of tensor that cannot be read" },
  U304: { title: "Missing input" },
  U305: { title: "Input of another shape" },
  U306: { title: "Sizes of inputs that contradict each other, or tell too little" },
  U310: { title: "Place that cannot be written" },
  U311: { title: "Tensor file that cannot be read or written" },
  U401: { title: "Unknown option" },
  U402: { title: "Unknown command" },
  U403: { title: "Missing argument or option" },
  U404: { title: "Too many arguments" },
  U405: { title: "Value that an option does not take" },
  U406: { title: "Parameter that is not NAME=VALUE" },
  U407: { title: "Variant that no chosen target has" },
  U500: { title: "Something that this machine lacks" },
  U900: { title: "Fault in Unmoor" },
} as const satisfies Record<string, { readonly title: string }>;

export type Code = keyof typeof codes;
