// One MoE layer as a ggml graph: the peer llama.cpp, made of the same operators in the same order as its models' (build_moe_ffn in
// src/llama-graph.cpp), with weights in the buffers that its loader would choose. All functions have the signature that
// Unmoor's addon calls, so that one clock times both sides. One layer is open at a time.
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ROUTER, ROUTER_BIAS, GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS, WEIGHTS };
// What weighs the chosen experts: softmax over all, that divided by its sum over the chosen, softmax over the chosen logits.
enum { ALL, RENORMALISED, CHOSEN };
enum { FAILED = 1 };

static struct {
  ggml_backend_t backend;
  ggml_backend_dev_t device;
  struct ggml_threadpool *pool;
  int64_t hidden, inner, experts, chosen;
  int64_t weigh;
  bool clamped, biased;
  struct ggml_context *weights_context;
  struct ggml_tensor *weights[WEIGHTS];
  ggml_backend_buffer_t buffers[WEIGHTS];
  // The graph for one number of tokens.
  int64_t tokens;
  struct ggml_context *context;
  struct ggml_cgraph *graph;
  ggml_gallocr_t memory;
  struct ggml_tensor *x, *y, *ids;
} layer;

static char description[512];

static void *procedure(const char *name) {
  return ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(layer.device), name);
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
  (void)data;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

// The first of the device's own layouts of weights that its grouped product supports for this one, as llama.cpp's loader chooses.
static ggml_backend_buffer_type_t layout_of(struct ggml_context *context, struct ggml_tensor *weight) {
  ggml_backend_dev_get_extra_bufts_t extra =
      (ggml_backend_dev_get_extra_bufts_t)procedure("ggml_backend_dev_get_extra_bufts");
  struct ggml_tensor *rows = ggml_new_tensor_3d(context, GGML_TYPE_F32, weight->ne[0], layer.chosen, 512);
  struct ggml_tensor *ids = ggml_new_tensor_2d(context, GGML_TYPE_I32, layer.chosen, 512);
  struct ggml_tensor *product = ggml_mul_mat_id(context, weight, rows, ids);
  for (ggml_backend_buffer_type_t *each = extra ? extra(layer.device) : NULL; each && *each; each++) {
    weight->buffer = ggml_backend_buft_alloc_buffer(*each, 0);
    const bool supported = ggml_backend_dev_supports_op(layer.device, product);
    ggml_backend_buffer_free(weight->buffer);
    weight->buffer = NULL;
    if (supported) return *each;
  }
  return NULL;
}

// Where no layout of its own is supported the weight is used where it is; the caller keeps that memory until peer_close.
static bool place(struct ggml_context *context, int index, struct ggml_tensor *weight, void *data) {
  ggml_backend_buffer_type_t layout = index >= GATE && index <= DOWN ? layout_of(context, weight) : NULL;
  const size_t bytes = ggml_nbytes(weight);
  ggml_backend_buffer_t buffer = layout ? ggml_backend_buft_alloc_buffer(layout, ggml_backend_buft_get_alloc_size(layout, weight))
                                        : ggml_backend_cpu_buffer_from_ptr(data, bytes);
  if (!buffer) return false;
  ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  layer.weights[index] = weight;
  layer.buffers[index] = buffer;
  if (ggml_backend_tensor_alloc(buffer, weight, ggml_backend_buffer_get_base(buffer)) != GGML_STATUS_SUCCESS) return false;
  if (layout) ggml_backend_tensor_set(weight, data, 0, bytes);
  return true;
}

static void describe(void) {
  size_t length = (size_t)snprintf(description, sizeof description, "weights in %s;",
                                   ggml_backend_buft_name(ggml_backend_buffer_get_type(layer.buffers[GATE])));
  ggml_backend_get_features_t features = (ggml_backend_get_features_t)procedure("ggml_backend_get_features");
  for (struct ggml_backend_feature *each = features ? features(ggml_backend_dev_backend_reg(layer.device)) : NULL;
       each && each->name && length < sizeof description; each++)
    length += (size_t)snprintf(description + length, sizeof description - length, " %s", each->name);
}

