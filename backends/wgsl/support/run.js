// Runs a launch plan made by Unmoor on a WebGPU device that the caller gives. Depends on nothing.
//
//   import { createRunner, fetchPlan } from "./run.js";
//   const adapter = await navigator.gpu.requestAdapter();
//   const layer = await createRunner(await adapter.requestDevice(), await fetchPlan(new URL("./", import.meta.url)));
//   await layer.setWeights({ gate, up, down, router, bias });
//   const { outputs } = await layer.run({ x }, { T: 16 });
//
// Flags of WebGPU, so that the module needs no globals.
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const UNIFORM = 0x40;
const STORAGE = 0x80;
const INDIRECT = 0x100;
const COMPUTE = 0x4;
const READ = 0x1;

const UPLOAD_CHUNK = 32 * 2 ** 20;
/**
 * Operations of one submission, about: a second at 100 Gflop/s. Systems reset a GPU whose work does not end for some seconds, so
 * that larger work goes in several submissions, between kernels.
 */
const SUBMISSION_OPERATIONS = 1e11;
const ARRAYS = {
  f32: Float32Array,
  i32: Int32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
};

/** Device memory comes in words. */
const words = (bytes) => Math.ceil(bytes / 4) * 4;

/**
 * What went wrong; `kind` is limit, validation, memory, lost or input.
 * @public
 */
export class LaunchError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "LaunchError";
    this.kind = kind;
  }
}

/**
 * The value of a polynomial of the plan.
 * @public
 */
export function evaluate(polynomial, symbols) {
  let total = 0;
  for (const { coefficient, factors } of polynomial) {
    let product = coefficient;
    for (const factor of factors) product *= symbols[factor];
    total += product;
  }
  return total;
}

const isKnown = (polynomial, symbols) =>
  polynomial.every(({ factors }) => factors.every((factor) => symbols[factor] !== undefined));
const size = (bytes) =>
  bytes >= 2 ** 20
    ? `${(bytes / 2 ** 20).toFixed(1)} MiB`
    : bytes >= 1024
      ? `${(bytes / 1024).toFixed(1)} KiB`
      : `${bytes} bytes`;
const elements = (buffer, symbols) => buffer.dims.reduce((count, dim) => count * evaluate(dim, symbols), 1);
const blocks = (kernel, symbols) => kernel.grid.reduce((count, extent) => count * evaluate(extent, symbols), 1);

/** Whether a kernel is launched at these sizes; where not, a neighbour does the same. */
function isLaunched({ when }, symbols) {
  if (when === undefined) return true;
  const value = evaluate(when.of, symbols);
  return value >= when.from && !(value >= when.below);
}

/** About how many operations a kernel does: of products by the matrix that each row meets, of attention by its keys. */
function operations(plan, kernel, symbols) {
  const bound = kernel.bindings.map(({ buffer: name }) => plan.buffers.find((buffer) => buffer.name === name));
  const sizes = (buffer) => buffer.dims.map((dim) => evaluate(dim, symbols));
  const rows = Math.max(
    0,
    ...bound.filter((b) => b.role !== "weight" && b.role !== "prepared").map((b) => sizes(b)[0] ?? 1),
  );
  if (kernel.origin.op === "attention") return 4 * rows * Math.max(...bound.map((buffer) => elements(buffer, symbols)));
  const matrix = (buffer) =>
    sizes(buffer)
      .slice(buffer.dims.length > 2 ? 1 : 0)
      .reduce((a, b) => a * b, 1);
  return bound
    .filter((buffer) => buffer.dims.length > 1 && (buffer.role === "weight" || buffer.role === "prepared"))
    .reduce((sum, buffer) => sum + 2 * rows * matrix(buffer), 0);
}

/**
 * What a device with these limits, of an adapter with this info, cannot do, one sentence each.
 * @public
 */
