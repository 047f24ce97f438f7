// When each instruction runs, by a cost in cycles per instruction. Modelled, never measured.
#pragma once
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "events.h"

namespace unmoor::ascend {

/// What an instruction has to do, for a cost function.
struct InstructionCost {
  const char *name;
  pipe_t pipe;
  uint64_t bytesRead;
  uint64_t bytesWritten;
  uint64_t multiplies;  // Mmad, Matmul: m x n x k, each rounded up to what the cube unit takes at once
};
/// Cycles that an instruction keeps its pipe busy.
using CostFunction = std::function<double(const InstructionCost &)>;

/// A rough cost: a start, and bytes or products at a constant rate (rates of the platform configuration of architecture
/// 2201: 32 bytes per cycle from global memory, 64 to it, 256 per vector repeat, 4096 products of 16-bit numbers).
inline double simpleCost(const InstructionCost &work) {
  const auto larger = static_cast<double>(work.bytesRead > work.bytesWritten ? work.bytesRead : work.bytesWritten);
  switch (work.pipe) {
    case PIPE_S: return 1;
    case PIPE_V: return 8 + larger / 256;
    case PIPE_M: return 16 + static_cast<double>(work.multiplies) / 4096;
    case PIPE_MTE1: return 16 + larger / 256;
    case PIPE_MTE2: return 64 + larger / 32;
    default: return 64 + larger / 64 + static_cast<double>(work.multiplies) / 4096;
  }
}

/// One instruction on its pipe; times in cycles from the start of the first launch.
struct TraceEvent {
  uint32_t core;  // index into Trace::cores
  pipe_t pipe;
  std::string name;
  SourceLoc where;
  double begin;
  double end;
};

/// What the pipes of all cores did. Give it to a Device, launch, and write it out.
class Trace {
 public:
  explicit Trace(CostFunction cost = simpleCost) : cost(std::move(cost)) {}

  const CostFunction cost;
  std::vector<std::string> cores;
  std::vector<TraceEvent> events;
  double end = 0;  // of the last launch; the next one begins there

  /// Chrome's trace format (chrome://tracing, Perfetto): a process per core, a thread per pipe, times in microseconds.
  UNMOOR_COMMON std::string json(double mhz) const {
    std::string out = "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"kind\":\"modelled\",\"clock\":\"" + number(mhz) +
                      " MHz\"},\"traceEvents\":[";
    const char *separator = "\n";
    const auto add = [&](const std::string &text) {
      out += separator + text;
      separator = ",\n";
    };
    for (size_t core = 0; core < cores.size(); core++) {
      const std::string head = ",\"ph\":\"M\",\"pid\":" + std::to_string(core);
      add("{\"name\":\"process_name\"" + head + ",\"tid\":0,\"args\":{\"name\":\"" + cores[core] + "\"}}");
      for (int pipe = 0; pipe <= PIPE_FIX; pipe++)
        if (pipe != PIPE_ALL)
          add("{\"name\":\"thread_name\"" + head + ",\"tid\":" + std::to_string(pipe) + ",\"args\":{\"name\":\"" +
              detail::nameOf(static_cast<pipe_t>(pipe)) + "\"}}");
    }
    for (const TraceEvent &event : events) {
      // Both ends are rounded: a duration rounded alone would reach into what follows, which readers take for nesting.
      const double begin = picoseconds(event.begin, mhz);
      add("{\"name\":\"" + event.name + "\",\"cat\":\"" + detail::nameOf(event.pipe) + "\",\"ph\":\"X\",\"pid\":" +
          std::to_string(event.core) + ",\"tid\":" + std::to_string(event.pipe) + ",\"ts\":" +
          number(begin / 1e6) + ",\"dur\":" + number((picoseconds(event.end, mhz) - begin) / 1e6) +
          ",\"args\":{\"line\":\"" + event.where.text() + "\"}}");
    }
    return out + "\n]}\n";
  }

  /// Writes the JSON to a file; says whether that succeeded.
  UNMOOR_COMMON bool write(const std::string &path, double mhz) const {
    std::FILE *file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return false;
    const std::string text = json(mhz);
    const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    return std::fclose(file) == 0 && whole;
  }

 private:
  static double picoseconds(double cycles, double mhz) { return std::round(cycles / mhz * 1e6); }

  static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6f", value);
    return text;
  }
};

}  // namespace unmoor::ascend
