// Calls kernels on libuv's worker threads and times them.
#include <nan.h>
#include <time.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon.h"
#include "library.h"

namespace unmoor {
namespace {

using Kernel = int32_t (*)(void* const* buffers, const int64_t* dims, int32_t threads);

constexpr int32_t kMostRepeats = 10'000'000;

// Empty buffers still get a valid, aligned address.
alignas(64) char empty_buffer[64];

double Now() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

struct Job {
  std::shared_ptr<Library> library;
  Kernel kernel = nullptr;
  std::vector<void*> pointers;
  // These keep the memory even when JavaScript detaches or frees a buffer while the kernel uses it.
  std::vector<std::shared_ptr<v8::BackingStore>> stores;
  std::vector<int64_t> dims;
  int32_t threads = 1;
  int32_t repeat = 1;
};

class RunWorker : public Nan::AsyncWorker {
 public:
  RunWorker(Nan::Callback* callback, Job job) : Nan::AsyncWorker(callback, "unmoor:run"), job_(std::move(job)) {
    job_.library->runs++;
    times_.reserve(static_cast<size_t>(job_.repeat));
    cleanup_ = node::AddEnvironmentCleanupHook(v8::Isolate::GetCurrent(), WhenEnvironmentEnds, this);
  }

  void Execute() override {
    try {
      for (int32_t i = 0; i < job_.repeat && status_ == 0; i++) {
        const double start = Now();
        status_ = job_.kernel(job_.pointers.data(), job_.dims.data(), job_.threads);
        times_.push_back(Now() - start);
      }
    } catch (const std::exception& thrown) {
      SetErrorMessage((std::string("it threw a C++ exception: ") + thrown.what()).c_str());
    } catch (...) {
      SetErrorMessage("it threw a C++ exception");
    }
  }

  void WorkComplete() override {
    job_.library->runs--;
    job_.stores.clear();
    if (environment_done_ != nullptr) {
      // The JavaScript thread is being torn down and only waited for us: nobody is left to call back.
      environment_done_(environment_done_argument_);
      return;
    }
    node::RemoveEnvironmentCleanupHook(std::move(cleanup_));
    Nan::AsyncWorker::WorkComplete();
  }

 protected:
  void HandleOKCallback() override {
    Nan::HandleScope scope;
    auto buffer = v8::ArrayBuffer::New(v8::Isolate::GetCurrent(), times_.size() * sizeof(double));
    auto times = v8::Float64Array::New(buffer, 0, times_.size());
    Nan::TypedArrayContents<double> contents(times);
    for (size_t i = 0; i < times_.size(); i++) (*contents)[i] = times_[i];
    v8::Local<v8::Value> arguments[] = {Nan::Null(), Nan::New(status_), times};
    callback->Call(3, arguments, async_resource);
  }

 private:
  static void WhenEnvironmentEnds(void* self, void (*done)(void*), void* argument) {
    auto* worker = static_cast<RunWorker*>(self);
    worker->environment_done_ = done;
    worker->environment_done_argument_ = argument;
  }

  Job job_;
  int32_t status_ = 0;
  std::vector<double> times_;
  node::AsyncCleanupHookHandle cleanup_;
  void (*environment_done_)(void*) = nullptr;
  void* environment_done_argument_ = nullptr;
};

bool AddBuffer(v8::Local<v8::Value> value, double offset, Job* job) {
  v8::Local<v8::ArrayBuffer> buffer;
  size_t start = 0;
  if (value->IsArrayBufferView()) {
    auto view = value.As<v8::ArrayBufferView>();
    buffer = view->Buffer();  // moves a small on-heap array out of the heap, so that its address is stable
    start = view->ByteOffset();
  } else if (value->IsArrayBuffer()) {
    buffer = value.As<v8::ArrayBuffer>();
  } else {
    return false;
  }
  auto store = buffer->GetBackingStore();
  const size_t size = store->ByteLength();
  if (!(offset >= 0 && offset <= static_cast<double>(size - start))) return false;
  start += static_cast<size_t>(offset);
  const bool empty = store->Data() == nullptr || start >= size;
  job->pointers.push_back(empty ? empty_buffer : static_cast<char*>(store->Data()) + start);
  job->stores.push_back(std::move(store));
  return true;
}

}  // namespace

// run(id, symbol, buffers: (ArrayBuffer | ArrayBufferView)[], offsets: number[], dims: number[], threads, repeat,
//     done: (error: Error | null, status: number, nanoseconds: Float64Array) => void): void
NAN_METHOD(Run) {
  if (info.Length() != 8 || !info[2]->IsArray() || !info[3]->IsArray() || !info[4]->IsArray() ||
      !info[7]->IsFunction()) {
    return Nan::ThrowTypeError("run got the wrong arguments");
  }
  Job job;
  job.library = FindLibrary(Nan::To<uint32_t>(info[0]).FromMaybe(0));
  Nan::Utf8String symbol(info[1]);
  if (!job.library || *symbol == nullptr) return Nan::ThrowError("the library is closed");
  job.kernel = reinterpret_cast<Kernel>(FindFunction(*job.library, *symbol));
  if (job.kernel == nullptr) return Nan::ThrowError("the library does not define the symbol");
  auto buffers = info[2].As<v8::Array>();
  auto offsets = info[3].As<v8::Array>();
  auto dims = info[4].As<v8::Array>();
  for (uint32_t i = 0; i < buffers->Length(); i++) {
    auto buffer = Nan::Get(buffers, i);
    auto offset = Nan::Get(offsets, i);
    if (buffer.IsEmpty() || offset.IsEmpty()) return;
    const double start = Nan::To<double>(offset.ToLocalChecked()).FromMaybe(-1);
    if (!AddBuffer(buffer.ToLocalChecked(), start, &job)) {
      return Nan::ThrowTypeError(("buffer " + std::to_string(i) + " is not usable").c_str());
    }
  }
  for (uint32_t i = 0; i < dims->Length(); i++) {
    auto dim = Nan::Get(dims, i);
    if (dim.IsEmpty()) return;
    job.dims.push_back(Nan::To<int64_t>(dim.ToLocalChecked()).FromMaybe(0));
  }
  job.threads = Nan::To<int32_t>(info[5]).FromMaybe(0);
  job.repeat = Nan::To<int32_t>(info[6]).FromMaybe(0);
  if (job.threads < 1 || job.repeat < 1 || job.repeat > kMostRepeats) {
    return Nan::ThrowRangeError("threads or repeat is out of range");
  }
  auto* done = new Nan::Callback(info[7].As<v8::Function>());
  Nan::AsyncQueueWorker(new RunWorker(done, std::move(job)));
}

}  // namespace unmoor
