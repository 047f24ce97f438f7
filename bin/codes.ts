import { codes as language } from "../ir/frontend/codes.ts";

/**
 * Every code of a diagnostic. Codes are stable: a meaning never changes, a code is never reused. U0xx: the language (listed in
 * the frontend); U1xx and U2xx: what a target can do; U3xx: weights, inputs and files; U4xx: the command line.
 */
export const codes = {
  ...language,
  U101: {
    title: "IR text of another form",
    help: "Write it as the text form has it: print a layer or a kernel to see.",
  },
  U102: { title: "IR text that breaks a rule", help: "Change the operation as the message says." },
  U200: { title: "Layer that cannot be compiled", help: "Change the layer as the message says." },
  U201: { title: "Sizes that do not fit the parameters", help: "Give parameters that fit each other." },
  U211: {
    title: "Storage that a target does not read",
    help: "Compile with a storage that the target reads, or choose another target.",
  },
  U213: { title: "Buffer too large for a target", help: "Choose smaller sizes or fewer experts, or another target." },
  U214: { title: "Too little memory of a kind in a target", help: "Choose smaller sizes, or another target." },
  U215: { title: "Too many buffers in a kernel", help: "Split the expression into smaller steps." },
  U216: { title: "Too many blocks in a grid", help: "Choose smaller sizes." },
  U217: {
    title: "Expression that a target cannot write",
    help: "Say it with other functions, or choose another target.",
  },
  U218: {
    title: "Rows that a storage cannot hold: its blocks do not divide them, or they are too long",
    help: "Choose sizes that are multiples of the block, or another storage.",
  },
  U221: { title: "No such kernel in a C++ file", help: "Name a kernel of the file with --kernel." },
  U222: {
    title: "Ascend C that does not compile",
    help: "Call it as Ascend C declares it; what the emulator lacks is listed in docs/ascend.md.",
  },
  U223: {
    title: "Fault in a kernel that the Ascend emulator found",
    help: "Do what the message says; docs/ascend.md says what is checked, and how.",
  },
  U301: { title: "Missing weight", help: "Give a file that holds it, or correct the published names in the layer." },
  U302: { title: "Weight of another shape", help: "Give the sizes of the checkpoint with --param, or another file." },
  U303: { title: "Type of tensor that cannot be read", help: "Convert the tensor to a type that is read." },
  U304: { title: "Missing input", help: "Name a tensor of the file as the input." },
  U305: { title: "Input of another shape", help: "Give a tensor of the right shape, or the right sizes with --param." },
  U306: {
    title: "Sizes of inputs that contradict each other, or tell too little",
    help: "Give inputs for the same number of tokens.",
  },
  U307: { title: "Weights that a checkpoint holds several times", help: "Choose one with --prefix." },
  U308: {
    title: "Tensors that a layer should use and does not",
    help: "Give the sizes of the checkpoint with --config or --param, mend the layer, or accept them with --allow-unused.",
  },
  U309: { title: "Id of nothing", help: "Give ids that exist, or the sizes of the model with --config or --param." },
  U310: { title: "Place that cannot be written", help: "Give another place, or change its permissions." },
  U311: {
    title: "Tensor file that cannot be read or written",
    help: "Check the path; download or write the file again.",
  },
  U312: { title: "Config that cannot be read", help: "Give the path of a model's config.json." },
  U401: { title: "Unknown option", help: "See the help of the command." },
  U402: { title: "Unknown command", help: "See unmoor --help." },
  U403: { title: "Missing argument or option", help: "Give it; the help of the command says what it is." },
  U404: { title: "Too many arguments", help: "Give one file to a command." },
  U405: { title: "Value that an option does not take", help: "Give one of the values that the option takes." },
  U406: { title: "Parameter that is not NAME=VALUE", help: "Write --param NAME=VALUE, such as --param H=256." },
  U407: {
    title: "Variant that no chosen target has",
    help: "Give a variant that unmoor doctor lists, or leave --isa out.",
  },
  U408: {
    title: "Argument that no parameter of a kernel takes",
    help: "Give --arg NAME=… for each parameter, in one of the forms that unmoor ascend run --help lists.",
  },
  U409: {
    title: "Limits that cannot be read",
    help: "Give default, phone, adapter, or the path of a JSON file with limits by WebGPU's names.",
  },
  U410: { title: "Layout that a target does not have", help: "Choose the target that has it, or leave --layout out." },
  U500: {
    title: "Something that this machine lacks",
    help: "Do what the message says: it names the command where there is one.",
  },
  U900: { title: "Fault in Unmoor", help: "Set UNMOOR_DEBUG=1 to see where, and report it." },
} as const satisfies Record<string, { readonly title: string; readonly help: string }>;

export type Code = keyof typeof codes;
