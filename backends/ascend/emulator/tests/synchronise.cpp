// Order between pipes and cores. Every case is a kernel that lacks one call; with that call ("right") it passes and gives the
// same numbers for ten seeds. The faulty line of each carries its case's name after "HERE".
#include "kernels.h"

namespace {

bool right = false;

template <HardEvent event> void waitFor() {
  const auto id = GetTPipePtr()->FetchEventID(event);
  SetFlag<event>(id);
  WaitFlag<event>(id);
}

/// What most cases need: a pipe, 512 bytes of scratch in two halves, and x and y as floats.
struct Vectors {
  TPipe pipe;
  TBuf<TPosition::VECCALC> memory;
  LocalTensor<float> a, b;
  GlobalTensor<float> x = input<float>(), y = output<float>();
  Vectors() {
    pipe.InitBuffer(memory, 512);
    a = memory.GetWithOffset<float>(N, 0);
    b = memory.GetWithOffset<float>(N, 256);
  }
  void load() {
    DataCopy(a, x, N);
    waitFor<HardEvent::MTE2_V>();
  }
  void store(LocalTensor<float> from) {
    waitFor<HardEvent::V_MTE3>();
    DataCopy(y, from, N);
  }
};

struct Case {
  std::function<void()> body;
  KernelMetaType type = KERNEL_TYPE_AIV_ONLY;
  uint32_t blocks = 1;
  std::function<float(uint32_t)> want = nullptr;  // y[i]; none where only the absence of a report counts
  uint32_t written = N;
};

float x(uint32_t i) { return static_cast<float>(i) + 1; }

std::map<std::string, Case> kernels() {
  std::map<std::string, Case> all;

  // Two pipes of a vector core.
  all["mte2-v"] = {[] {
    Vectors v;
    DataCopy(v.a, v.x, N);
    if (right) waitFor<HardEvent::MTE2_V>();
    Adds(v.b, v.a, 1.0f, N);  // HERE mte2-v
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["v-mte3"] = {[] {
    Vectors v;
    v.load();
    Adds(v.b, v.a, 1.0f, N);
    if (right) waitFor<HardEvent::V_MTE3>();
    DataCopy(v.y, v.b, N);  // HERE v-mte3
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["v-mte2"] = {[] {
    Vectors v;
    v.load();
    Adds(v.b, v.a, 1.0f, N);
    if (right) waitFor<HardEvent::V_MTE2>();
    DataCopy(v.a, v.x[N], N);  // HERE v-mte2
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["mte3-v"] = {[] {
    Vectors v;
    v.load();
    v.store(v.a);
    if (right) waitFor<HardEvent::MTE3_V>();
    Duplicate(v.a, 0.0f, N);  // HERE mte3-v
  }, KERNEL_TYPE_AIV_ONLY, 1, x};
  all["mte3-mte2"] = {[] {
    Vectors v;
    v.load();
    v.store(v.a);
    if (right) waitFor<HardEvent::MTE3_MTE2>();
    DataCopy(v.b, v.y, N);  // HERE mte3-mte2
    waitFor<HardEvent::MTE2_V>();
    Adds(v.b, v.b, 1.0f, N);
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};

  // One pipe: its instructions begin in order, but may overlap.
  all["v-v"] = {[] {
    Vectors v;
    v.load();
    Adds(v.b, v.a, 1.0f, N);
    if (right) PipeBarrier<PIPE_V>();
    Muls(v.b, v.b, 2.0f, N);  // HERE v-v
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return 2 * (x(i) + 1); }};
  all["mte2-mte2"] = {[] {
    Vectors v;
    DataCopy(v.a, v.x, N);
    if (right) PipeBarrier<PIPE_MTE2>();
    DataCopy(v.a[8], v.x, N - 8);  // HERE mte2-mte2
    waitFor<HardEvent::MTE2_MTE3>();
    DataCopy(v.y, v.a, N);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return i < 8 ? x(i) : x(i - 8); }};
  all["v-masked"] = {[] {
    // Even blocks of one instruction, all blocks of the next.
    Vectors v;
    v.load();
    Duplicate(v.b, 0.0f, N);
    PipeBarrier<PIPE_V>();
    Adds(v.b, v.a, 1.0f, 32, 1, UnaryRepeatParams(2, 1, 8, 8));
    if (right) PipeBarrier<PIPE_V>();
    Adds(v.b[16], v.b, 0.0f, 8);  // HERE v-masked
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, nullptr};

  // The scalar unit.
  all["v-s"] = {[] {
    Vectors v;
    v.load();
    Adds(v.b, v.a, 1.0f, N);
    if (right) waitFor<HardEvent::V_S>();
    const float first = v.b.GetValue(0);  // HERE v-s
    PipeBarrier<PIPE_ALL>();
    Adds(v.b, v.a, first, N);
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 2; }};
  all["s-v"] = {[] {
    Vectors v;
    v.load();
    v.b.SetValue(0, 5.0f);
    if (right) waitFor<HardEvent::S_V>();
    Adds(v.b[8], v.b, 1.0f, 1);  // HERE s-v
    PipeBarrier<PIPE_V>();
    Adds(v.b, v.a, 0.0f, N);
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, x};
  all["s-mte3"] = {[] {
    Vectors v;
    v.load();
    waitFor<HardEvent::MTE2_S>();
    v.a.SetValue(0, 5.0f);
    if (right) waitFor<HardEvent::S_MTE3>();
    DataCopy(v.y, v.a, N);  // HERE s-mte3
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return i == 0 ? 5 : x(i); }};

  // A flag that orders something else.
  all["flag-too-early"] = {[] {
    Vectors v;
    if (!right) SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
    DataCopy(v.a, v.x, N);
    if (right) SetFlag<HardEvent::MTE2_V>(EVENT_ID0);
    WaitFlag<HardEvent::MTE2_V>(EVENT_ID0);
    Adds(v.b, v.a, 1.0f, N);  // HERE flag-too-early
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["flag-of-others"] = {[] {
    Vectors v;
    DataCopy(v.a, v.x, N);
    if (right) waitFor<HardEvent::MTE2_V>();
    else waitFor<HardEvent::MTE2_S>(), waitFor<HardEvent::V_MTE2>();
    if (!right) DataCopy(v.a, v.x[N], N);
    Adds(v.b, v.a, 1.0f, N);  // HERE flag-of-others
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["flag-shared-with-queue"] = {[] {
    // The queue takes the first id that nobody has reserved, which is the one that FetchEventID gave.
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 1, 256);
    const auto id = right ? pipe.AllocEventID<HardEvent::MTE2_V>() : pipe.FetchEventID(HardEvent::MTE2_V);
    SetFlag<HardEvent::MTE2_V>(id);
    auto tensor = q.AllocTensor<float>();
    DataCopy(tensor, input<float>(), N);
    q.EnQue(tensor);  // HERE flag-shared-with-queue
    tensor = q.DeQue<float>();
    WaitFlag<HardEvent::MTE2_V>(id);
    q.FreeTensor(tensor);
  }, KERNEL_TYPE_AIV_ONLY, 1, nullptr};
  all["queue-ids"] = {[] {
    TPipe pipe;
    std::array<InQueue, 3> queues;
    for (auto &q : queues) pipe.InitBuffer(q, right ? 2 : 3, 64);
    for (int turn = 0; turn < 3; turn++)
      for (auto &q : queues) {
        auto tensor = q.AllocTensor<float>();
        q.EnQue(tensor);
        tensor = q.DeQue<float>();
        q.FreeTensor(tensor);  // HERE queue-ids
      }
  }, KERNEL_TYPE_AIV_ONLY, 1, nullptr};

  // Queues order their own pipes only, and only between their calls.
  all["queue-skipped"] = {[] {
    Vectors v;
    InQueue q;
    v.pipe.InitBuffer(q, 1, 256);
    auto tensor = q.AllocTensor<float>();
    DataCopy(tensor, v.x, N);
    if (right) q.EnQue(tensor), tensor = q.DeQue<float>();
    Adds(v.b, tensor, 1.0f, N);  // HERE queue-skipped
    q.FreeTensor(tensor);
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["queue-freed-early"] = {[] {
    Vectors v;
    InQueue q;
    v.pipe.InitBuffer(q, 1, 256);
    for (uint32_t turn = 0; turn < 2; turn++) {
      auto tensor = q.AllocTensor<float>();
      DataCopy(tensor, v.x[turn * N], N);
      q.EnQue(tensor);
      tensor = q.DeQue<float>();
      if (right) waitFor<HardEvent::MTE2_MTE3>();
      DataCopy(v.y[turn * N], tensor, N);  // HERE queue-freed-early
      if (right) waitFor<HardEvent::MTE3_V>();
      q.FreeTensor(tensor);
    }
  }, KERNEL_TYPE_AIV_ONLY, 1, x, 2 * N};

  // The cube core's way.
  all["mte2-mte1"] = {[] {
    Cube c;
    DataCopy(c.l1, input<half>(), 512);
    if (right) waitFor<HardEvent::MTE2_MTE1>();
    LoadData(c.l0a, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));  // HERE mte2-mte1
  }, KERNEL_TYPE_AIC_ONLY, 1, nullptr};
  all["mte1-m"] = {[] {
    Cube c;
    DataCopy(c.l1, input<half>(), 512);
    waitFor<HardEvent::MTE2_MTE1>();
    LoadData(c.l0a, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    LoadData(c.l0b, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    if (right) waitFor<HardEvent::MTE1_M>();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));  // HERE mte1-m
  }, KERNEL_TYPE_AIC_ONLY, 1, nullptr};
  all["m-fix"] = {[] {
    Cube c;
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    if (right) waitFor<HardEvent::M_FIX>();
    Fixpipe(output<float>(), c.l0c, FixpipeParamsV220(16, 16, 16, 16, false));  // HERE m-fix
  }, KERNEL_TYPE_AIC_ONLY, 1, nullptr};
  all["m-m"] = {[] {
    Cube c;
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    if (right) PipeBarrier<PIPE_M>();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, false));  // HERE m-m
  }, KERNEL_TYPE_AIC_ONLY, 1, nullptr};

  // Cores.
  all["cores"] = {[] {
    Vectors v;
    const auto me = static_cast<uint32_t>(GetBlockIdx());
    v.load();
    waitFor<HardEvent::MTE2_MTE3>();
    DataCopy(v.y[me * 32], v.a[me * 32], 32);  // HERE cores
    if (right) SyncAll();
    DataCopy(v.b, v.y[(1 - me) * 32], 32);
    PipeBarrier<PIPE_ALL>();
    DataCopy(v.y[N + me * 32], v.b, 32);
  }, KERNEL_TYPE_MIX_AIV_1_0, 2, x};
  all["cores-overlap"] = {[] {
    // Whole blocks of 32 bytes: the last of one core is the first of the other.
    Vectors v;
    const auto me = static_cast<uint32_t>(GetBlockIdx());
    v.load();
    waitFor<HardEvent::MTE2_MTE3>();
    DataCopyPad(v.y[me * 30], v.a[0], DataCopyExtParams(1, (right ? 30 : 32) * 4, 0, 0, 0));  // HERE cores-overlap
  }, KERNEL_TYPE_AIV_ONLY, 2, nullptr, 0};
  all["cores-flag"] = {[] {
    // The flag waits for pipe MTE3 only if it is set on pipe MTE3.
    GlobalTensor<float> y = output<float>();
    if ASCEND_IS_AIV {
      Vectors v;
      v.load();
      waitFor<HardEvent::MTE2_MTE3>();
      if (GetSubBlockIdx() == 0) DataCopy(y, v.a, N);
      if (right) CrossCoreSetFlag<2, PIPE_MTE3>(1);
      else CrossCoreSetFlag<2, PIPE_V>(1);
    } else {
      TPipe pipe;
      TBuf<TPosition::A1> memory;
      pipe.InitBuffer(memory, 256);
      CrossCoreWaitFlag(1);
      DataCopy(memory.Get<float>(), y, N);  // HERE cores-flag
    }
  }, KERNEL_TYPE_MIX_AIC_1_2, 1, x};
  return all;
}

/// Kernels without any fault, which a coarser analysis would refuse.
std::map<std::string, Case> sound() {
  std::map<std::string, Case> all;
  all["apart"] = {[] {
    // Two pipes in one block of 32 bytes, and never at the same bytes.
    Vectors v;
    Duplicate(v.a, 1.0f, N);
    PipeBarrier<PIPE_ALL>();
    for (uint32_t i = 0; i < 4; i++) v.a.SetValue(i, 7.0f);
    Adds(v.b, v.a[8], 1.0f, N - 8);
    Adds(v.b[56], v.a[8], 1.0f, 8);
    waitFor<HardEvent::V_MTE3>();
    DataCopy(v.y, v.b, N);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t) { return 2.0f; }};
  all["by way of others"] = {[] {
    Vectors v;
    DataCopy(v.a, v.x, N);
    waitFor<HardEvent::MTE2_V>();
    Duplicate(v.b, 2.0f, N);
    waitFor<HardEvent::V_MTE3>();
    DataCopy(v.y, v.a, N);
  }, KERNEL_TYPE_AIV_ONLY, 1, x};
  all["issued after a wait"] = {[] {
    // The scalar unit waited, and only then gave the vector unit its work.
    Vectors v;
    DataCopy(v.a, v.x, N);
    waitFor<HardEvent::MTE2_S>();
    Adds(v.b, v.a, 1.0f, N);
    v.store(v.b);
  }, KERNEL_TYPE_AIV_ONLY, 1, [](uint32_t i) { return x(i) + 1; }};
  all["flags ahead of a loop"] = {[] {
    // As pipelines are written by hand: each half is free at first, and freed again by the store.
    Vectors v;
    const LocalTensor<float> halves[] = {v.a, v.b};
    SetFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
    SetFlag<HardEvent::MTE3_MTE2>(EVENT_ID1);
    for (uint32_t i = 0; i < 4; i++) {
      const auto id = static_cast<int32_t>(i % 2);
      WaitFlag<HardEvent::MTE3_MTE2>(id);
      DataCopy(halves[id], v.x[i * N], N);
      SetFlag<HardEvent::MTE2_MTE3>(id);
      WaitFlag<HardEvent::MTE2_MTE3>(id);
      DataCopy(v.y[i * N], halves[id], N);
      SetFlag<HardEvent::MTE3_MTE2>(id);
    }
    WaitFlag<HardEvent::MTE3_MTE2>(EVENT_ID0);
    WaitFlag<HardEvent::MTE3_MTE2>(EVENT_ID1);
  }, KERNEL_TYPE_AIV_ONLY, 1, x, 4 * N};
  all["laid out anew"] = {[] {
    Vectors v;
    v.load();
    v.store(v.a);
    PipeBarrier<PIPE_ALL>();
    v.pipe.Reset();
    InQueue q;
    v.pipe.InitBuffer(q, 2, 256);
    auto tensor = q.AllocTensor<float>();
    DataCopy(tensor, v.x, N);
    q.EnQue(tensor);
    tensor = q.DeQue<float>();
    q.FreeTensor(tensor);
  }, KERNEL_TYPE_AIV_ONLY, 1, x};
  all["every read before the write"] = {[] {
    // Four cores read what the first one overwrites after the barrier.
    Vectors v;
    v.load();
    SyncAll();
    if (GetBlockIdx() == 0) DataCopy(input<float>(), v.a, N);
  }, KERNEL_TYPE_MIX_AIV_1_0, 4, nullptr, 0};
  return all;
}

void fill() {
  auto *values = reinterpret_cast<float *>(fixture().x.data());
  for (uint32_t i = 0; i < 4 * N; i++) values[i] = x(i);
  std::memset(fixture().y.data(), 0, fixture().y.size());
}

void launch(const Case &one, uint64_t seed, Synchronisation how) {
  fill();
  Device device;
  device.setSeed(seed);
  device.setSynchronisation(how);
  device.registerBuffer(fixture().x.data(), N * 16, "x", true);
  device.registerBuffer(fixture().y.data(), N * 16, "y", true);
  kernelBody = one.body;
  device.launch("broken", one.type, one.blocks, kernel);
}

void compare(const Case &one) {
  const auto *y = reinterpret_cast<float *>(fixture().y.data());
  for (uint32_t i = 0; one.want && i < one.written; i++) expectNear("y", i, y[i], one.want(i), 0);
}

/// Whether one of twenty seeds gives other numbers, once nothing is reported.
bool differs(const Case &one) {
  for (uint64_t seed = 0; seed < 20; seed++) {
    launch(one, seed, Synchronisation::Unchecked);
    try {
      compare(one);
    } catch (const Mismatch &) {
      return true;
    }
  }
  return false;
}

void passes(const std::map<std::string, Case> &all) {
  for (const auto &[name, one] : all)
    for (uint64_t seed = 0; seed < 10; seed++) try {
        launch(one, seed, Synchronisation::Explicit);
        compare(one);
      } catch (const std::exception &error) {
        throw Mismatch(name + ", seed " + std::to_string(seed) + ": " + error.what());
      }
}

Cases cases() {
  Cases all;
  for (const auto &[name, one] : kernels()) all[name] = [one = one] { launch(one, 0, Synchronisation::Explicit); };
  all["right"] = [] {
    right = true;
    passes(kernels());
  };
  all["sound"] = [] { passes(sound()); };
  // What is reported is real: without the report, some seed gives other numbers.
  all["unchecked"] = [] {
    for (const char *name : {"mte2-v", "v-mte3", "v-mte2", "mte3-v", "mte3-mte2", "v-s", "flag-too-early", "queue-skipped"}) {
      const Case one = kernels().at(name);
      right = false;
      if (!differs(one)) throw Mismatch(std::string(name) + ": no seed shows the fault");
      right = true;
      if (differs(one)) throw Mismatch(std::string(name) + ": a seed shows a fault that is not there");
    }
  };
  // Printed, for the test to read: two launches of two blocks; the second with a cost of its own.
  all["trace"] = [] {
    const Case one = kernels().at("v-mte3");
    right = true;
    unmoor::ascend::Trace rough, own([](const unmoor::ascend::InstructionCost &work) {
      return work.pipe == PIPE_MTE2 ? static_cast<double>(work.bytesRead) : 10.0;
    });
    for (unmoor::ascend::Trace *trace : {&rough, &own}) {
      fill();
      Device device;
      device.setTrace(trace);
      device.registerBuffer(fixture().x.data(), N * 16, "x", true);
      device.registerBuffer(fixture().y.data(), N * 16, "y", true);
      kernelBody = [&] {
        if (GetBlockIdx() == 0) one.body();
      };
      for (int i = 0; i < 2; i++) device.launch("scale", one.type, 2, kernel);
      std::printf("%s====\n", trace->json(1000).c_str());
    }
  };
  // Left to the compiler, none of it matters.
  all["automatic"] = [] {
    for (const char *name : {"mte2-v", "v-mte3", "v-v", "v-s", "s-mte3", "queue-skipped"}) {
      const Case one = kernels().at(name);
      launch(one, 3, Synchronisation::Automatic);
      compare(one);
    }
  };
  return all;
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
