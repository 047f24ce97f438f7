// The functions that JavaScript sees. runtime/addon/load.ts holds their TypeScript signatures and is their only caller:
// it checks arguments in the user's words, so here they are checked only as far as the process's safety needs.
#pragma once

#include <nan.h>

namespace unmoor {

NAN_METHOD(OpenLibrary);
NAN_METHOD(CloseLibrary);
NAN_METHOD(HasSymbol);
NAN_METHOD(CallText);
NAN_METHOD(Run);
NAN_METHOD(AllocateMemory);
NAN_METHOD(MapFile);
NAN_METHOD(FreeMemory);
NAN_METHOD(MemoryInUse);

}  // namespace unmoor
