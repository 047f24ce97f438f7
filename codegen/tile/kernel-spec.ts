import { Dim } from "../../ir/core/dim.ts";
import { formatScalar, i32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { isFloat, isFloatElement } from "../../ir/core/types.ts";
import { LaneNames } from "./lanes.ts";
import { identifier, PartChecker, reservedNames, type Scope } from "./part-spec.ts";
import { broadcasts, disjoint, formatShape, sameView, scalarTypeOf, statementsIn, viewShape } from "./shape.ts";
import { formatBuffer, formatRange, formatTile, formatView, statementHead } from "./text.ts";
import type { Kernel, Statement, View } from "./types.ts";

/**
 * What is legal in tile IR, beyond what its types say:
 *
 * - Names of buffers, symbols, block coordinates, loops, scalars and tiles are defined once in a kernel, before use. Inputs
 *   of a map hide nothing. Symbols (T) are i32 scalars.
 * - A view has one index per dimension. Constant positions lie inside the base; `valid` excuses global memory.
 *   Positions of gather are a 1-D i32 tile. A "register" tile is indexed by constants only.
 * - Element types agree: floats convert among each other in copy, map and reduce; integers widen to i32 in copy.
 * - Shapes agree: equal for copy, by the broadcast rule for map, [m, n] [m, k] [n, k] for mma
 *   ([k, n] where b is transposed).
 * - A statement that reads and writes one base does so at the very same elements or at certainly different ones.
 * - Values of fill and map read no elements: name them with let. `valid` needs global memory; local elements beyond it are
 *   zero after copy and undefined after map.
 * - Only the last block coordinate has lanes, of a constant number. Branches and loops around a barrier do not depend on the lane.
 * - A barrier, and a tile in "workgroup", stand in a kernel with lanes, such a tile in the outermost list. Between two barriers no lane
 *   reads or writes an element of it that another one writes.
 * - Buffers are read and written as their access says. The sums of mma and the keys of top_k are tiles,
 *   what prefetch names is a buffer.
 *
 * Checks a kernel and returns it. Throws IrError, with the statement's text, where it breaks a rule.
 * `symbols`: the run-time symbols that exist; default, those that its buffers and grid name.
 */
export function checkKernel(kernel: Kernel, symbols?: readonly string[]): Kernel {
  new KernelChecker(kernel, symbols).check();
  return kernel;
}

class KernelChecker extends PartChecker {
  readonly #kernel: Kernel;
  readonly #symbols: readonly string[] | undefined;
  readonly #lanes: LaneNames;

  constructor(kernel: Kernel, symbols: readonly string[] | undefined) {
    super(kernel.name);
    this.#kernel = kernel;
    this.#symbols = symbols;
    this.#lanes = new LaneNames(kernel);
  }

  check(): void {
    const { name, buffers, grid, when, body } = this.#kernel;
    if (!identifier.test(name))
      this.fail("an identifier as the kernel's name", `"${name}"`, "Use letters, digits and _.");
    const scope: Scope = { scalars: new Map(), bases: new Map() };
    const symbols = new Set(
      [...buffers.flatMap((b) => b.dims), ...grid.map((g) => g.extent), ...(when ? [when.of] : [])].flatMap(
        (d) => d.symbols,
      ),
    );
    if (when && !(when.from >= 0 && when.from < (when.below ?? Number.POSITIVE_INFINITY)))
      this.fail("sizes from some number on, below a larger one", formatRange(when), "Give a range that holds a size.");
    for (const symbol of symbols) {
      if (this.#symbols && !this.#symbols.includes(symbol))
        this.fail(
          `one of the run-time symbols ${this.#symbols.join(", ") || "(none)"}`,
          symbol,
          "Replace parameters by their values.",
        );
    }
    // A symbol that only other kernels use leaves its name free here.
    for (const symbol of symbols) this.define(symbol);
    for (const symbol of this.#symbols ?? symbols) scope.scalars.set(symbol, "i32");
    for (const b of buffers) {
      this.enter(b, formatBuffer(b));
      this.define(b.name);
      this.checkType(b.dtype, b.dims);
      scope.bases.set(b.name, {
        dtype: b.dtype,
        dims: b.dims,
        reads: b.access !== "write",
        writes: b.access !== "read",
        space: undefined,
      });
    }
    for (const part of grid) {
      const { name: coordinate, extent } = part;
      this.enter(part, `grid(${coordinate} = ${extent})`);
      this.define(coordinate);
      if (extent.constant !== undefined && extent.constant < 0)
        this.fail("a grid extent of at least 0", String(extent), "Give the number of blocks.");
      if (part.lanes && (extent.constant === undefined || part !== grid.at(-1)))
        this.fail(
          "lanes along the last coordinate, and their number",
          `${extent}`,
          "Give each lane a block of its own.",
        );
      const list = part.listed === undefined ? undefined : scope.bases.get(part.listed);
      const isList =
        part.listed === undefined ||
        (part === grid[0] &&
          list?.reads === true &&
          list.dtype === "i32" &&
          list.dims.length === 1 &&
          list.dims[0]?.constant === (extent.constant ?? Number.NaN) + 1);
      if (!isList)
        this.fail(
          `the first coordinate, and a buffer i32[${extent} + 1] that is read`,
          `${coordinate} of ${part.listed}`,
          "List the number of values that have work, then the values.",
        );
      scope.scalars.set(coordinate, "i32");
    }
    this.#checkList(body, scope);
  }

  #checkList(list: readonly Statement[], outer: Scope): void {
    const scope: Scope = { scalars: new Map(outer.scalars), bases: new Map(outer.bases) };
    for (const statement of list) {
      this.enter(statement, statementHead(statement));
      this.#checkStatement(statement, scope);
    }
  }

  #checkStatement(s: Statement, scope: Scope): void {
    switch (s.kind) {
      case "for": {
        this.scalar(s.from, "i32", scope);
        this.scalar(s.to, "i32", scope);
        this.#sameForLanes(s);
        if (!Number.isInteger(s.step) || s.step < 1)
          this.fail("a positive whole step", String(s.step), "Count upwards.");
        if (s.unroll !== undefined && !(Number.isInteger(s.unroll) && s.unroll > 1))
          this.fail("2 or more iterations in one", String(s.unroll), "Leave the hint out.");
        this.define(s.name);
        this.#checkList(s.body, { ...scope, scalars: new Map([...scope.scalars, [s.name, "i32"]]) });
        return;
      }
      case "if":
        this.scalar(s.condition, "bool", scope);
        this.#sameForLanes(s);
        this.#checkList(s.then, scope);
        this.#checkList(s.otherwise, scope);
        return;
      case "let":
        this.scalar(s.value, undefined, scope);
        this.define(s.name);
        scope.scalars.set(s.name, s.value.type);
        return;
      case "alloc":
        this.#checkAlloc(s, scope);
        return;
      case "fill": {
        const dtype = this.view(s.dst, scope, { writes: true });
        this.scalar(s.value, scalarTypeOf(dtype), scope);
        this.noElements(s.value, "the value of fill");
        return;
      }
      case "set":
        this.#checkSet(s, scope);
        return;
      case "copy":
        this.#checkCopy(s, scope);
        return;
      case "map":
        this.#checkMap(s, scope);
        return;
      case "mma":
        this.#checkMma(s, scope);
        return;
      case "reduce":
        this.#checkReduce(s, scope);
        return;
      case "top_k":
        this.#checkTopK(s, scope);
        return;
      case "barrier":
        if (!this.#lanes.any) this.fail("a barrier among lanes", "none in the grid", "Give the last coordinate lanes.");
        return;
      case "prefetch":
        this.view(s.src, scope, { reads: true });
        if (this.base(s.src.base, scope).space !== undefined)
          this.fail("a buffer in global memory", `tile ${s.src.base}`, "Prefetch buffers; tiles are near already.");
        if (s.ahead !== undefined) this.scalar(s.ahead, "i32", scope);
        return;
    }
  }

  /** All lanes come to each barrier, however often. */
  #sameForLanes(s: Extract<Statement, { kind: "for" | "if" }>): void {
    if (!this.#lanes.parts(s) || ![...statementsIn([s])].some((inner) => inner.kind === "barrier")) return;
    const decides = s.kind === "if" ? s.condition : this.#lanes.inExpression(s.from) ? s.from : s.to;
    this.fail(
      "barriers that all lanes come to",
      `one where ${formatScalar(decides)} decides for each lane`,
      "Put the barrier outside, and leave the choice to select or valid.",
    );
  }

  #checkAlloc({ tile }: Extract<Statement, { kind: "alloc" }>, scope: Scope): void {
    const { name, dtype, dims, space } = tile;
    this.define(name);
    this.checkType(dtype, []);
    if (!identifier.test(space))
      this.fail("the name of a memory space", `"${space}"`, "Name one of the target's spaces.");
    if (
      space === "workgroup" &&
      !(this.#lanes.any && this.#kernel.body.some((s) => s.kind === "alloc" && s.tile === tile))
    )
      this.fail(
        "a workgroup's tile in the outermost list of a kernel with lanes",
        formatTile(tile),
        "Allocate it there once, for all lanes.",
      );
    if (!dims.every((d) => Number.isSafeInteger(d) && d > 0))
      this.fail("positive whole dimensions", formatTile(tile), "Give every dimension at least 1 element.");
    scope.bases.set(name, { dtype, dims: dims.map((d) => Dim.of(d)), reads: true, writes: true, space });
  }

  #checkSet(s: Extract<Statement, { kind: "set" }>, scope: Scope): void {
    const base = this.base(s.base, scope);
    if (!base.writes)
      this.fail(`a writable buffer or tile`, `${s.base}, which is only read`, "Declare the buffer as written.");
    this.elementIndex(s.base, s.index, scope);
    this.scalar(s.value, scalarTypeOf(base.dtype), scope);
  }

  #checkCopy(s: Extract<Statement, { kind: "copy" }>, scope: Scope): void {
    const masked = s.valid !== undefined;
    const to = this.view(s.dst, scope, { writes: true, masked, valid: s.valid });
    const from = this.view(s.src, scope, { reads: true, masked, valid: s.valid });
    const whole = scalarTypeOf(to) === "i32" && scalarTypeOf(from) === "i32";
    const converts =
      (isFloat(to) && isFloatElement(from)) || to === from || (whole && (to === "i32" || from === "i32"));
    if (!converts)
      this.fail(
        `elements that convert to ${to}`,
        from,
        "Copy between floats, or between integers to i32; use map with toFloat or toInt otherwise.",
      );
    this.#sameShape(s.dst, s.src);
    this.#apart(s.dst, s.src, false);
    this.#valid(s.valid, s.dst, [s.dst, s.src], scope);
  }

  #checkMap(s: Extract<Statement, { kind: "map" }>, scope: Scope): void {
    const masked = s.valid !== undefined;
    const dtype = this.view(s.dst, scope, { writes: true, masked, valid: s.valid });
    const shape = viewShape(s.dst);
    const scalars = new Map(scope.scalars);
    const inputs = new Set<string>();
    for (const { name, view } of s.inputs) {
      if (!identifier.test(name) || reservedNames.has(name))
        this.fail("a name for the input", `"${name}"`, "Use letters, digits and _.");
      if (inputs.has(name) || scope.scalars.has(name) || scope.bases.has(name))
        this.fail("an input name that hides nothing", name, "Give the input another name.");
      inputs.add(name);
      const own = viewShape(view);
      // Broadcast inputs keep the counts of the dimensions that they have.
      const counts = s.valid?.slice(shape.length - own.length);
      scalars.set(name, scalarTypeOf(this.view(view, scope, { reads: true, masked, valid: counts })));
      if (!broadcasts(own, shape))
        this.fail(
          `an input that broadcasts to ${formatShape(shape)}`,
          `${name} ${formatShape(own)}`,
          "Give the input the trailing dimensions of the result, or 1.",
        );
      this.#apart(s.dst, view, true);
    }
    this.scalar(s.value, scalarTypeOf(dtype), { ...scope, scalars });
    this.noElements(s.value, "the value of map");
    this.#valid(s.valid, s.dst, [s.dst, ...s.inputs.map((i) => i.view)], scope);
  }

  #checkMma(s: Extract<Statement, { kind: "mma" }>, scope: Scope): void {
    const acc = this.view(s.acc, scope, { reads: true, writes: true });
    // Rows of global activations beyond `rows` are not touched.
    const taken = s.rows && [s.rows, i32(viewShape(s.a)[1] ?? 0)];
    const a = this.view(s.a, scope, { reads: true, masked: taken !== undefined, valid: taken });
    const b = this.view(s.b, scope, { reads: true });
    if (this.base(s.acc.base, scope).space === undefined)
      this.fail("sums in a tile", `buffer ${s.acc.base}`, "Sum in a tile and copy it out.");
    const whole = a === "i8" && (b === "u8" || b === "i8");
    const mixed = [a, b].includes("f32");
    if (!whole && (!isFloatElement(a) || !isFloatElement(b) || (a !== b && !mixed)))
      this.fail(
        "factors of one float dtype, f32 and another, or i8 and bytes",
        `${a} and ${b}`,
        "Convert one of them.",
      );
    const sum = whole ? "i32" : "f32";
    if (acc !== sum) this.fail(`sums in ${sum}`, acc, `Allocate the tile of sums as ${sum}.`);
    if (s.half !== undefined && b !== "u8") this.fail("halves of bytes in u8", b, "Leave half out.");
    if (s.values !== undefined && (s.half === undefined || !isByteTable(s.values)))
      this.fail("16 bytes for the values of halves", `${s.values.length} numbers`, "Give a byte for each half.");
    const [sums, left, given] = [viewShape(s.acc), viewShape(s.a), viewShape(s.b)];
    const right = s.transposed ? given.toReversed() : given;
    const fits =
      sums.length === 2 &&
      left.length === 2 &&
      right.length === 2 &&
      sums[0] === left[0] &&
      sums[1] === right[0] &&
      left[1] === right[1];
    if (!fits)
      this.fail(
        `shapes [m, n] += [m, k] * ${s.transposed ? "[k, n]" : "[n, k]"}`,
        `${formatShape(sums)} += ${formatShape(left)} * ${formatShape(given)}`,
        s.transposed ? "The second factor has k first." : "Both factors have k last.",
      );
    this.#apart(s.acc, s.a, false);
    this.#apart(s.acc, s.b, false);
    if (s.init) this.scalar(s.init, "bool", scope);
    if (s.rows) this.scalar(s.rows, "i32", scope);
  }

  #checkReduce(s: Extract<Statement, { kind: "reduce" }>, scope: Scope): void {
    const to = this.view(s.dst, scope, { writes: true });
    const from = this.view(s.src, scope, { reads: true });
    if (scalarTypeOf(to) !== scalarTypeOf(from) || scalarTypeOf(to) === "bool")
      this.fail("numbers of one kind", `${to} from ${from}`, "Reduce floats to floats, integers to integers.");
    const [own, source] = [viewShape(s.dst), viewShape(s.src)];
    if (source.length === 0 || formatShape(own) !== formatShape(source.slice(0, -1)))
      this.fail(
        `a result of shape ${formatShape(source.slice(0, -1))}`,
        formatShape(own),
        "Reduce drops the last dimension.",
      );
    this.#apart(s.dst, s.src, false);
  }

  #checkTopK(s: Extract<Statement, { kind: "top_k" }>, scope: Scope): void {
    const keys = this.view(s.keys, scope, { reads: true, writes: true });
    const ids = this.view(s.ids, scope, { writes: true });
    if (this.base(s.keys.base, scope).space === undefined)
      this.fail("keys in a tile", `buffer ${s.keys.base}`, "Copy the keys into a tile: top_k destroys them.");
    if (keys !== "f32" || ids !== "i32")
      this.fail("f32 keys and i32 ids", `${keys} and ${ids}`, "Convert the keys to f32; ids are i32.");
    const [n, k] = [viewShape(s.keys), viewShape(s.ids)];
    if (n.length !== 1 || k.length !== 1 || k[0] > n[0])
      this.fail(
        "keys [n] and ids [k] with k at most n",
        `${formatShape(n)} and ${formatShape(k)}`,
        "Choose no more than there are.",
      );
    this.#apart(s.ids, s.keys, false);
  }

  #sameShape(a: View, b: View): void {
    const [left, right] = [formatShape(viewShape(a)), formatShape(viewShape(b))];
    if (left !== right) this.fail(`a source of shape ${left}`, right, "Copy between views of one shape.");
  }

  /** One statement must not read elements after it wrote them, in whatever order it goes through them. */
  #apart(dst: View, src: View, mayBeSame: boolean): void {
    if (disjoint(dst, src) || (mayBeSame && sameView(dst, src))) return;
    this.fail(`a source apart from ${formatView(dst)}`, formatView(src), "Go through another tile.");
  }

  #valid(valid: readonly ScalarExpr[] | undefined, dst: View, views: readonly View[], scope: Scope): void {
    if (valid === undefined) return;
    const rank = viewShape(dst).length;
    if (valid.length !== rank)
      this.fail(
        `one valid count for each of the ${rank} dimensions of the view`,
        String(valid.length),
        "Give every dimension a count.",
      );
    for (const count of valid) this.scalar(count, "i32", scope);
    if (views.every((v) => ![undefined, "exchange"].includes(this.base(v.base, scope).space)))
      this.fail("global memory beside valid counts", "tiles only", "Leave out valid, or use smaller views.");
  }
}

const isByteTable = (values: readonly number[]): boolean =>
  values.length === 16 && values.every((v) => Number.isInteger(v) && v >= 0 && v < 256);
