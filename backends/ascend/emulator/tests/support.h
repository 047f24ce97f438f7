// Shared by the test programs: named cases, chosen by the first argument.
#pragma once
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "unmoor/ascend_host.h"

using namespace AscendC;
using unmoor::ascend::Device;
using unmoor::ascend::EmulatorError;
using unmoor::ascend::Synchronisation;

struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void expectNear(const char *what, size_t index, double got, double want, double tolerance) {
  if (std::fabs(got - want) <= tolerance * (1 + std::fabs(want))) return;
  throw Mismatch(std::string(what) + "[" + std::to_string(index) + "]: got " + std::to_string(got) + ", want " +
                 std::to_string(want));
}

inline std::vector<float> randoms(size_t n, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  std::vector<float> out(n);
  for (auto &one : out) one = low + (high - low) * static_cast<float>(engine() % 4096) / 4096.0f;
  return out;
}

using Cases = std::map<std::string, std::function<void()>>;

/// Runs the case that the first argument names; `--list` prints the names.
/// 0: the case passed; 1: a value is wrong; 2: the emulator refused it, with its report on stdout; 3: no such case.
inline int runCase(const Cases &cases, int argc, char **argv) {
  if (argc > 1 && std::string(argv[1]) == "--list") {
    for (const auto &one : cases) std::printf("%s\n", one.first.c_str());
    return 0;
  }
  const auto found = argc > 1 ? cases.find(argv[1]) : cases.end();
  if (found == cases.end()) return 3;
  try {
    found->second();
  } catch (const EmulatorError &error) {
    std::printf("%s\n", error.what());
    return 2;
  } catch (const Mismatch &mismatch) {
    std::printf("%s\n", mismatch.what());
    return 1;
  }
  return 0;
}
