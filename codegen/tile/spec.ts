import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import { dtypeBytes, formatType } from "../../ir/core/types.ts";
import type { Program, ProgramBuffer } from "../program.ts";
import { checkKernel } from "./kernel-spec.ts";
import { expressionsOf, subexpressions, viewsOf } from "./shape.ts";
import { formatRange } from "./text.ts";
import type { Kernel, Statement } from "./types.ts";

export { checkKernel } from "./kernel-spec.ts";

/**
 * Checks a program and returns it. Throws IrError where it breaks a rule:
 *
 * - Names of buffers are unique, and so are names of kernels. A kernel's buffers are the program's, with the same type.
 * - `prepare` reads weights and prepared buffers and writes prepared ones; `kernels` write temporaries and outputs.
 * - Temporaries, outputs and prepared buffers are written before they are read, and once read only a kernel that has them
 *   as readwrite changes them. Every output is written.
 * - Kernels that are launched for some sizes only are forms of one: neighbours that write the same buffers, whose ranges of one size
 *   follow each other from 0 on without a gap, the last without an end. A form may be several kernels. None is in `prepare`.
 * - Results and choices name outputs, each once. Every temporary that kernels use has one slot; buffers of one slot are
 *   never in use at once, and the slot has room for each.
 * - An alias is a temporary with the dtype and as many elements as the temporary that it names, which is no alias itself. They
 *   share a slot and live together; kernels only read the alias, none that writes the other.
 */
export function checkProgram(program: Program): Program {
  const buffers = new Map<string, ProgramBuffer>();
  for (const b of program.buffers) {
    if (buffers.has(b.name)) fail(program, `buffer ${b.name} once`, "a second one", "Give each buffer its own name.");
    for (const symbol of b.dims.flatMap((d) => d.symbols)) {
      if (!program.symbols.includes(symbol))
        fail(
          program,
          `symbols ${program.symbols.join(", ") || "(none)"} in ${b.name}`,
          symbol,
          "Replace parameters by their values.",
        );
    }
    buffers.set(b.name, b);
  }
  for (const b of program.buffers) if (b.alias !== undefined) checkAlias(program, b, buffers.get(b.alias));
  const names = new Set<string>();
  for (const kernel of [...program.prepare, ...program.kernels]) {
    if (names.has(kernel.name))
      fail(program, `kernel ${kernel.name} once`, "a second one", "Give each kernel its own name.");
    names.add(kernel.name);
    checkKernel(kernel, program.symbols);
    checkBuffers(program, kernel, buffers);
  }
  const written = new Set<string>();
  const read = new Set<string>();
  const checkOrder = (kernels: readonly Kernel[], reads: readonly string[], writes: readonly string[]): void => {
    for (const kernel of kernels) checkAccesses(program, kernel, buffers, { written, read, reads, writes });
  };
  checkForms(program);
  checkOrder(program.prepare, ["weight", "prepared"], ["prepared"]);
  checkOrder(program.kernels, ["input", "weight", "prepared", "temporary", "output"], ["temporary", "output"]);
  for (const b of program.buffers) {
    if ((b.role === "output" || b.role === "prepared") && !written.has(b.name))
      fail(program, `a kernel that writes ${b.role} ${b.name}`, "none", "Write it, or leave it out.");
  }
  checkResults(program, buffers);
  checkMemory(program, buffers);
  return program;
}

/** Kernels for ranges of a size: for each size those of one range write what all of them write. */
function checkForms(program: Program): void {
  const help = "Give every size one kernel.";
  const once = program.prepare.find((k) => k.when);
  if (once) fail(program, "preparation for all sizes", `kernel ${once.name} under a condition`, help);
  const writes = (kernels: readonly Kernel[]): string =>
    [...new Set(kernels.flatMap((k) => k.buffers).flatMap((b) => (b.access === "read" ? [] : [b.name])))]
      .sort()
      .join(", ");
  /** The form that another one must go on after. */
  let open: { readonly kernels: readonly Kernel[]; readonly of: Dim; readonly below: number } | undefined;
  const expectClosed = (found: string): void => {
    if (open === undefined) return;
    const { kernels, of, below } = open;
    const last = kernels.at(-1)?.name;
    fail(program, `a kernel that writes ${writes(kernels)} when ${of} from ${below} after ${last}`, found, help);
  };
  for (const kernels of formsOf(program.kernels)) {
    const [{ when } = { when: undefined }] = kernels;
    const found = `${kernels.map((k) => k.name).join(" and ")}${when ? ` when ${formatRange(when)}` : ""}`;
    const goesOn =
      open !== undefined &&
      when?.from === open.below &&
      when.of.equals(open.of) &&
      writes(kernels) === writes(open.kernels);
    if (!goesOn) {
      expectClosed(found);
      if (when && when.from > 0)
        fail(program, `a kernel when ${when.of} from 0 before ${kernels[0]?.name}`, found, help);
    }
    open = when?.below === undefined ? undefined : { kernels, of: when.of, below: when.below };
  }
  expectClosed("none");
}

