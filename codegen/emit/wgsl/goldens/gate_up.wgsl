// expert gate and up, silu(gate) * up
// grouped_linear at layer.ts:12:7
// One invocation computes one block: expert < 8, column < 16.

/* f32[T, 64] */ @group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
/* i32[4*T] */ @group(0) @binding(1) var<storage, read> slots: array<i32>;
/* i32[9] */ @group(0) @binding(2) var<storage, read> offsets: array<i32>;
/* f32[8, 32, 64] */ @group(0) @binding(3) var<storage, read> gate: array<vec4<f32>>;
/* f32[8, 32, 64] */ @group(0) @binding(4) var<storage, read> up: array<vec4<f32>>;
/* f32[4*T, 32] */ @group(0) @binding(5) var<storage, read_write> hidden: array<f32>;

// Stops at the largest f32, since overflow is indeterminate in WGSL.
fn exp_finite(x: f32) -> f32 {
  return exp(clamp(x, -104.0, 88.72283172607422));
}

fn floor_div(a: i32, b: i32) -> i32 {
  let quotient = a / b;
  return select(quotient, quotient - 1, a % b != 0 && ((a ^ b) < 0));
}

@compute @workgroup_size(64)
fn gate_up(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let block = i32(id.x + id.y * groups.x * 64u);
  if (128 <= block || block < 0) { return; }
  let expert = block / 16;
  let column = block % 16;
  let first = offsets[expert];
  let end = offsets[expert + 1];
  for (var row = first; row < end; row += 4) {
    let rows = min(4, end - row);
    var positions_0: i32; var positions_1: i32; var positions_2: i32; var positions_3: i32;
    var slot_0: i32; var slot_1: i32; var slot_2: i32; var slot_3: i32;
    slot_0 = select(0, slots[row], 0 < rows);
    slot_1 = select(0, slots[row + 1], 1 < rows);
    slot_2 = select(0, slots[row + 2], 2 < rows);
    slot_3 = select(0, slots[row + 3], 3 < rows);
    positions_0 = floor_div(slot_0, 4);
    positions_1 = floor_div(slot_1, 4);
    positions_2 = floor_div(slot_2, 4);
    positions_3 = floor_div(slot_3, 4);
    var g_0_0: f32; var g_0_1: f32;
    var g_1_0: f32; var g_1_1: f32;
    var g_2_0: f32; var g_2_1: f32;
    var g_3_0: f32; var g_3_1: f32;
    var u_0_0: f32; var u_0_1: f32;
    var u_1_0: f32; var u_1_1: f32;
    var u_2_0: f32; var u_2_1: f32;
    var u_3_0: f32; var u_3_1: f32;
    g_0_0 = 0.0; g_0_1 = 0.0;
    g_1_0 = 0.0; g_1_1 = 0.0;
    g_2_0 = 0.0; g_2_1 = 0.0;
    g_3_0 = 0.0; g_3_1 = 0.0;
    u_0_0 = 0.0; u_0_1 = 0.0;
    u_1_0 = 0.0; u_1_1 = 0.0;
    u_2_0 = 0.0; u_2_1 = 0.0;
    u_3_0 = 0.0; u_3_1 = 0.0;
    for (var k = 0; k < 64; k += 4) {
      let x_row = positions_0 * 64;
      let x_row_1 = positions_1 * 64;
      let x_row_2 = positions_2 * 64;
      let x_row_3 = positions_3 * 64;
      let gate_at = expert * 2048 + column * 2 * 64 + k;
      let gate_0 = gate[gate_at >> 2u];
      let gate_1 = gate[(gate_at >> 2u) + 16];
      if (0 < rows) {
        let x_0 = x[(k + x_row) >> 2u];
        g_0_0 = g_0_0 + dot(x_0, gate_0);
        g_0_1 = g_0_1 + dot(x_0, gate_1);
      }
      if (1 < rows) {
        let x_1 = x[(k + x_row_1) >> 2u];
        g_1_0 = g_1_0 + dot(x_1, gate_0);
        g_1_1 = g_1_1 + dot(x_1, gate_1);
      }
      if (2 < rows) {
        let x_2 = x[(k + x_row_2) >> 2u];
        g_2_0 = g_2_0 + dot(x_2, gate_0);
        g_2_1 = g_2_1 + dot(x_2, gate_1);
      }
      if (3 < rows) {
        let x_3 = x[(k + x_row_3) >> 2u];
        g_3_0 = g_3_0 + dot(x_3, gate_0);
        g_3_1 = g_3_1 + dot(x_3, gate_1);
      }
      let up_0 = up[gate_at >> 2u];
      let up_1 = up[(gate_at >> 2u) + 16];
      if (0 < rows) {
        let x_0_1 = x[(k + x_row) >> 2u];
        u_0_0 = u_0_0 + dot(x_0_1, up_0);
        u_0_1 = u_0_1 + dot(x_0_1, up_1);
      }
      if (1 < rows) {
        let x_1_1 = x[(k + x_row_1) >> 2u];
        u_1_0 = u_1_0 + dot(x_1_1, up_0);
        u_1_1 = u_1_1 + dot(x_1_1, up_1);
      }
      if (2 < rows) {
        let x_2_1 = x[(k + x_row_2) >> 2u];
        u_2_0 = u_2_0 + dot(x_2_1, up_0);
        u_2_1 = u_2_1 + dot(x_2_1, up_1);
      }
      if (3 < rows) {
        let x_3_1 = x[(k + x_row_3) >> 2u];
        u_3_0 = u_3_0 + dot(x_3_1, up_0);
        u_3_1 = u_3_1 + dot(x_3_1, up_1);
      }
    }
    let hidden_at = row * 32 + column * 2;
    if (0 < rows) {
      hidden[hidden_at] = g_0_0 * (1.0 / (1.0 + exp_finite(-g_0_0))) * u_0_0;
      hidden[hidden_at + 1] = g_0_1 * (1.0 / (1.0 + exp_finite(-g_0_1))) * u_0_1;
    }
    if (1 < rows) {
      hidden[hidden_at + 32] = g_1_0 * (1.0 / (1.0 + exp_finite(-g_1_0))) * u_1_0;
      hidden[hidden_at + 33] = g_1_1 * (1.0 / (1.0 + exp_finite(-g_1_1))) * u_1_1;
    }
    if (2 < rows) {
      hidden[hidden_at + 64] = g_2_0 * (1.0 / (1.0 + exp_finite(-g_2_0))) * u_2_0;
      hidden[hidden_at + 65] = g_2_1 * (1.0 / (1.0 + exp_finite(-g_2_1))) * u_2_1;
    }
    if (3 < rows) {
      hidden[hidden_at + 96] = g_3_0 * (1.0 / (1.0 + exp_finite(-g_3_0))) * u_3_0;
      hidden[hidden_at + 97] = g_3_1 * (1.0 / (1.0 + exp_finite(-g_3_1))) * u_3_1;
    }
  }
}
