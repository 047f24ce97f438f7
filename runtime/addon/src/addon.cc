#include "addon.h"

namespace unmoor {
namespace {

NAN_MODULE_INIT(Initialise) {
  Nan::SetMethod(target, "openLibrary", OpenLibrary);
  Nan::SetMethod(target, "closeLibrary", CloseLibrary);
  Nan::SetMethod(target, "hasSymbol", HasSymbol);
  Nan::SetMethod(target, "callText", CallText);
  Nan::SetMethod(target, "run", Run);
  Nan::SetMethod(target, "allocateMemory", AllocateMemory);
  Nan::SetMethod(target, "mapFile", MapFile);
  Nan::SetMethod(target, "freeMemory", FreeMemory);
  Nan::SetMethod(target, "memoryInUse", MemoryInUse);
}

}  // namespace

NAN_MODULE_WORKER_ENABLED(unmoor, Initialise)

}  // namespace unmoor