export function lacks(plan, limits, symbols = {}, info = undefined) {
  const found = [];
  const { subgroupMinSize } = plan.requires;
  if (info !== undefined && subgroupMinSize > (info.subgroupMinSize ?? 0))
    found.push(
      `layer ${plan.name} needs subgroups of at least ${subgroupMinSize} lanes, this device ${info.subgroupMinSize ? `has some of ${info.subgroupMinSize}` : "does not say how many"} (subgroupMinSize)`,
    );
  const at =
    Object.keys(symbols).length > 0
      ? ` at ${Object.entries(symbols)
          .map((pair) => pair.join(" = "))
          .join(", ")}`
      : "";
  const kernels = [...plan.prepare, ...plan.kernels];
  for (const buffer of plan.buffers) {
    if (!isKnown(buffer.bytes, symbols)) continue;
    const bytes = evaluate(buffer.bytes, symbols);
    const what = `layer ${plan.name} needs ${size(bytes)} in one piece for the ${buffer.role} ${buffer.name}${at}`;
    if (elements(buffer, symbols) >= 2 ** 31) found.push(`${what}, and WGSL counts elements up to 2147483647`);
    const isBound = kernels.some((kernel) => kernel.bindings.some((binding) => binding.buffer === buffer.name));
    if (isBound && bytes > limits.maxStorageBufferBindingSize)
      found.push(
        `${what}, this device allows ${size(limits.maxStorageBufferBindingSize)} (maxStorageBufferBindingSize)`,
      );
    else if (bytes > limits.maxBufferSize)
      found.push(`${what}, this device allows ${size(limits.maxBufferSize)} (maxBufferSize)`);
  }
  for (const { coefficient } of (plan.requires.limits.maxComputeWorkgroupStorageSize ?? []).flat())
    if (coefficient > limits.maxComputeWorkgroupStorageSize)
      found.push(
        `layer ${plan.name} needs ${size(coefficient)} of memory per workgroup, this device allows ${size(limits.maxComputeWorkgroupStorageSize)} (maxComputeWorkgroupStorageSize)`,
      );
  for (const kernel of kernels) {
    const what = `${kernel.origin.summary} (${kernel.origin.source})`;
    const bound = kernel.bindings.length;
    if (bound > limits.maxStorageBuffersPerShaderStage)
      found.push(
        `${what} needs ${bound} storage buffers, this device allows ${limits.maxStorageBuffersPerShaderStage} (maxStorageBuffersPerShaderStage)`,
      );
    if (kernel.workgroupSize > limits.maxComputeInvocationsPerWorkgroup)
      found.push(
        `${what} needs ${kernel.workgroupSize} invocations per workgroup, this device allows ${limits.maxComputeInvocationsPerWorkgroup} (maxComputeInvocationsPerWorkgroup)`,
      );
    if (!kernel.grid.every((extent) => isKnown(extent, symbols))) continue;
    if (kernel.when && isKnown(kernel.when.of, symbols) && !isLaunched(kernel, symbols)) continue;
    const count = blocks(kernel, symbols);
    const most = Math.min(2 ** 31 - 1, limits.maxComputeWorkgroupsPerDimension ** 2 * kernel.workgroupSize);
    if (count > most) found.push(`${what} has ${count} blocks${at}, and one dispatch takes ${most}`);
  }
  return found;
}

/**
 * Fetches plan.json and its modules from a folder's URL.
 * @public
 */
export async function fetchPlan(folder) {
  const load = async (path) => {
    const url = new URL(path, folder);
    const response = await fetch(url);
    if (!response.ok)
      throw new LaunchError("input", `${url} cannot be fetched: ${response.status} ${response.statusText}`);
    return response;
  };
  const plan = await (await load("plan.json")).json();
  checkFormat(plan);
  const paths = [...new Set([...plan.prepare, ...plan.kernels].map((kernel) => kernel.module))];
  const texts = await Promise.all(paths.map(async (path) => [path, await (await load(path)).text()]));
  return { plan, modules: Object.fromEntries(texts) };
}

function checkFormat(plan) {
  if (plan?.format === "unmoor-launch-plan" && plan.version === 1) return;
  throw new LaunchError(
    "input",
    `this is not a launch plan of version 1 (found ${plan?.format} ${plan?.version}): compile the layer again`,
  );
}

/**
 * Makes the plan's pipelines on a device, ready to run.
 * @public
 */
