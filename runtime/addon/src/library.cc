#include "library.h"

#include <nan.h>

#include <exception>
#include <mutex>
#include <unordered_map>

#include "addon.h"

namespace unmoor {
namespace {

std::mutex table_mutex;
std::unordered_map<uint32_t, std::shared_ptr<Library>> table;
uint32_t next_id = 1;

}  // namespace

std::shared_ptr<Library> FindLibrary(uint32_t id) {
  std::lock_guard<std::mutex> lock(table_mutex);
  auto found = table.find(id);
  return found == table.end() ? nullptr : found->second;
}

void* FindFunction(const Library& library, const char* symbol) {
  void* address = dlsym(library.handle, symbol);
  if (address == nullptr) return nullptr;
#ifdef __GLIBC__
  // dlsym also finds what the library's dependencies define (all of libc), and data: calling that would crash.
  Dl_info info;
  void* extra = nullptr;
  if (dladdr1(address, &info, &extra, RTLD_DL_LINKMAP) == 0 || extra != library.map) return nullptr;
  extra = nullptr;
  if (dladdr1(address, &info, &extra, RTLD_DL_SYMENT) != 0 && extra != nullptr) {
    const auto type = static_cast<const ElfW(Sym)*>(extra)->st_info & 0xf;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) return nullptr;
  }
#endif
  return address;
}

// openLibrary(path: string): number
NAN_METHOD(OpenLibrary) {
  Nan::Utf8String path(info[0]);
  if (*path == nullptr) return Nan::ThrowTypeError("openLibrary expects a path");
  dlerror();
  void* handle = dlopen(*path, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    return Nan::ThrowError(why == nullptr ? "dlopen failed" : why);
  }
  auto library = std::make_shared<Library>();
  library->path = *path;
  library->handle = handle;
  dlinfo(handle, RTLD_DI_LINKMAP, &library->map);
  std::lock_guard<std::mutex> lock(table_mutex);
  const uint32_t id = next_id++;
  table.emplace(id, std::move(library));
  info.GetReturnValue().Set(id);
}

// closeLibrary(id: number): number of runs in flight; the library is closed only when that is 0
NAN_METHOD(CloseLibrary) {
  const uint32_t id = Nan::To<uint32_t>(info[0]).FromMaybe(0);
  std::shared_ptr<Library> library;
  {
    std::lock_guard<std::mutex> lock(table_mutex);
    auto found = table.find(id);
    if (found != table.end()) {
      const int32_t runs = found->second->runs.load();
      if (runs > 0) return info.GetReturnValue().Set(runs);
      library = std::move(found->second);
      table.erase(found);
    }
  }
  if (library) dlclose(library->handle);
  info.GetReturnValue().Set(0);
}

// hasSymbol(id: number, symbol: string): boolean
NAN_METHOD(HasSymbol) {
  auto library = FindLibrary(Nan::To<uint32_t>(info[0]).FromMaybe(0));
  Nan::Utf8String symbol(info[1]);
  info.GetReturnValue().Set(library && *symbol != nullptr && FindFunction(*library, *symbol) != nullptr);
}

// callText(id: number, symbol: string): string | null
NAN_METHOD(CallText) {
  auto library = FindLibrary(Nan::To<uint32_t>(info[0]).FromMaybe(0));
  Nan::Utf8String symbol(info[1]);
  info.GetReturnValue().SetNull();
  if (!library || *symbol == nullptr) return;
  void* address = FindFunction(*library, *symbol);
  if (address == nullptr) return;
  const char* text = nullptr;
  try {
    text = reinterpret_cast<const char* (*)()>(address)();
  } catch (const std::exception& thrown) {
    return Nan::ThrowError((std::string("it threw a C++ exception: ") + thrown.what()).c_str());
  } catch (...) {
    return Nan::ThrowError("it threw a C++ exception");
  }
  if (text == nullptr) return;
  auto string = Nan::New<v8::String>(text);
  if (!string.IsEmpty()) info.GetReturnValue().Set(string.ToLocalChecked());
}

}  // namespace unmoor