/** Neighbours that are launched for the same range of a size; each kernel that is launched for all sizes alone. */
function formsOf(kernels: readonly Kernel[]): readonly (readonly Kernel[])[] {
  const forms: Kernel[][] = [];
  for (const kernel of kernels) {
    const before = forms.at(-1)?.[0]?.when;
    const { when } = kernel;
    const same = before && when?.of.equals(before.of) && when.from === before.from && when.below === before.below;
    if (same) forms.at(-1)?.push(kernel);
    else forms.push([kernel]);
  }
  return forms;
}

const countOf = (b: ProgramBuffer): Dim => b.dims.reduce((x, y) => x.times(y), Dim.of(1));

function checkAlias(program: Program, alias: ProgramBuffer, base: ProgramBuffer | undefined): void {
  if (base?.role !== "temporary" || alias.role !== "temporary" || base.alias !== undefined)
    fail(
      program,
      `${alias.name} as another form of a temporary`,
      base?.name ?? "none",
      "Name the buffer that has the memory.",
    );
  if (base.dtype !== alias.dtype || !countOf(base).equals(countOf(alias)))
    fail(program, `as many elements as ${formatType(base)}`, formatType(alias), "Keep dtype and number of elements.");
}

function fail(program: Program, expected: string, found: string, help: string): never {
  throw new IrError(`program ${program.name}: expected ${expected}, found ${found}`, help);
}

function checkBuffers(program: Program, kernel: Kernel, buffers: ReadonlyMap<string, ProgramBuffer>): void {
  for (const b of kernel.buffers) {
    const known = buffers.get(b.name);
    const found = `${formatType(b)} in kernel ${kernel.name}`;
    if (known === undefined) fail(program, "a buffer of the program", `${b.name}: ${found}`, "Add it to the program.");
    if (formatType(known) !== formatType(b))
      fail(program, `${b.name}: ${formatType(known)}`, found, "Use the program's type.");
  }
}

