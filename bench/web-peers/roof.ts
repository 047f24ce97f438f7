/// <reference types="@webgpu/types" />

/** Chains of multiply-adds of an invocation, by their number and the width of a chain: what suits a device best differs. */
const forms = [
  [4, 1],
  [8, 1],
  [16, 1],
  [2, 4],
  [4, 4],
  [8, 4],
] as const;
const steps = 2048;
const invocations = 4096;
const runs = 5;

/** GFLOP/s of multiply-adds in f32 of a device: of several forms, the most that any reached. */
export async function multiplyAddRate(device: GPUDevice): Promise<number> {
  let most = 0;
  for (const [chains, width] of forms) {
    const type = width === 1 ? "f32" : `vec${width}<f32>`;
    const names = Array.from({ length: chains }, (_, i) => `s${i}`);
    const code = `
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = ${type}(data[0]);
  let b = ${type}(data[1]);
${names.map((s, i) => `  var ${s} = ${type}(f32(id.x) + ${i}.0);`).join("\n")}
  for (var i = 0; i < ${steps}; i++) {
${names.map((s) => `    ${s} = ${s} * a + b;`).join("\n")}
  }
  let sum = ${names.join(" + ")};
  data[id.x + 2] = ${width === 1 ? "sum" : `dot(sum, ${type}(1.0))`};
}`;
    const data = device.createBuffer({
      size: invocations * 4 + 8,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    // Chains that stay near one: neither denormal nor infinite.
    const factors = Float32Array.of(0.5, 0.5);
    const pipeline = await device.createComputePipelineAsync({
      layout: "auto",
      compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
    });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: data } }],
    });
    const flops = 2 * chains * width * steps * invocations;
    for (let run = 0; run < runs; run++) {
      device.queue.writeBuffer(data, 0, factors);
      await device.queue.onSubmittedWorkDone();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(invocations / 64);
      pass.end();
      const start = performance.now();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      // The first run compiles.
      if (run > 0) most = Math.max(most, flops / (performance.now() - start) / 1e6);
    }
    data.destroy();
  }
  return most;
}