export async function createRunner(device, { plan, modules }) {
  checkFormat(plan);
  for (const feature of plan.requires.features) {
    if (!device.features.has(feature))
      throw new LaunchError(
        "limit",
        `layer ${plan.name} needs the feature ${feature}, which this device was opened without`,
      );
  }
  // Where a device came from elsewhere, compiling its modules shows what its WGSL lacks.
  const language = globalThis.navigator?.gpu?.wgslLanguageFeatures;
  for (const feature of language ? plan.requires.languageFeatures : []) {
    if (!language.has(feature))
      throw new LaunchError("limit", `layer ${plan.name} needs ${feature} of WGSL, which is not known here`);
  }
  refuse(lacks(plan, device.limits, {}, device.adapterInfo ?? {}));
  const alive = watch(device);
  // Kernels that work on parts of a weight have one module, and one pipeline.
  const pipelines = new Map();
  const compile = async (kernel) => {
    if (!pipelines.has(kernel.module)) pipelines.set(kernel.module, makePipeline(device, kernel, modules));
    return { kernel, ...(await alive(pipelines.get(kernel.module))) };
  };
  const prepare = await Promise.all(plan.prepare.map(compile));
  const kernels = await Promise.all(plan.kernels.map(compile));
  return new Runner(device, plan, prepare, kernels, alive);
}

function refuse(found) {
  if (found.length > 0) throw new LaunchError("limit", found.join("\n"));
}

/** Gives a function that waits for a promise, and rejects when the device is lost meanwhile or was before. */
function watch(device) {
  const lost = device.lost.then((info) => {
    const reason = info.reason === "destroyed" ? "it was closed" : info.message || "no reason given";
    throw new LaunchError(
      "lost",
      `the WebGPU device was lost: ${reason}; open a device again and load the layer on it`,
    );
  });
  lost.catch(() => {});
  return (promise) => Promise.race([lost, promise]);
}

/** Runs `work`, which must not wait, and rejects with what the device says of it. */
async function checked(device, what, work) {
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("internal");
  device.pushErrorScope("validation");
  let result;
  let failure;
  try {
    result = work();
  } catch (error) {
    failure = error;
  }
  const scopes = [device.popErrorScope(), device.popErrorScope(), device.popErrorScope()];
  const [validation, internal, memory] = await Promise.all(scopes);
  if (failure) throw failure;
  if (memory) throw new LaunchError("memory", `${what}: the device is out of memory: ${memory.message}`);
  const error = validation ?? internal;
  if (error) throw new LaunchError("validation", `${what}: ${error.message}`);
  return result;
}

const describe = ({ name, origin }) => `kernel ${name} (${origin.op}: ${origin.summary}; ${origin.source})`;

async function makePipeline(device, kernel, modules) {
  const code = modules[kernel.module];
  if (code === undefined) throw new LaunchError("input", `${describe(kernel)}: its module ${kernel.module} is missing`);
  device.pushErrorScope("validation");
  const shader = device.createShaderModule({ code, label: kernel.module });
  const [error, { messages }] = await Promise.all([device.popErrorScope(), shader.getCompilationInfo()]);
  const errors = messages.filter((message) => message.type === "error");
  if (errors.length > 0 || error) {
    const lines = code.split("\n");
    const found = errors.map(
      (m) => `${kernel.module}:${m.lineNum}:${m.linePos}: ${m.message}\n    ${lines[m.lineNum - 1] ?? ""}`,
    );
    const words = found.length > 0 ? found.join("\n  ") : error.message;
    throw new LaunchError("validation", `the device rejects ${describe(kernel)}:\n  ${words}`);
  }
  const what = `the device rejects ${describe(kernel)}`;
  const entries = kernel.bindings.map(({ binding, access }) => ({
    binding,
    visibility: COMPUTE,
    buffer: { type: access === "read" ? "read-only-storage" : "storage" },
  }));
  if (kernel.symbols)
    entries.push({ binding: kernel.symbols.binding, visibility: COMPUTE, buffer: { type: "uniform" } });
  // The entries are given, not derived, as a kernel may leave a buffer unused.
  const { layout, descriptor } = await checked(device, what, () => {
    const layout = device.createBindGroupLayout({ entries, label: describe(kernel) });
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const compute = { module: shader, entryPoint: kernel.entryPoint };
    return { layout, descriptor: { layout: pipelineLayout, compute, label: kernel.name } };
  });
  try {
    return { layout, pipeline: await device.createComputePipelineAsync(descriptor) };
  } catch (failure) {
    throw new LaunchError("validation", `${what}: ${failure.message}`);
  }
}

