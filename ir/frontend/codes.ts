/**
 * Every diagnostic that reading a layer from source can give. Codes are stable: a meaning never changes, a code is never reused.
 * `help` is the mend where the place itself does not suggest a better one.
 */
export const codes = {
  U001: { title: "File cannot be read", help: "Check the path, and that the file may be read." },
  U002: { title: "Not valid TypeScript", help: "Mend the syntax at this place." },
  U003: {
    title: "No layer in the file",
    help: 'Declare one: import { layer } from "unmoor"; export const myLayer = layer({ … }, (p, x, w) => …).',
  },
  U004: { title: "Several layers and none named", help: "Name one with --layer NAME." },
  U005: { title: "No layer of this name", help: "Name a layer that the file declares." },
  U006: { title: "Import of something that does not exist", help: "Import a name that the module exports." },
  U007: { title: "Name that is not defined", help: "Define the name before its use, or import it." },
  U008: {
    title: "Function that a layer cannot call",
    help: 'Call the functions of "unmoor", or functions that this file or a file next to it defines.',
  },
  U009: {
    title: "Construct outside the language",
    help: "A layer is made of constants, if, conditionals, for … of, functions, and calls. See docs/language.md.",
  },
  U010: {
    title: "Change of a value",
    help: "Make a new value. Only a variable that the same function declares with let can be assigned.",
  },
  U011: { title: "Unknown parameter", help: "Give a parameter that the layer declares." },
  U012: { title: "Parameter that is not a number", help: "Give a finite number." },
  U013: { title: "Size that is not a whole number", help: "Give a whole number." },
  U014: { title: "Unknown member", help: "Use a member that exists." },
  U015: {
    title: "Missing type of a tensor",
    help: 'Write the type: x: Tensor<["T", "H"]>, w: { gate: Tensor<["E", "I", "H"]> }.',
  },
  U016: { title: "Unknown dtype", help: 'Write one of the dtypes, or "auto" to let the compiler choose among floats.' },
  U017: {
    title: "Not a dimension",
    help: 'Write a tuple of names, whole numbers, and sums and products of them: ["T", "E+Z", "2*I", 64].',
  },
  U018: {
    title: "Dimension of a weight that is no parameter",
    help: "Weights are loaded once, so their sizes must be parameters of the layer. Declare it, or mend the name.",
  },
  U019: {
    title: "Inner dimensions differ",
    help: "linear(x [..., K], w [N, K]) multiplies along K: the last dimension of both must be the same.",
  },
  U020: { title: "Shapes that do not fit", help: "Change the operands so that their shapes fit." },
  U021: { title: "More experts chosen than there are", help: "Lower topK, or raise the number of experts." },
  U022: { title: "Unknown option", help: "Leave it out, or mend its name." },
  U023: { title: "Wrong value of an option", help: "Give one of the values that the option takes." },
  U024: { title: "Wrong number of arguments", help: "Give as many arguments as the function takes." },
  U025: { title: "Value of the wrong kind", help: "Give a value of the expected kind." },
  U026: {
    title: "Result that is no tensor",
    help: "Return a tensor, or an object whose members are tensors: return { y, ids: routing.ids }.",
  },
  U027: {
    title: "Value not known at compile time",
    help: "Decide on parameters and constants only: they are known when the layer is compiled, elements of tensors are not.",
  },
  U028: { title: "Calls or loops without end", help: "Make the recursion or the loop end." },
  U029: { title: "Name given twice", help: "Give each input, weight and size its own name." },
  U030: { title: "Malformed layer", help: "Write layer({ H: 64, … }, (p, x: Tensor<…>, w: { … }) => …)." },
  U031: {
    title: "Wrong published name of a weight",
    help: 'Write "name", "prefix.{e}.suffix" for a tensor per expert, or { tensor, dims, part }. See docs/language.md.',
  },
  U032: {
    title: "Parts of a router that contradict each other",
    help: "Leave one of them out. docs/language.md says what each part of a router means.",
  },
  U033: { title: "Groups that do not fit the experts", help: "Give groups of one size that hold all experts." },
  U040: {
    title: "Wrong expression over a config",
    help: 'Write a text of keys, numbers, + - * / ( ) and ??, such as "num_experts ?? num_local_experts".',
  },
  U041: {
    title: "Config that leaves something out",
    help: 'Give a config that has it, give the parameter with --param, or write a default into the layer: "key ?? 1".',
  },
  U042: { title: "Value of the wrong kind in a config", help: "Give a config that has a number there." },
  U043: {
    title: "Config that a layer is not for",
    help: "The layer would compute something else than this model does. Give another layer, or another config.",
  },
  U044: {
    title: "Layer that does not read a config",
    help: 'Leave the config out, or say how parameters read from it: { config: { H: "hidden_size" } }.',
  },
  U060: {
    title: "Result that the layer does not compute",
    help: "Return what the layer makes of it; an input or a weight as it is needs no layer.",
  },
  U061: { title: "Tensor returned under two names", help: "Return each tensor once." },
  U062: { title: "Name declared twice", help: "Give each its own name." },
  U063: { title: "Name used before its declaration", help: "Move the declaration up, before its first use." },
  U064: { title: "Member given twice", help: "Leave one of them out." },
  U065: {
    title: "Input or weight that is never used",
    help: "Use it, or leave it out of the types: whoever calls the layer would have to give it for nothing.",
  },
  U066: {
    title: "Part of JavaScript's run time",
    help: 'A layer is read, never executed: only numbers, tensors and the functions of "unmoor" exist in it.',
  },
  U067: {
    title: "Expert's number used as a number",
    help: "Its one use is as an index: w.gate[e]. To treat experts differently, give each its own weights.",
  },
  U068: {
    title: "Stacked weights of another number of experts",
    help: "Stack one tensor for each FFN expert: the first dimension is the number given as experts: { ffn }.",
  },
  U069: {
    title: "Dtypes that do not fit",
    help: "Give float tensors here. Whole numbers are ids: of tokens, and of experts.",
  },
  U070: { title: "Number that is not a number", help: "Mend the arithmetic: no tensor may become NaN by a constant." },
  U071: { title: "Layer that grows too large", help: "Make loops shorter, or expressions smaller." },
  U072: { title: "Function that ends without return", help: "Return a value on every way through the function." },
  U073: { title: "Import that is not by name", help: 'Write import { linear, type Tensor } from "unmoor".' },
  U074: {
    title: "Layer that is no named constant",
    help: "Declare it at the top of the file: export const myLayer = layer(…).",
  },
  U075: {
    title: "Function that an expert's body cannot call",
    help: "Call it outside of mix, or say the expert by what its body may use. docs/language.md lists that.",
  },
  U076: {
    title: "Expert's body that does not use its token",
    help: "Compute with the token. What is the same for every token is said by experts: { constant: w.vectors }.",
  },
  U077: { title: "Many errors", help: "Mend those above; others may go with them." },
} as const satisfies Record<string, { readonly title: string; readonly help: string }>;

export type Code = keyof typeof codes;
