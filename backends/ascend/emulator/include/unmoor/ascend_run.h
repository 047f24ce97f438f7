// A command line for one kernel: memory from files, orders by seed, results to files. `unmoor ascend run` builds its programs with
// it; by hand:
//
//   #include "kernel.cpp"
//   #include "unmoor/ascend_run.h"
//   int main(int argc, char **argv) { return unmoor::ascend::runKernel("add", add, argc, argv); }
//
// Arguments, in any order: one for each parameter of the kernel, in the kernel's order,
//   in:NAME:FILE     memory with the bytes of a file
//   out:NAME:BYTES   memory that the kernel has to write whole
//   work:NAME:BYTES  scratch memory
//   value:NUMBER     a parameter that is no pointer
// and
//   --save NAME:FILE  writes memory to a file after the last seed
//   --type AIV_ONLY   kernel type, --blocks 1, --soc 910B3, --seed 0 (the first), --seeds 1 (how many), --tiling-key 0
//   --auto-sync       as with --cce-auto-sync
//   --trace FILE      modelled times of the last seed's instructions, as Chrome trace JSON
//   --report FILE     what came of it, as JSON
#pragma once
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "ascend_host.h"

namespace unmoor::ascend {

namespace detail {

/// What the command line asks for.
struct RunRequest {
  enum class Kind { In, Out, Work, Value };
  struct Argument {
    Kind kind;
    std::string name;
    std::vector<uint8_t> initial;  // In: contents; Out and Work: as many bytes of poison
    std::string number;
    std::string save;
  };
  std::vector<Argument> arguments;
  const Soc *soc = &SOC_910B3;
  KernelMetaType type = KERNEL_TYPE_AIV_ONLY;
  uint32_t blocks = 1;
  uint64_t seed = 0, seeds = 1, tilingKey = 0;
  bool automatic = false;
  std::string trace, report;

  RunRequest(int argc, char **argv) {
    std::vector<std::string> saves;
    for (int i = 1; i < argc; i++) {
      const std::string word = argv[i];
      const auto value = [&]() -> std::string {
        if (++i == argc) throw std::invalid_argument(word + " needs a value");
        return argv[i];
      };
      if (word == "--save") saves.push_back(value());
      else if (word == "--type") type = typeNamed(value());
      else if (word == "--soc") soc = &socNamed(value());
      else if (word == "--blocks") blocks = static_cast<uint32_t>(number(value()));
      else if (word == "--seed") seed = number(value());
      else if (word == "--seeds") seeds = number(value());
      else if (word == "--tiling-key") tilingKey = number(value());
      else if (word == "--auto-sync") automatic = true;
      else if (word == "--trace") trace = value();
      else if (word == "--report") report = value();
      else arguments.push_back(argument(word));
    }
    for (const std::string &save : saves) {
      const auto colon = save.find(':');
      bool found = false;
      for (Argument &one : arguments)
        if (one.kind != Kind::Value && one.name == save.substr(0, colon)) one.save = save.substr(colon + 1), found = true;
      if (!found || colon == std::string::npos) throw std::invalid_argument("--save " + save + " names no memory");
    }
  }

 private:
  static uint64_t number(const std::string &text) {
    size_t used = 0;
    const uint64_t value = std::stoull(text, &used, 0);
    if (used != text.size()) throw std::invalid_argument(text + " is no number");
    return value;
  }
  static KernelMetaType typeNamed(const std::string &name) {
    for (const KernelMetaType type : ALL_KERNEL_TYPES)
      if (nameOf(type) == "KERNEL_TYPE_" + name) return type;
    throw std::invalid_argument("there is no kernel type " + name);
  }
  static const Soc &socNamed(const std::string &name) {
    for (const Soc &soc : ALL_SOCS)
      if (name == soc.name) return soc;
    throw std::invalid_argument("there is no SoC " + name);
  }
  static Argument argument(const std::string &word) {
    const auto first = word.find(':');
    const std::string kind = word.substr(0, first), rest = first == std::string::npos ? "" : word.substr(first + 1);
    if (kind == "value") return {Kind::Value, "", {}, rest, ""};
    const auto second = rest.find(':');
    const std::string name = rest.substr(0, second), what = second == std::string::npos ? "" : rest.substr(second + 1);
    if (kind == "in") {
      std::ifstream file(what, std::ios::binary);
      if (!file) throw std::invalid_argument(what + " cannot be read");
      return {Kind::In, name, {std::istreambuf_iterator<char>(file), {}}, "", ""};
    }
    if (kind != "out" && kind != "work") throw std::invalid_argument(word + " is no argument of a kernel; see ascend_run.h");
    return {kind == "out" ? Kind::Out : Kind::Work, name, std::vector<uint8_t>(number(what), POISON), "", ""};
  }
};

/// Memory of an argument, at the 512 bytes that transfers like best.
struct RunMemory {
  explicit RunMemory(const std::vector<uint8_t> &initial)
      : bytes(initial.size()), data(static_cast<uint8_t *>(std::aligned_alloc(512, (initial.size() / 512 + 1) * 512))) {
    std::copy(initial.begin(), initial.end(), data);
  }
  ~RunMemory() { std::free(data); }
  RunMemory(const RunMemory &) = delete;
  RunMemory &operator=(const RunMemory &) = delete;
  size_t bytes;
  uint8_t *data;
};

template <class T> T parameter(const RunRequest::Argument &argument, const RunMemory &memory) {
  if constexpr (std::is_pointer_v<T>) {
    if (argument.kind == RunRequest::Kind::Value)
      return reinterpret_cast<T>(static_cast<uintptr_t>(std::strtoull(argument.number.c_str(), nullptr, 0)));
    return reinterpret_cast<T>(memory.data);
  } else {
    if (argument.kind != RunRequest::Kind::Value) throw std::invalid_argument(argument.name + " is no pointer: give value:NUMBER");
    if constexpr (std::is_integral_v<T>) return static_cast<T>(std::strtoll(argument.number.c_str(), nullptr, 0));
    else return static_cast<T>(std::strtod(argument.number.c_str(), nullptr));
  }
}

template <class... Params, size_t... I>
void launchWith(Device &device, const char *name, const RunRequest &request, void (*kernel)(Params...),
                const std::vector<std::unique_ptr<RunMemory>> &memory, std::index_sequence<I...>) {
  device.launch(name, request.type, request.blocks, kernel, parameter<Params>(request.arguments[I], *memory[I])...);
}

inline std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out + "\"";
}

inline void writeFile(const std::string &path, const void *data, size_t bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char *>(data), static_cast<std::streamsize>(bytes));
  if (!file.flush()) throw std::runtime_error(path + " cannot be written");
}

}  // namespace detail