class Runner {
  #device;
  #prepare;
  #kernels;
  #alive;
  /** Device memory by key: a buffer's name, a slot's number, or the symbols of a kernel. */
  #memory = new Map();
  #groups = new Map();
  /** What the last sizes lead to: most calls have the sizes of the call before. */
  #sized;
  #buffers;
  /** Buffers that hold numbers of workgroups, in slots of their own. */
  #counts;
  #hasWeights = false;
  #destroyed = false;
  /** The work before, so that runs do not overlap. */
  #last = Promise.resolve();

  constructor(device, plan, prepare, kernels, alive) {
    this.plan = plan;
    this.#buffers = new Map(plan.buffers.map((buffer) => [buffer.name, buffer]));
    this.#counts = new Set(plan.kernels.flatMap(({ indirect }) => (indirect ? [indirect.buffer] : [])));
    this.#device = device;
    this.#prepare = prepare;
    this.#kernels = kernels;
    this.#alive = alive;
  }

  setWeights(weights) {
    return this.#inTurn(() => this.#setWeights(weights));
  }

  run(inputs, symbols, options = {}) {
    return this.#inTurn(() => this.#run(inputs, symbols, options));
  }

  encode(encoder, given, symbols) {
    const { plan } = this;
    this.#checkReady();
    const values = checkSymbols(plan, symbols);
    const sized = this.#sizesFor(values);
    for (const buffer of plan.buffers) this.#place(buffer, given, sized);
    this.#record(encoder, this.#kernels, sized, given);
    const outputs = plan.buffers.filter((buffer) => buffer.role === "output");
    return Object.fromEntries(outputs.map((buffer) => [buffer.name, this.#resource(buffer, given)]));
  }

  destroy() {
    this.#destroyed = true;
    for (const { buffer } of this.#memory.values()) buffer.destroy();
    this.#memory.clear();
    this.#groups.clear();
  }

  #inTurn(work) {
    const turn = this.#last.then(() => {
      this.#checkAlive();
      return this.#alive(work());
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** How large buffers are at these sizes, and how much of each kernel is started. Throws where the device lacks something for them. */
  #sizesFor(symbols) {
    const { plan } = this;
    const key = plan.symbols.map((name) => symbols[name]).join();
    if (this.#sized?.key === key) return this.#sized;
    const { limits } = this.#device;
    refuse(lacks(plan, limits, symbols));
    const room = ({ bytes, slot }) =>
      // Sixteen bytes at least, since a kernel may read four elements at a time.
      Math.max(16, ...(slot === undefined ? [bytes] : plan.slots[slot].bytes).map((b) => words(evaluate(b, symbols))));
    const ofRun = plan.buffers.filter((buffer) => buffer.role !== "weight" && buffer.role !== "prepared");
    this.#sized = {
      key,
      symbols,
      bytes: new Map(ofRun.map((buffer) => [buffer.name, evaluate(buffer.bytes, symbols)])),
      room: new Map(ofRun.map((buffer) => [buffer.name, room(buffer)])),
      most: limits.maxComputeWorkgroupsPerDimension,
      launches: new Map(),
      uniforms: new Map(),
    };
    return this.#sized;
  }

  #checkAlive() {
    if (this.#destroyed) throw new LaunchError("input", `layer ${this.plan.name} was destroyed: load it again`);
  }

  #checkReady() {
    this.#checkAlive();
    if (!this.#hasWeights && this.plan.buffers.some((buffer) => buffer.role === "weight"))
      throw new LaunchError("input", `layer ${this.plan.name} has no weights yet: call setWeights first`);
  }

  async #setWeights(weights) {
    const symbols = {};
    const known = (role) => this.plan.buffers.filter((buffer) => buffer.role === role);
    const given = new Map(
      known("weight").map((buffer) => [buffer.name, { buffer, data: this.#check(buffer, weights, symbols) }]),
    );
    this.#hasWeights = false;
    const prepared = new Map(known("prepared").map((buffer) => [buffer.name, buffer]));
    const held = ({ bytes }) => Math.max(16, words(evaluate(bytes, symbols)));
    const loaded = new Set();
    const load = (names) =>
      checked(this.#device, `the weights of ${this.plan.name}`, () => {
        for (const name of names) {
          const made = prepared.get(name);
          if (made) this.#allocate(made, held(made));
          const own = given.get(name);
          if (own === undefined || loaded.has(name)) continue;
          loaded.add(name);
          this.#allocate(own.buffer, held(own.buffer));
          this.#upload(own.buffer, own.data);
        }
      });
    const boundBy = (kernels) => new Set(kernels.flatMap((kernel) => kernel.bindings.map((binding) => binding.buffer)));
    const inRuns = boundBy(this.plan.kernels);
    const steps = this.#prepare.map((compiled) => ({ compiled, bound: boundBy([compiled.kernel]) }));
    /** The last step that binds a buffer. */
    const last = new Map(steps.flatMap(({ bound }, i) => [...bound].map((name) => [name, i])));
    // One after the other: what only the preparation reads is not kept, nor held beside all that is made of the others.
    for (const [i, { compiled, bound }] of steps.entries()) {
      await load(bound);
      await this.#submit([compiled], symbols, SUBMISSION_OPERATIONS);
      for (const name of bound) if (given.has(name) && last.get(name) === i && !inRuns.has(name)) this.#free(name);
    }
    await load(inRuns);
    this.#hasWeights = true;
  }

  async #run(inputs, given, { repeat = 1, operations: most = SUBMISSION_OPERATIONS }) {
    const { plan } = this;
    const device = this.#device;
    this.#checkReady();
    if (!(Number.isInteger(repeat) && repeat >= 1))
      throw new LaunchError("input", `repeat is a whole number of at least 1, found ${repeat}`);
    const symbols = checkSymbols(plan, given);
    const sized = this.#sizesFor(symbols);
    const data = plan.buffers
      .filter((buffer) => buffer.role === "input")
      .map((buffer) => [buffer, this.#check(buffer, inputs, symbols)]);
    await checked(device, `the buffers of ${plan.name}`, () => {
      for (const buffer of plan.buffers)
        if (buffer.role !== "weight" && buffer.role !== "prepared") this.#allocate(buffer, sized.room.get(buffer.name));
      for (const [buffer, elements] of data) this.#upload(buffer, elements);
    });
    await device.queue.onSubmittedWorkDone();
    const nanoseconds = new Float64Array(repeat);
    for (let i = 0; i < repeat; i++) nanoseconds[i] = await this.#submit(this.#kernels, symbols, most);
    return { outputs: await this.#download(symbols), nanoseconds };
  }

  #check(buffer, given, symbols) {
    const { part } = buffer;
    if (part && given[buffer.name] === undefined) {
      const name = part.of;
      const { BYTES_PER_ELEMENT } = ARRAYS[buffer.dtype];
      const whole = { ...buffer, name, dims: [[{ coefficient: part.elements, factors: [] }]], part: undefined };
      const count = evaluate(buffer.bytes, symbols) / BYTES_PER_ELEMENT;
      return this.#check(whole, given, symbols).subarray(part.first, part.first + count);
    }
    const data = given[buffer.name];
    const Elements = ARRAYS[buffer.dtype];
    const dims = buffer.dims.map((dim) => evaluate(dim, symbols));
    const expected = `${buffer.role} ${buffer.name} is ${buffer.dtype}[${dims.join(", ")}]`;
    if (data === undefined) throw new LaunchError("input", `${expected}, and it was not given`);
    if (!(data instanceof Elements))
      throw new LaunchError("input", `${expected}: give a ${Elements.name}, found ${data?.constructor?.name}`);
    const count = elements(buffer, symbols);
    if (data.length !== count)
      throw new LaunchError("input", `${expected} with ${count} elements, found ${data.length}`);
    return data;
  }

  #key(buffer) {
    return buffer.slot === undefined ? buffer.name : `slot ${buffer.slot}`;
  }

  /** Device memory of at least so many bytes; what is there already is kept where it is large enough. */
  #allocate(buffer, bytes, encoded = false) {
    const key = this.#key(buffer);
    const present = this.#memory.get(key);
    if (present?.bytes >= bytes) return;
    // Commands that were encoded and not submitted may use what is too small now.
    if (!encoded) this.#free(key);
    const usage = STORAGE | COPY_SRC | COPY_DST | (this.#counts.has(buffer.name) ? INDIRECT : 0);
    this.#memory.set(key, { buffer: this.#device.createBuffer({ size: bytes, usage, label: key }), bytes });
  }

  #free(key) {
    this.#memory.get(key)?.buffer.destroy();
    this.#memory.delete(key);
    this.#groups.clear();
  }

  #upload(buffer, data) {
    const { buffer: target } = this.#memory.get(this.#key(buffer));
    // In pieces, because the device copies each; and WebGPU takes no shared memory.
    const all = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < all.length; at += UPLOAD_CHUNK) {
      let piece = all.subarray(at, at + UPLOAD_CHUNK);
      const isShared = typeof SharedArrayBuffer !== "undefined" && piece.buffer instanceof SharedArrayBuffer;
      if (isShared || piece.length % 4 !== 0) {
        const whole = new Uint8Array(words(piece.length));
        whole.set(piece);
        piece = whole;
      }
      this.#device.queue.writeBuffer(target, at, piece);
    }
  }

  /**
   * Runs kernels in one submission, or in several of at most so many operations each, as far as whole kernels allow. Gives the
   * nanoseconds from submission to end.
   */
  async #submit(kernels, symbols, most) {
    const device = this.#device;
    const sized = this.#sizesFor(symbols);
    const groups = [[]];
    let sum = 0;
    for (const compiled of kernels.filter(({ kernel }) => isLaunched(kernel, symbols))) {
      const own = operations(this.plan, compiled.kernel, symbols);
      if (sum > 0 && sum + own > most) {
        groups.push([]);
        sum = 0;
      }
      groups.at(-1).push(compiled);
      sum += own;
    }
    const commands = await checked(device, `the commands of ${this.plan.name}`, () =>
      groups.map((group) => {
        const encoder = device.createCommandEncoder({ label: this.plan.name });
        this.#record(encoder, group, sized, {});
        return encoder.finish();
      }),
    );
    const start = performance.now();
    for (const each of commands) {
      device.queue.submit([each]);
      await device.queue.onSubmittedWorkDone();
    }
    return (performance.now() - start) * 1e6;
  }

