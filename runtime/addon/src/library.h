// Shared libraries that are open in this process, known to JavaScript by a number.
#pragma once

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace unmoor {

struct Library {
  std::string path;
  void* handle = nullptr;
  struct link_map* map = nullptr;
  // Runs that were started and not yet reported: the library must stay loaded for them.
  std::atomic<int32_t> runs{0};
};

// The library with this number, or null when it was closed or never opened.
std::shared_ptr<Library> FindLibrary(uint32_t id);

// The address of a function that the library itself defines, or null.
void* FindFunction(const Library& library, const char* symbol);

}  // namespace unmoor