/// Runs a kernel as the command line says. Returns 0 when nothing was found, 1 for a wrong command line or an unwritable file, 2
/// for a fault, of which the report stands on stderr.
template <class... Params> int runKernel(const char *name, void (*kernel)(Params...), int argc, char **argv) {
  using namespace detail;
  std::string reportPath, report;
  const auto finish = [&](int status) {
    if (!reportPath.empty()) writeFile(reportPath, report.data(), report.size());
    return status;
  };
  uint64_t seed = 0;
  try {
    const RunRequest request(argc, argv);
    reportPath = request.report;
    if (request.arguments.size() != sizeof...(Params))
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(sizeof...(Params)) + " parameters, and " +
                                  std::to_string(request.arguments.size()) + " arguments were given");
    std::vector<std::unique_ptr<RunMemory>> first;
    std::string differing;
    for (seed = request.seed; seed < request.seed + request.seeds; seed++) {
      const bool last = seed + 1 == request.seed + request.seeds;
      Device device(*request.soc);
      device.setSeed(seed);
      device.setTilingKey(request.tilingKey);
      if (request.automatic) device.setSynchronisation(Synchronisation::Automatic);
      Trace trace;
      if (last && !request.trace.empty()) device.setTrace(&trace);
      std::vector<std::unique_ptr<RunMemory>> memory;
      for (const RunRequest::Argument &argument : request.arguments) {
        memory.push_back(std::make_unique<RunMemory>(argument.initial));
        if (argument.kind != RunRequest::Kind::Value && !argument.initial.empty())
          device.registerBuffer(memory.back()->data, memory.back()->bytes, argument.name, argument.kind == RunRequest::Kind::In);
      }
      launchWith(device, name, request, kernel, memory, std::index_sequence_for<Params...>{});
      for (size_t i = 0; i < memory.size(); i++)
        if (request.arguments[i].kind == RunRequest::Kind::Out && memory[i]->bytes > 0) device.requireWritten(memory[i]->data);
      if (last && !request.trace.empty() && !trace.write(request.trace, request.soc->cubeMhz))
        throw std::runtime_error(request.trace + " cannot be written");
      for (size_t i = 0; i < memory.size(); i++) {
        const RunRequest::Argument &argument = request.arguments[i];
        const bool result = argument.kind == RunRequest::Kind::Out || !argument.save.empty();
        if (!first.empty() && result && std::memcmp(first[i]->data, memory[i]->data, memory[i]->bytes) != 0 &&
            differing.find(quoted(argument.name)) == std::string::npos)
          differing += (differing.empty() ? "" : ",") + quoted(argument.name);
        if (last && !argument.save.empty()) writeFile(argument.save, memory[i]->data, memory[i]->bytes);
      }
      if (first.empty()) first = std::move(memory);
    }
    report = "{\"differing\":[" + differing + "]}\n";
    return finish(0);
  } catch (const EmulatorError &error) {
    const Fault &fault = error.fault;
    report = "{\"fault\":{\"kernel\":" + quoted(error.kernel) + ",\"block\":" + quoted(error.block) +
             ",\"seed\":" + std::to_string(seed) + ",\"file\":" + quoted(error.where.file) +
             ",\"line\":" + std::to_string(error.where.line) + ",\"code\":" + quoted(fault.code) +
             ",\"operation\":" + quoted(fault.operation) + ",\"buffer\":" + quoted(fault.buffer) +
             ",\"expected\":" + quoted(fault.expected) + ",\"found\":" + quoted(fault.found) +
             ",\"remedy\":" + quoted(fault.remedy) + "}}\n";
    std::fprintf(stderr, "%s\n", error.what());
    return finish(2);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace unmoor::ascend