interface Order {
  readonly written: Set<string>;
  readonly read: Set<string>;
  /** Roles that may be read, and that may be written. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

function checkAccesses(
  program: Program,
  kernel: Kernel,
  buffers: ReadonlyMap<string, ProgramBuffer>,
  order: Order,
): void {
  const role = (name: string): string => buffers.get(name)?.role ?? "";
  const memory = (name: string): string => buffers.get(name)?.alias ?? name;
  const changed = new Set(kernel.buffers.filter((b) => b.access !== "read").map((b) => b.name));
  for (const { name, access } of kernel.buffers) {
    const where = `in kernel ${kernel.name}`;
    if (memory(name) !== name && (changed.has(name) || changed.has(memory(name))))
      fail(
        program,
        `only reads of ${name} and ${memory(name)}, which are one`,
        `a write ${where}`,
        "Write another buffer.",
      );
    if (access !== "write" && !order.reads.includes(role(name)))
      fail(
        program,
        `reads of ${order.reads.join(", ")}`,
        `a read of ${role(name)} ${name} ${where}`,
        "Read what exists by then.",
      );
    if (access !== "read" && !order.writes.includes(role(name)))
      fail(
        program,
        `writes to ${order.writes.join(", ")}`,
        `a write to ${role(name)} ${name} ${where}`,
        "Write to a buffer of the layer's own.",
      );
    if (access === "write" && order.read.has(memory(name)))
      fail(
        program,
        `${name} unchanged once it was read`,
        `a write ${where}`,
        "Write another buffer, or declare it readwrite.",
      );
  }
  const made = new Set(["input", "weight"]);
  // A tile may have the name of a buffer that its kernel does not use.
  const own = new Set(kernel.buffers.map((b) => b.name));
  for (const { base, writes } of accesses(kernel.body)) {
    if (!own.has(base)) continue;
    if (writes) order.written.add(base);
    else {
      order.read.add(memory(base));
      if (!made.has(role(base)) && !order.written.has(memory(base)))
        fail(
          program,
          `${base} to be written before it is read`,
          `a read in kernel ${kernel.name}`,
          "Write it in an earlier kernel.",
        );
    }
  }
}

/** Bases that statements read or write, in the order of the text. */
function* accesses(list: readonly Statement[]): Generator<{ readonly base: string; readonly writes: boolean }> {
  for (const s of list) {
    for (const expr of expressionsOf(s)) {
      for (const part of subexpressions(expr)) if (part.kind === "element") yield { base: part.base, writes: false };
    }
    const views = viewsOf(s);
    for (const { view, reads } of views) if (reads) yield { base: view.base, writes: false };
    for (const { view, writes } of views) if (writes) yield { base: view.base, writes: true };
    if (s.kind === "set") yield { base: s.base, writes: true };
    if (s.kind === "for") yield* accesses(s.body);
    if (s.kind === "if") {
      yield* accesses(s.then);
      yield* accesses(s.otherwise);
    }
  }
}

function checkResults(program: Program, buffers: ReadonlyMap<string, ProgramBuffer>): void {
  const expectOutput = (name: string, what: string): void => {
    const role = buffers.get(name)?.role;
    if (role !== "output")
      fail(
        program,
        `an output as ${what}`,
        role === undefined ? `no buffer ${name}` : `${role} ${name}`,
        "Name an output buffer.",
      );
  };
  const names = new Set<string>();
  for (const { name, buffer } of program.results) {
    expectOutput(buffer, `result ${name}`);
    if (names.has(name)) fail(program, `result ${name} once`, "a second one", "Give each result its own name.");
    names.add(name);
  }
  for (const { ids, weights } of program.choices) {
    expectOutput(ids, "ids of a choice");
    if (weights !== undefined) expectOutput(weights, "weights of a choice");
  }
}

function checkMemory(program: Program, buffers: ReadonlyMap<string, ProgramBuffer>): void {
  const lifetimes = new Map<string, { first: number; last: number }>();
  program.kernels.forEach((kernel, i) => {
    for (const { name } of kernel.buffers) {
      const memory = buffers.get(name)?.alias ?? name;
      lifetimes.set(memory, { first: lifetimes.get(memory)?.first ?? i, last: i });
    }
  });
  const placed = new Set<string>();
  for (const slot of program.memory.slots) {
    let busyTo = -1;
    const order = [...slot.buffers].sort((a, b) => (lifetimes.get(a)?.first ?? 0) - (lifetimes.get(b)?.first ?? 0));
    for (const name of order) {
      const buffer = buffers.get(name);
      if (buffer?.role !== "temporary") fail(program, "temporaries in a slot", name, "Place temporaries only.");
      if (placed.has(name)) fail(program, `one slot for ${name}`, "two", "Place each temporary once.");
      placed.add(name);
      const bytes = buffer.dims.reduce((a, b) => a.times(b), Dim.of(dtypeBytes[buffer.dtype]));
      if (!slot.bytes.some((b) => b.equals(bytes)))
        fail(
          program,
          `a slot with room for the ${bytes} bytes of ${name}`,
          `(${slot.bytes.join(", ")})`,
          "List the bytes of each buffer.",
        );
      if (buffer.alias !== undefined && !slot.buffers.includes(buffer.alias))
        fail(program, `${name} in the slot of ${buffer.alias}`, "another", "Place them together.");
      const life = lifetimes.get(name);
      if (!life) continue;
      if (life.first <= busyTo)
        fail(
          program,
          `buffers of one slot at different times`,
          `${name} in use while another is`,
          "Give it a slot of its own.",
        );
      busyTo = life.last;
    }
  }
  for (const b of program.buffers) {
    if (b.role === "temporary" && lifetimes.has(b.name) && !placed.has(b.name))
      fail(program, `a slot for temporary ${b.name}`, "none", "Place every temporary.");
  }
}