// Buffers: the folder of ggml's libraries as text, then the weights in the order above, each [.., columns], whose address is a
// multiple of 32; those of no bias are not read. Sizes: hidden, inner, experts, chosen, ggml_type of the experts' matrices,
// what weighs the chosen, clamped SwiGLU of gpt-oss (or SiLU), biases (or none).
int32_t peer_open(void *const *buffers, const int64_t *sizes, int32_t threads) {
  ggml_log_set(quiet, NULL);
  if (ggml_backend_dev_count() == 0) ggml_backend_load_all_from_path(buffers[0]);
  layer.device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  layer.backend = layer.device ? ggml_backend_dev_init(layer.device, NULL) : NULL;
  if (!layer.backend) return FAILED;
  ggml_backend_set_n_threads_t set_threads = (ggml_backend_set_n_threads_t)procedure("ggml_backend_set_n_threads");
  set_threads(layer.backend, threads);
  const int64_t H = layer.hidden = sizes[0], I = layer.inner = sizes[1], E = layer.experts = sizes[2];
  layer.chosen = sizes[3];
  const enum ggml_type type = (enum ggml_type)sizes[4];
  layer.weigh = sizes[5];
  layer.clamped = sizes[6] != 0;
  layer.biased = sizes[7] != 0;
  struct ggml_init_params few = {ggml_tensor_overhead() * 32, NULL, true};
  struct ggml_context *context = layer.weights_context = ggml_init(few);
  struct ggml_tensor *shapes[WEIGHTS] = {
      [ROUTER] = ggml_new_tensor_2d(context, GGML_TYPE_F32, H, E),
      [ROUTER_BIAS] = ggml_new_tensor_1d(context, GGML_TYPE_F32, E),
      [GATE] = ggml_new_tensor_3d(context, type, H, I, E),
      [UP] = ggml_new_tensor_3d(context, type, H, I, E),
      [DOWN] = ggml_new_tensor_3d(context, type, I, H, E),
      [GATE_BIAS] = ggml_new_tensor_2d(context, GGML_TYPE_F32, I, E),
      [UP_BIAS] = ggml_new_tensor_2d(context, GGML_TYPE_F32, I, E),
      [DOWN_BIAS] = ggml_new_tensor_2d(context, GGML_TYPE_F32, H, E),
  };
  for (int i = 0; i < WEIGHTS; i++) {
    const bool bias = i == ROUTER_BIAS || i >= GATE_BIAS;
    if (bias && !layer.biased) continue;
    if (!place(context, i, shapes[i], buffers[1 + i])) return FAILED;
  }
  describe();
  return 0;
}

const char *peer_describe(void) { return description; }

static struct ggml_tensor *biased(struct ggml_tensor *product, int bias) {
  return layer.biased ? ggml_add_id(layer.context, product, layer.weights[bias], layer.ids) : product;
}

static void build(int64_t tokens) {
  struct ggml_init_params some = {ggml_tensor_overhead() * 1024 + ggml_graph_overhead(), NULL, true};
  struct ggml_context *c = layer.context = ggml_init(some);
  struct ggml_cgraph *graph = layer.graph = ggml_new_graph(c);
  layer.tokens = tokens;
  layer.x = ggml_new_tensor_2d(c, GGML_TYPE_F32, layer.hidden, tokens);
  ggml_set_input(layer.x);
  ggml_set_output(layer.x);  // so that nothing else takes its memory: the graph runs many times
  struct ggml_tensor *logits = ggml_mul_mat(c, layer.weights[ROUTER], layer.x);
  if (layer.biased) logits = ggml_add(c, logits, layer.weights[ROUTER_BIAS]);
  struct ggml_tensor *scores = layer.weigh == CHOSEN ? logits : ggml_soft_max(c, logits);
  layer.ids = ggml_argsort_top_k(c, scores, (int)layer.chosen);
  ggml_set_output(layer.ids->src[0]);
  struct ggml_tensor *weights = ggml_get_rows(c, ggml_reshape_3d(c, scores, 1, layer.experts, tokens), layer.ids);
  if (layer.weigh != ALL) {
    weights = ggml_reshape_2d(c, weights, layer.chosen, tokens);
    weights = layer.weigh == CHOSEN
                  ? ggml_soft_max(c, weights)
                  : ggml_div(c, weights, ggml_clamp(c, ggml_sum_rows(c, weights), 6.103515625e-5f, INFINITY));
    weights = ggml_reshape_3d(c, weights, 1, layer.chosen, tokens);
  }
  ggml_build_forward_expand(graph, weights);
  struct ggml_tensor *x = ggml_reshape_3d(c, layer.x, layer.hidden, 1, tokens);
  struct ggml_tensor *up = biased(ggml_mul_mat_id(c, layer.weights[UP], x, layer.ids), UP_BIAS);
  struct ggml_tensor *gate = biased(ggml_mul_mat_id(c, layer.weights[GATE], x, layer.ids), GATE_BIAS);
  struct ggml_tensor *h = layer.clamped ? ggml_swiglu_oai(c, gate, up, 1.702f, 7.0f) : ggml_swiglu_split(c, gate, up);
  struct ggml_tensor *down = biased(ggml_mul_mat_id(c, layer.weights[DOWN], h, layer.ids), DOWN_BIAS);
  down = ggml_mul(c, down, weights);
  ggml_build_forward_expand(graph, down);
  struct ggml_tensor *sum = NULL;
  for (int64_t k = 0; k < layer.chosen; k++) {
    struct ggml_tensor *slot = ggml_view_2d(c, down, layer.hidden, tokens, down->nb[2], (size_t)k * down->nb[1]);
    sum = sum ? ggml_add(c, sum, slot) : slot;
  }
  layer.y = layer.chosen == 1 ? ggml_cont(c, sum) : sum;
  ggml_set_output(layer.y);
  ggml_build_forward_expand(graph, layer.y);
  layer.memory = ggml_gallocr_new(ggml_backend_get_default_buffer_type(layer.backend));
}

