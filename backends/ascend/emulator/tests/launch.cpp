// What the host sees: order of blocks, waits between blocks, and the C entry points of a generated host file.
#include "support.h"

namespace {

std::vector<int64_t> seen;

void recordKernel() { seen.push_back(GetBlockIdx()); }

void order() {
  const auto runWith = [](uint64_t seed) {
    seen.clear();
    Device device;
    device.setSeed(seed);
    device.launch("record", KERNEL_TYPE_AIV_ONLY, 16, recordKernel);
    return seen;
  };
  const auto first = runWith(1), again = runWith(1), other = runWith(2);
  if (first != again) throw Mismatch("the same seed gives another order");
  if (first == other) throw Mismatch("another seed gives the same order");
  auto sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 16; i++) expectNear("block", i, sorted[i], i, 0);
}

// Every block writes one number, and after the barrier reads its neighbour's.
void syncKernel(GM_ADDR shared, GM_ADDR out) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIV_1_0);
  GlobalTensor<int32_t> a, b;
  a.SetGlobalBuffer((__gm__ int32_t *)shared, GetBlockNum());
  b.SetGlobalBuffer((__gm__ int32_t *)out, GetBlockNum());
  const int64_t me = GetBlockIdx();
  a.SetValue(me, static_cast<int32_t>(me * me));
  DataCacheCleanAndInvalid<int32_t, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(a);
  SyncAll();
  b.SetValue(me, a.GetValue((me + 1) % GetBlockNum()));
}

void sync() {
  std::vector<int32_t> shared(8), out(8);
  Device device;
  device.registerBuffer(shared.data(), 32, "shared", false);
  device.registerBuffer(out.data(), 32, "out", false);
  device.launch("sync", KERNEL_TYPE_MIX_AIV_1_0, 8, syncKernel, (void *)shared.data(), (void *)out.data());
  for (int64_t i = 0; i < 8; i++) expectNear("out", i, out[i], ((i + 1) % 8) * ((i + 1) % 8), 0);
}

// The cube core of a group makes a number, its two vector cores add theirs, and it reads both.
void mixKernel(GM_ADDR work, GM_ADDR out) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
  GlobalTensor<int32_t> w, o;
  w.SetGlobalBuffer((__gm__ int32_t *)work);
  o.SetGlobalBuffer((__gm__ int32_t *)out);
  const int64_t group = ASCEND_IS_AIC ? GetBlockIdx() : GetBlockIdx() / GetTaskRation();
  if ASCEND_IS_AIC {
    w.SetValue(group * 3, static_cast<int32_t>(100 * group));
    PipeBarrier<PIPE_ALL>();
    CrossCoreSetFlag<2, PIPE_FIX>(3);
    CrossCoreWaitFlag(4);
    // One cube core for each group, two vector cores.
    o.SetValue(group, static_cast<int32_t>(GetTaskRatio()) * (w.GetValue(group * 3 + 1) + w.GetValue(group * 3 + 2)));
  } else {
    CrossCoreWaitFlag(3);
    w.SetValue(group * 3 + 1 + GetSubBlockIdx(), w.GetValue(group * 3) + static_cast<int32_t>(GetSubBlockIdx()));
    PipeBarrier<PIPE_ALL>();
    CrossCoreSetFlag<2, PIPE_MTE3>(4);
  }
}

void mix() {
  for (uint64_t seed = 0; seed < 4; seed++) {
    std::vector<int32_t> work(12), out(4);
    Device device(unmoor::ascend::SOC_910B1);
    device.setSeed(seed);
    device.registerBuffer(work.data(), 48, "work", false);
    device.registerBuffer(out.data(), 16, "out", false);
    device.launch("mix", KERNEL_TYPE_MIX_AIC_1_2, 4, mixKernel, (void *)work.data(), (void *)out.data());
    for (int64_t i = 0; i < 4; i++) expectNear("out", i, out[i], 200.0 * i + 1, 0);
  }
}

// A store that would be atomic, and a mask that would count, but for InitSocState.
void stateKernel(GM_ADDR out) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<float> o;
  o.SetGlobalBuffer((__gm__ float *)out, 64);
  TPipe pipe;
  TBuf<TPosition::VECCALC> memory;
  pipe.InitBuffer(memory, 256);
  auto tile = memory.Get<float>();
  SetMaskCount();
  SetAtomicAdd<float>();
  InitSocState();
  Duplicate(tile, 3.0f, uint64_t{64}, 1, 1, 8);
  PipeBarrier<PIPE_ALL>();
  DataCopy(o, tile, 64);
}

void state() {
  std::vector<float> out(64);
  Device device;
  device.registerBuffer(out.data(), 256, "out", false);
  device.launch("state", KERNEL_TYPE_AIV_ONLY, 1, stateKernel, (void *)out.data());
  for (size_t i = 0; i < 64; i++) expectNear("out", i, out[i], 3, 0);
}

struct Tiling {
  uint32_t total;
  float factor;
};