  /** One pass with a dispatch per kernel; kernels without blocks, or for other sizes, are left out. */
  #record(encoder, kernels, sized, given) {
    const pass = encoder.beginComputePass({ label: this.plan.name });
    for (const compiled of kernels) {
      const [x, y] = this.#launch(compiled, sized);
      if (x === 0) continue;
      pass.setPipeline(compiled.pipeline);
      pass.setBindGroup(0, this.#group(compiled, sized, given));
      const { indirect } = compiled.kernel;
      if (indirect)
        pass.dispatchWorkgroupsIndirect(this.#resource(this.#buffers.get(indirect.buffer), given), indirect.offset);
      else pass.dispatchWorkgroups(x, y);
    }
    pass.end();
  }

  /** Workgroups of a kernel along two dimensions; none for sizes at which it is not launched. */
  #launch({ kernel }, { launches, symbols, most }) {
    const present = launches.get(kernel);
    if (present) return present;
    const count = isLaunched(kernel, symbols) ? blocks(kernel, symbols) : 0;
    const groups = Math.ceil(count / kernel.workgroupSize);
    const y = Math.max(1, Math.ceil(groups / most));
    const launch = [Math.ceil(groups / y), y];
    launches.set(kernel, launch);
    return launch;
  }

  /** Makes memory for a buffer, or checks what is given in its place. */
  #place(buffer, given, sized) {
    const { name, role } = buffer;
    if (role === "weight" || role === "prepared") return;
    const own = given[name];
    if (own === undefined && role !== "input") return void this.#allocate(buffer, sized.room.get(name), true);
    const bytes = sized.bytes.get(name);
    const expected = `${role} ${name} of layer ${this.plan.name} takes a GPUBuffer of at least ${bytes} bytes that may be storage`;
    if (own === undefined) throw new LaunchError("input", `${expected}, and it was not given`);
    if (role === "temporary")
      throw new LaunchError("input", `${name} is workspace of layer ${this.plan.name}: leave it out`);
    if (!(own.size >= bytes && own.usage & STORAGE))
      throw new LaunchError(
        "input",
        `${expected}, found ${own.size} bytes${own.usage & STORAGE ? "" : ", not storage"}`,
      );
  }

  #resource(buffer, given) {
    return given[buffer.name] ?? this.#memory.get(this.#key(buffer)).buffer;
  }

  /** A kernel's bindings; those of the run before where nothing changed. */
  #group(compiled, sized, given) {
    const { kernel, layout } = compiled;
    const bound = kernel.bindings.map(({ buffer }) => this.#resource(this.#buffers.get(buffer), given));
    if (kernel.symbols) bound.push(this.#uniformOf(kernel, sized));
    const present = this.#groups.get(compiled);
    if (present?.bound.every((buffer, i) => buffer === bound[i])) return present.group;
    const places = [...kernel.bindings, ...(kernel.symbols ? [kernel.symbols] : [])];
    const entries = places.map(({ binding }, i) => ({ binding, resource: { buffer: bound[i] } }));
    const group = this.#device.createBindGroup({ layout, entries, label: describe(kernel) });
    this.#groups.set(compiled, { bound, group });
    return group;
  }

  #uniformOf(kernel, { uniforms, symbols }) {
    if (!uniforms.has(kernel)) uniforms.set(kernel, this.#uniform(kernel.symbols, symbols));
    return uniforms.get(kernel);
  }

  /** The symbols' values on the device: in another buffer when they change, as commands not yet submitted may read the one before. */
  #uniform({ names, constants }, symbols) {
    const key = `symbols ${names.map((name) => (name in constants ? `${name}=${constants[name]}` : name)).join(" ")}`;
    const values = Int32Array.from(names, (name) => constants[name] ?? symbols[name]);
    const present = this.#memory.get(key);
    if (present?.values === values.join()) return present.buffer;
    const size = Math.ceil(names.length / 4) * 16;
    const buffer = this.#device.createBuffer({ size, usage: UNIFORM, mappedAtCreation: true, label: key });
    new Int32Array(buffer.getMappedRange()).set(values);
    buffer.unmap();
    this.#memory.set(key, { buffer, bytes: size, values: values.join() });
    return buffer;
  }

  async #download(symbols) {
    const device = this.#device;
    const wanted = [];
    let total = 0;
    for (const buffer of this.plan.buffers) {
      if (buffer.role !== "output") continue;
      const bytes = evaluate(buffer.bytes, symbols);
      wanted.push({ buffer, at: total, bytes });
      total += bytes;
    }
    const staging = await checked(device, `reading the results of ${this.plan.name}`, () => {
      const target = device.createBuffer({ size: Math.max(4, total), usage: MAP_READ | COPY_DST, label: "results" });
      const encoder = device.createCommandEncoder();
      for (const { buffer, at, bytes } of wanted) {
        if (bytes > 0) encoder.copyBufferToBuffer(this.#memory.get(this.#key(buffer)).buffer, 0, target, at, bytes);
      }
      device.queue.submit([encoder.finish()]);
      return target;
    });
    try {
      await staging.mapAsync(READ);
      const all = staging.getMappedRange();
      const outputs = {};
      for (const { buffer, at, bytes } of wanted) {
        const dims = buffer.dims.map((dim) => evaluate(dim, symbols));
        outputs[buffer.name] = { dtype: buffer.dtype, dims, data: new ARRAYS[buffer.dtype](all.slice(at, at + bytes)) };
      }
      return outputs;
    } finally {
      staging.destroy();
    }
  }
}

function checkSymbols(plan, given) {
  const symbols = {};
  for (const name of plan.symbols) {
    const value = given[name];
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 31))
      throw new LaunchError("input", `${name} is a whole number of at least 0, found ${value}`);
    symbols[name] = value;
  }
  return symbols;
}