static void forget_graph(void) {
  if (layer.memory) ggml_gallocr_free(layer.memory);
  if (layer.context) ggml_free(layer.context);
  layer.memory = NULL;
  layer.context = NULL;
  layer.tokens = 0;
}

// Threads that wait for work between runs, as llama.cpp has them. They look for it busily for a long time, so they must be gone
// before anything else is timed: peer_rest.
int32_t peer_wake(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)buffers, (void)sizes;
  struct ggml_threadpool *(*make)(struct ggml_threadpool_params *) =
      (struct ggml_threadpool * (*)(struct ggml_threadpool_params *)) procedure("ggml_threadpool_new");
  void (*use)(ggml_backend_t, struct ggml_threadpool *) =
      (void (*)(ggml_backend_t, struct ggml_threadpool *))procedure("ggml_backend_cpu_set_threadpool");
  struct ggml_threadpool_params params = ggml_threadpool_params_default(threads);
  layer.pool = make(&params);
  if (!layer.pool) return FAILED;
  use(layer.backend, layer.pool);
  return 0;
}

int32_t peer_rest(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)buffers, (void)sizes, (void)threads;
  void (*use)(ggml_backend_t, struct ggml_threadpool *) =
      (void (*)(ggml_backend_t, struct ggml_threadpool *))procedure("ggml_backend_cpu_set_threadpool");
  void (*end)(struct ggml_threadpool *) = (void (*)(struct ggml_threadpool *))procedure("ggml_threadpool_free");
  use(layer.backend, NULL);
  if (layer.pool) end(layer.pool);
  layer.pool = NULL;
  return 0;
}

// Buffers: x [tokens, hidden]. Sizes: tokens.
int32_t peer_give(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)threads;
  if (layer.tokens != sizes[0]) {
    forget_graph();
    build(sizes[0]);
    if (!ggml_gallocr_alloc_graph(layer.memory, layer.graph)) return FAILED;
  }
  ggml_backend_tensor_set(layer.x, buffers[0], 0, ggml_nbytes(layer.x));
  return 0;
}

// The computation alone: this is what is timed.
int32_t peer_run(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)buffers, (void)sizes, (void)threads;
  return ggml_backend_graph_compute(layer.backend, layer.graph) == GGML_STATUS_SUCCESS ? 0 : FAILED;
}

// Buffers: y [tokens, hidden].
int32_t peer_take(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)sizes, (void)threads;
  ggml_backend_tensor_get(layer.y, buffers[0], 0, ggml_nbytes(layer.y));
  return 0;
}

int32_t peer_close(void *const *buffers, const int64_t *sizes, int32_t threads) {
  (void)buffers, (void)sizes, (void)threads;
  forget_graph();
  if (layer.pool) peer_rest(buffers, sizes, threads);
  for (int i = 0; i < WEIGHTS; i++)
    if (layer.buffers[i]) ggml_backend_buffer_free(layer.buffers[i]);
  if (layer.weights_context) ggml_free(layer.weights_context);
  if (layer.backend) ggml_backend_free(layer.backend);
  memset(&layer, 0, sizeof layer);
  return 0;
}