extern "C" __global__ __aicore__ void scale_kernel(GM_ADDR x, GM_ADDR y, GM_ADDR tiling) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GET_TILING_DATA_WITH_STRUCT(Tiling, t, tiling);
  GlobalTensor<float> in, out;
  in.SetGlobalBuffer((__gm__ float *)x, t.total);
  out.SetGlobalBuffer((__gm__ float *)y, t.total);
  TPipe pipe;
  TBuf<TPosition::VECCALC> memory;
  pipe.InitBuffer(memory, t.total * 4);
  auto tile = memory.Get<float>();
  DataCopyPad(tile, in, DataCopyExtParams{1, t.total * 4, 0, 0, 0}, DataCopyPadExtParams<float>{});
  auto event = GetTPipePtr()->FetchEventID(HardEvent::MTE2_V);
  SetFlag<HardEvent::MTE2_V>(event);
  WaitFlag<HardEvent::MTE2_V>(event);
  Muls(tile, tile, t.factor, t.total);
  PipeBarrier<PIPE_ALL>();
  DataCopyPad(out, tile, DataCopyExtParams{1, t.total * 4, 0, 0, 0});
}

thread_local std::string lastError;

}  // namespace

extern "C" int32_t scale_run(void *const *buffers, const int64_t *dims, int32_t threads) {
  (void)threads;
  try {
    Device device;
    const auto n = static_cast<uint32_t>(dims[0]);
    Tiling tiling{n, 3.0f};
    device.registerBuffer(buffers[0], n * 4, "x", true);
    device.registerBuffer(buffers[1], n * 4, "y", false);
    device.registerBuffer(&tiling, sizeof(tiling), "tiling", true);
    device.launch("scale_kernel", KERNEL_TYPE_AIV_ONLY, 1, scale_kernel, buffers[0], buffers[1], &tiling);
    device.requireWritten(buffers[1]);
    return 0;
  } catch (const EmulatorError &error) {
    lastError = error.what();
    return 1;
  }
}
extern "C" const char *scale_error(void) { return lastError.c_str(); }

namespace {

void abi() {
  std::vector<float> x = randoms(1 << 16, 1), y(1 << 16);
  void *const buffers[] = {x.data(), y.data()};
  const int64_t dims[] = {21}, tooMany[] = {1 << 16};
  if (scale_run(buffers, dims, 1) != 0) throw Mismatch(scale_error());
  for (size_t i = 0; i < 21; i++) expectNear("y", i, y[i], 3 * x[i], 0);
  if (scale_run(buffers, tooMany, 1) == 0) throw Mismatch("a tile that does not fit was accepted");
  if (std::string(scale_error()).find("[ub-capacity]") == std::string::npos) throw Mismatch(scale_error());
}

// Doubles every block's number through UB; the barrier at the end is for nobody, and the wait in front of the copy only for a
// block that comes after another on its core.
void trialsKernel(GM_ADDR x, GM_ADDR y, int64_t blocks) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GlobalTensor<float> in, out;
  in.SetGlobalBuffer((__gm__ float *)x, 8 * blocks);
  out.SetGlobalBuffer((__gm__ float *)y, 8 * blocks);
  TPipe pipe;
  TBuf<TPosition::VECCALC> memory;
  pipe.InitBuffer(memory, 32);
  LocalTensor<float> a = memory.Get<float>();
  for (int64_t block = GetBlockIdx(); block < blocks; block += GetBlockNum()) {
    SetFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
    WaitFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
    DataCopy(a, in[8 * block], 8);
    SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
    Add(a, a, a, 8);
    SetFlag<HardEvent::V_MTE3>(EVENT_ID0);
    WaitFlag<HardEvent::V_MTE3>(EVENT_ID0);
    DataCopy(out[8 * block], a, 8);
    PipeBarrier<PIPE_MTE3>();
  }
}

void trials() {
  std::vector<float> x = randoms(32, 1), y(32);
  Device device;
  device.registerBuffer(x.data(), 128, "x", true);
  device.registerBuffer(y.data(), 128, "y", false);
  unmoor::ascend::Trials trials;
  device.setTrials(&trials);
  const auto launch = [&] {
    device.launch("trials", KERNEL_TYPE_AIV_ONLY, 4, trialsKernel, (void *)x.data(), (void *)y.data(), int64_t{4});
  };
  launch();
  const char *const names[] = {"SetFlag", "WaitFlag", "SetFlag", "WaitFlag", "SetFlag", "WaitFlag", "PipeBarrier"};
  expectNear("calls", 0, trials.ordering.list.size(), 7, 0);
  for (size_t i = 0; i < 7; i++)
    if (trials.ordering.list[i].name != names[i]) throw Mismatch("call " + trials.ordering.list[i].name);
  // The pairs, which leave no flag behind, and the barrier.
  trials.list = {{{0, 1}}, {{2, 3}}, {{4, 5}}, {{6}}};
  launch();
  using Outcome = unmoor::ascend::Trials::Outcome;
  for (size_t i = 0; i < 4; i++)
    if (trials.list[i].outcome != (i < 3 ? Outcome::Reported : Outcome::Unnoticed))
      throw Mismatch("attempt " + std::to_string(i));
  device.requireWritten(y.data());
  for (size_t i = 0; i < 32; i++) expectNear("y", i, y[i], 2 * x[i], 0);
}

}  // namespace

int main(int argc, char **argv) {
  return runCase({{"order", order}, {"sync", sync}, {"mix", mix}, {"state", state}, {"abi", abi}, {"trials", trials}}, argc, argv);
}
