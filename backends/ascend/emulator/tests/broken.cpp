// One deliberately broken kernel per check. The faulty line of each carries its case's name after "HERE".
#include "kernels.h"

namespace {

Cases cases() {
  Cases all;

  // Capacity and buffers.
  all["ub-capacity"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a;
    InQueue q;
    pipe.InitBuffer(a, 100000);
    pipe.InitBuffer(q, 2, 50000);  // HERE ub-capacity
  });
  all["l1-capacity"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::A1> a;
    pipe.InitBuffer(a, 512 * 1024);  // HERE l1-capacity
  });
  all["l0a-capacity"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::A2> a;
    pipe.InitBuffer(a, 65 * 1024);  // HERE l0a-capacity
  });
  all["l0b-capacity"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::B2> a;
    pipe.InitBuffer(a, 65 * 1024);  // HERE l0b-capacity
  });
  all["l0c-capacity"] = aic([] {
    TPipe pipe;
    TBuf<TPosition::CO1> a;
    pipe.InitBuffer(a, 129 * 1024);  // HERE l0c-capacity
  });
  all["buffer-count"] = aiv([] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 65, 32);  // HERE buffer-count
  });
  all["no-local-memory"] = aic([] {
    TPipe pipe;
    TQue<TPosition::CO2, 1> q;
    pipe.InitBuffer(q, 1, 32);  // HERE no-local-memory
  });
  all["buffer-on-aic"] = aic([] {
    TPipe pipe;
    InQueue q;
    pipe.InitBuffer(q, 1, 32);  // HERE buffer-on-aic
  });
  all["buffer-on-aiv"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::A2> a;
    pipe.InitBuffer(a, 512);  // HERE buffer-on-aiv
  });
  all["pipe-on-aic"] = aic([] {
    PipeBarrier<PIPE_V>();  // HERE pipe-on-aic
  });

  // Alignment.
  all["ub-alignment"] = vec<float>([](auto a, auto b) {
    Exp(b, a[1], 8);  // HERE ub-alignment
  });
  all["l0-alignment"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), 512);
    LoadData(c.l0a[16], c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));  // HERE l0-alignment
  });
  all["l0c-alignment"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    Fixpipe(output<float>(), c.l0c[8], FixpipeParamsV220(8, 8, 16, 8, false));  // HERE l0c-alignment
  });
  all["gather-alignment"] = vec<float>([](auto a, auto b) {
    auto offsets = b[32].template ReinterpretCast<uint32_t>();
    Duplicate(offsets, 2u, 8);
    Gather(b, a, offsets, 0, 8);  // HERE gather-alignment
  });

  // Transfers.
  all["copy-length"] = vec<float>([](auto a, auto) {
    DataCopy(a, input<float>(), 10);  // HERE copy-length
  });
  all["copy-blocks"] = vec<float>([](auto a, auto) {
    DataCopy(a, input<float>(), DataCopyParams(0, 1, 0, 0));  // HERE copy-blocks
  });
  all["pad-element"] = vec<float>([](auto a, auto) {
    DataCopyPad(a, input<float>(), DataCopyExtParams{1, 6, 0, 0, 0}, DataCopyPadExtParams<float>{});  // HERE pad-element
  });
  all["pad-count"] = vec<float>([](auto a, auto) {
    DataCopyPad(output<float>(), a, DataCopyExtParams{4096, 4, 0, 0, 0});  // HERE pad-count
  });
  all["pad-width"] = vec<float>([](auto a, auto) {
    DataCopyPad(a, input<float>(), DataCopyExtParams{1, 4, 0, 0, 0}, DataCopyPadExtParams<float>{true, 0, 9, 0});  // HERE pad-width
  });
  all["gm-range"] = vec<float>([](auto a, auto) {
    DataCopy(a, input<float>()[N * 4 - 8], 16);  // HERE gm-range
  });
  all["gm-size"] = vec<float>([](auto a, auto) {
    GlobalTensor<float> small;
    small.SetGlobalBuffer(reinterpret_cast<float *>(fixture().x.data()), 8);
    DataCopy(a, small, 16);  // HERE gm-size
  });
  all["gm-unregistered"] = aiv([] {
    float other[8] = {};
    GlobalTensor<float> stray;
    stray.SetGlobalBuffer(other, 8);
    stray.GetValue(0);  // HERE gm-unregistered
  });
  all["gm-uninitialised"] = vec<float>([](auto a, auto) {
    output<float>().SetValue(0, 1.0f);
    DataCopy(a, output<float>(), 8);  // HERE gm-uninitialised
  });
  all["data-path"] = cube([](Cube &c) {
    DataCopy(c.l0a, input<half>(), 16);  // HERE data-path
  });
  all["nd2nz-stride"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), Nd2NzParams(1, 16, 16, 0, 0, 16, 1, 0));  // HERE nd2nz-stride
  });

  // Contents and ranges of local memory.
  all["uninitialised"] = vec<float>([](auto a, auto b) {
    Add(a, a, b, 8);  // HERE uninitialised
  });
  all["uninitialised-tail"] = vec<float>([](auto, auto b) {
    DataCopyPad(b, input<float>(), DataCopyExtParams{1, 20, 0, 0, 0}, DataCopyPadExtParams<float>{});
    Exp(b, b, 8);  // HERE uninitialised-tail
  });
  all["uninitialised-store"] = vec<float>([](auto, auto b) {
    Duplicate(b, 1.0f, 7);
    DataCopy(output<float>(), b, 8);  // HERE uninitialised-store
  });
  all["uninitialised-scalar"] = vec<float>([](auto, auto b) {
    b.GetValue(3);  // HERE uninitialised-scalar
  });
  all["uninitialised-fractal"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), Nd2NzParams(1, 15, 16, 0, 16, 16, 1, 0));
    LoadData(c.l0a, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    LoadData(c.l0b, c.l1, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(15, 15, 16, 0, false, true));
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(15, 16, 16, 0, false, true));  // HERE uninitialised-fractal
  });
  all["uninitialised-accumulator"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, false));  // HERE uninitialised-accumulator
  });
  all["local-range"] = vec<float>([](auto a, auto) {
    Duplicate(a, 1.0f, 520);  // HERE local-range
  });
  all["local-range-strided"] = vec<float>([](auto a, auto b) {
    Adds(b, a, 1.0f, 64, 2, UnaryRepeatParams{1, 1, 250, 0});  // HERE local-range-strided
  });
  all["tbuf-range"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a;
    pipe.InitBuffer(a, 64);
    a.Get<float>(17);  // HERE tbuf-range
  });
  all["use-after-free"] = queue(1, [](InQueue &q) {
    auto t = q.AllocTensor<float>();
    q.FreeTensor(t);
    Duplicate(t, 1.0f, 8);  // HERE use-after-free
  });
  all["no-tensor"] = aiv([] {
    LocalTensor<float> nothing;
    nothing.GetValue(0);  // HERE no-tensor
  });

  // Queues.
  all["queue-no-free-buffer"] = queue(1, [](InQueue &q) {
    q.AllocTensor<float>();
    q.AllocTensor<float>();  // HERE queue-no-free-buffer
  });
  all["queue-empty"] = queue(1, [](InQueue &q) {
    q.DeQue<float>();  // HERE queue-empty
  });
  all["queue-depth"] = queue(2, [](InQueue &q) {
    q.EnQue(q.AllocTensor<float>());
    q.EnQue(q.AllocTensor<float>());  // HERE queue-depth
  });
  all["queue-enqueue-twice"] = queue(1, [](InQueue &q) {
    auto t = q.AllocTensor<float>();
    q.EnQue(t);
    q.EnQue(t);  // HERE queue-enqueue-twice
  });
  all["queue-double-free"] = queue(1, [](InQueue &q) {
    auto t = q.AllocTensor<float>();
    q.FreeTensor(t);
    q.FreeTensor(t);  // HERE queue-double-free
  });
  all["queue-free-enqueued"] = queue(1, [](InQueue &q) {
    auto t = q.AllocTensor<float>();
    q.EnQue(t);
    q.FreeTensor(t);  // HERE queue-free-enqueued
  });
  all["queue-foreign"] = aiv([] {
    TPipe pipe;
    InQueue q, other;
    pipe.InitBuffer(q, 1, 32);
    pipe.InitBuffer(other, 1, 32);
    other.EnQue(q.AllocTensor<float>());  // HERE queue-foreign
  });
  all["queue-not-initialised"] = aiv([] {
    InQueue q;
    q.AllocTensor<float>();  // HERE queue-not-initialised
  });
  all["queue-held"] = queue(9, [](InQueue &q) {
    for (int i = 0; i < 9; i++) q.AllocTensor<float>();  // HERE queue-held
  });
  all["queue-leftover"] = queue(1, [](InQueue &q) { q.AllocTensor<float>(); });
  all["queue-leftover-enqueued"] = queue(1, [](InQueue &q) { q.EnQue(q.AllocTensor<float>()); });

  // Element types, modes and limits of instructions.
  all["dtype-bf16-add"] = vec<bfloat16_t>([](auto a, auto b) {
    Add(b, a, a, 16);  // HERE dtype-bf16-add
  });
  all["dtype-int-div"] = vec<int32_t>([](auto a, auto b) {
    Div(b, a, a, 16);  // HERE dtype-int-div
  });
  all["dtype-int-reduce"] = vec<int32_t>([](auto a, auto b) {
    ReduceSum(b, a, b[32], 16);  // HERE dtype-int-reduce
  });
  all["dtype-cast"] = vec<half>([](auto a, auto b) {
    Cast(b.template ReinterpretCast<bfloat16_t>(), a, RoundMode::CAST_RINT, 16);  // HERE dtype-cast
  });
  all["round-mode"] = vec<float>([](auto a, auto b) {
    Cast(b.template ReinterpretCast<bfloat16_t>(), a, RoundMode::CAST_NONE, 16);  // HERE round-mode
  });
  all["dtype-mmad"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c.ReinterpretCast<half>(), c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));  // HERE dtype-mmad
  });
  all["dtype-transpose"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), 512);
    LoadData(c.l0b.ReinterpretCast<float>(), c.l1.ReinterpretCast<float>(), LoadData2DParams(0, 1, 1, 0, 0, true, 0));  // HERE dtype-transpose
  });
  all["quant-mode"] = cube([](Cube &c) {
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    Fixpipe(output<half>(), c.l0c, FixpipeParamsV220(16, 16, 16, 16, false));  // HERE quant-mode
  });
  all["mask-limit"] = vec<float>([](auto a, auto b) {
    Adds(b, a, 1.0f, 65, 1, UnaryRepeatParams{});  // HERE mask-limit
  });
  all["repeat-limit"] = vec<float>([](auto a, auto b) {
    WholeReduceSum(b, a, 8, 256, 0, 1, 0);  // HERE repeat-limit
  });
  all["mmad-limit"] = cube([](Cube &c) {
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(4096, 16, 16, 0, false, true));  // HERE mmad-limit
  });
  all["compare-length"] = vec<float>([](auto a, auto b) {
    CompareScalar(b.template ReinterpretCast<uint8_t>(), a, 0.0f, CMPMODE::GT, 60);  // HERE compare-length
  });
  all["select-mode"] = vec<float>([](auto a, auto b) {
    Select(b, a.template ReinterpretCast<uint8_t>(), a, 0.0f, SELMODE::VSEL_TENSOR_TENSOR_MODE, 64);  // HERE select-mode
  });
  all["overlap"] = vec<float>([](auto a, auto) {
    Muls(a[8], a, 2.0f, 64);  // HERE overlap
  });
  all["work-space"] = aiv([] {
    TPipe pipe;
    TBuf<TPosition::VECCALC> a, work;
    pipe.InitBuffer(a, 8192);
    pipe.InitBuffer(work, 32);
    auto t = a.Get<float>();
    Duplicate(t, 1.0f, 2048);
    ReduceMax(t, t, work.Get<float>(), 2048);  // HERE work-space
  });
  all["position"] = cube([](Cube &c) {
    DataCopy(c.l1, input<half>(), 512);
    Mmad(c.l0c, c.l1, c.l0b, MmadParams(16, 16, 16, 0, false, true));  // HERE position
  });
  // Not refused, but wrong: B is [k, n] here and has to be transposed on its way to L0B.
  all["wrong-layout"] = cube([](Cube &c) {
    auto *x = reinterpret_cast<half *>(fixture().x.data());
    for (uint32_t i = 0; i < 256; i++) x[i] = half(i % 7);
    c.load();
    Mmad(c.l0c, c.l0a, c.l0b, MmadParams(16, 16, 16, 0, false, true));
    Fixpipe(output<float>(), c.l0c, FixpipeParamsV220(16, 16, 16, 16, false));
    const auto *y = reinterpret_cast<float *>(fixture().y.data());
    float want = 0;
    for (uint32_t k = 0; k < 16; k++) want += float(x[k]) * float(x[k * 16 + 1]);
    expectNear("c", 1, y[1], want, 1e-3);
  });

  // Flags, kernel types, waits between blocks.
  all["flag-set-twice"] = aiv([] {
    SetFlag<HardEvent::MTE2_V>(0);
    SetFlag<HardEvent::MTE2_V>(0);  // HERE flag-set-twice
  });
  all["flag-not-set"] = aiv([] {
    SetFlag<HardEvent::V_MTE3>(1);
    WaitFlag<HardEvent::V_MTE3>(0);  // HERE flag-not-set
  });
  all["flag-leftover"] = aiv([] {
    SetFlag<HardEvent::V_MTE3>(1);  // HERE flag-leftover
  });
  all["flag-id"] = aiv([] {
    SetFlag<HardEvent::V_MTE3>(8);  // HERE flag-id
  });
  all["event-ids"] = aiv([] {
    TPipe pipe;
    for (int i = 0; i < 9; i++) GetTPipePtr()->AllocEventID<HardEvent::V_S>();  // HERE event-ids
  });
  all["no-pipe"] = aiv([] { GetTPipePtr(); });
  all["kernel-type"] = aiv([] {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);  // HERE kernel-type
  });
  all["sync-kernel-type"] = aiv([] {
    SyncAll();  // HERE sync-kernel-type
  });
  all["sync-cores"] = onCore(KERNEL_TYPE_MIX_AIV_1_0, 2, [] {
    SyncAll<false>();  // HERE sync-cores
  });
  all["sync-blocks"] = onCore(KERNEL_TYPE_MIX_AIV_1_0, 41, [] {
    SyncAll();  // HERE sync-blocks
  });
  all["deadlock"] = onCore(KERNEL_TYPE_MIX_AIV_1_0, 2, [] {
    if (GetBlockIdx() == 0) SyncAll();  // HERE deadlock
  });
  all["cross-core-flag"] = onCore(KERNEL_TYPE_MIX_AIC_1_1, 1, [] {
    if ASCEND_IS_AIC {
      for (int i = 0; i < 16; i++) CrossCoreSetFlag<2, PIPE_FIX>(0);  // HERE cross-core-flag
    }
  });
  all["cross-flag-leftover"] = onCore(KERNEL_TYPE_MIX_AIC_1_2, 1, [] {
    if ASCEND_IS_AIV {
      CrossCoreSetFlag<2, PIPE_MTE2>(1);
      CrossCoreSetFlag<2, PIPE_MTE2>(1);
    } else {
      CrossCoreWaitFlag(1);
    }
  });

  // The host's own mistakes.
  all["gm-overlap"] = [] {
    Device device;
    device.registerBuffer(fixture().x.data(), 64, "x", true);
    device.registerBuffer(fixture().x.data() + 32, 64, "y", true);
  };
  all["gm-unwritten"] = [] {
    Device device;
    device.registerBuffer(fixture().y.data(), 64, "y", false);
    kernelBody = [] { output<float>().SetValue(0, 1.0f); };
    device.launch("half-done", KERNEL_TYPE_AIV_ONLY, 1, kernel);
    device.requireWritten(fixture().y.data());
  };
  all["no-launch"] = [] { GetBlockIdx(); };
  all["block-dim"] = onCore(KERNEL_TYPE_AIV_ONLY, 0, [] {});
  return all;
}

}  // namespace

int main(int argc, char **argv) { return runCase(cases(), argc, argv); }
