// Weights of golden data that are drawn instead of read: random numbers that depend on a seed, a tensor's name and an element's index
// only, the same as unmoor drew for its reference. They are odd multiples of scale/256 between -scale and scale.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace unmoor {

/// The 256 numbers that elements of one tensor are, by a byte of the hash of their index.
class Draw {
 public:
  Draw(const std::string &name, uint64_t seed, double scale)
      : low(key(name, static_cast<uint32_t>(seed), 0x811c9dc5u)),
        high(key(name, static_cast<uint32_t>(seed >> 32), low ^ 0x5bd1e995u)), scale(scale) {}

  /// Which of the 256 numbers element `index` is; indices stay below 2^34.
  uint32_t byteAt(uint64_t index) const { return mix(static_cast<uint32_t>(index / 4), low, high) >> (8 * (index % 4)) & 255u; }
  float number(uint32_t byte) const { return static_cast<float>((2.0 * byte - 255.0) / 256.0 * scale); }
  float at(uint64_t index) const { return number(byteAt(index)); }

 private:
  uint32_t low, high;
  double scale;

  static uint32_t mix(uint32_t counter, uint32_t low, uint32_t high) {
    uint32_t x = counter + low;
    x = (x ^ x >> 16) * 0x7feb352du;
    x += high;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
  }
  /// FNV-1a over the name and the seed's half, then a last mix.
  static uint32_t key(const std::string &name, uint32_t seed, uint32_t start) {
    uint32_t key = start;
    for (const char c : name) key = (key ^ static_cast<unsigned char>(c)) * 0x01000193u;
    for (int shift = 0; shift < 32; shift += 8) key = (key ^ (seed >> shift & 255u)) * 0x01000193u;
    return mix(key, start, seed);
  }
};

/// The list of what is drawn: a line "seed N", then for each tensor a line "NAME SCALE". Empty where there is no such file.
class Draws {
 public:
  explicit Draws(const std::string &path) {
    std::ifstream file(path);
    std::string name;
    uint64_t seed = 0;
    double scale = 0;
    if (!(file >> name >> seed)) return;
    if (name != "seed") throw std::runtime_error(path + " does not begin with a seed");
    while (file >> name >> scale) draws.emplace(name, Draw(name, seed, scale));
  }
  /// What a tensor is drawn from; nullptr for one that is read.
  const Draw *find(const std::string &name) const {
    const auto found = draws.find(name);
    return found == draws.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Draw> draws;
};

inline uint16_t toBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);  // the rest is 0
}

/// Of numbers that a half holds exactly.
inline uint16_t toHalf(float value) {
  const float size = std::fabs(value);
  int exponent = 0;
  const float fraction = std::frexp(size, &exponent);
  const bool subnormal = exponent < -13;
  const auto bits = static_cast<uint16_t>(subnormal ? static_cast<int>(std::ldexp(size, 24))
                                                    : (exponent + 14) << 10 | static_cast<int>((2 * fraction - 1) * 1024));
  return static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
}

/// `count` elements from one on, as the bytes of a buffer; `encode` makes an element of a number.
template <class T, class Encode> std::vector<char> drawElements(const Draw &draw, size_t from, size_t count, Encode &&encode) {
  T table[256];
  for (uint32_t byte = 0; byte < 256; byte++) table[byte] = encode(draw.number(byte));
  std::vector<char> bytes(count * sizeof(T));
  for (size_t i = 0; i < count; i++) std::memcpy(bytes.data() + i * sizeof(T), &table[draw.byteAt(from + i)], sizeof(T));
  return bytes;
}

/// The scale of a row of signed bytes: its largest magnitude / 127.
inline float drawScale(const Draw &draw, size_t row, size_t length) {
  float most = 0;
  for (size_t i = 0; i < length; i++) most = std::fmax(most, std::fabs(draw.at(row * length + i)));
  return static_cast<float>(static_cast<double>(most) / 127);
}

/// Rows of signed bytes from one on, each with a scale of its own: the codes.
inline std::vector<char> drawCodes(const Draw &draw, size_t from, size_t rows, size_t length) {
  std::vector<char> bytes(rows * length);
  for (size_t row = 0; row < rows; row++) {
    const double scale = drawScale(draw, from + row, length);
    for (size_t i = 0; i < length; i++) {
      const double code = scale == 0 ? 128 : std::floor(draw.at((from + row) * length + i) / scale + 128 + 0.5);
      bytes[row * length + i] = static_cast<char>(static_cast<int>(std::fmin(255, std::fmax(0, code))) - 128);
    }
  }
  return bytes;
}

/// The scales of such rows.
inline std::vector<char> drawScales(const Draw &draw, size_t from, size_t rows, size_t length) {
  std::vector<char> bytes(rows * sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    const float scale = drawScale(draw, from + row, length);
    std::memcpy(bytes.data() + row * sizeof(float), &scale, sizeof(scale));
  }
  return bytes;
}

}  // namespace unmoor
