// Sorting beyond 32 elements: merging sorted lists, whole sorts, and taking values and indices apart. A list is pairs of 8 bytes:
// the value (half: in the first 2 bytes), then its index.
#pragma once
#include <cmath>

#include "vector_data.h"

namespace AscendC {

/// Up to four sorted lists.
template <typename T> struct MrgSortSrcList {
  MrgSortSrcList() = default;
  MrgSortSrcList(const LocalTensor<T> &src1In, const LocalTensor<T> &src2In, const LocalTensor<T> &src3In,
                 const LocalTensor<T> &src4In)
      : src1(src1In), src2(src2In), src3(src3In), src4(src4In) {}
  LocalTensor<T> src1, src2, src3, src4;
};

/// How long the lists are, how many of them count (3: two, 7: three, 15: four), and whether to stop when one is used up.
struct MrgSort4Info {
  MrgSort4Info() = default;
  MrgSort4Info(const uint16_t elementLengthsIn[4], bool ifExhaustedSuspensionIn, uint16_t validBitIn,
               uint16_t repeatTimesIn = 1)
      : ifExhaustedSuspension(ifExhaustedSuspensionIn), validBit(validBitIn),
        repeatTimes(static_cast<uint8_t>(repeatTimesIn)) {
    for (int i = 0; i < 4; i++) elementLengths[i] = elementLengthsIn[i];
  }
  uint16_t elementLengths[4] = {0, 0, 0, 0};
  bool ifExhaustedSuspension = false;
  uint16_t validBit = 0;
  uint8_t repeatTimes = 1;
};

}  // namespace AscendC

namespace unmoor::ascend::detail {

inline constexpr uint32_t PAIR = 8;

/// Value and index of a pair.
template <class T> struct Ranked {
  T value;
  uint32_t id;
};
template <class T> Ranked<T> loadPair(const uint8_t *from) { return {loadAs<T>(from), loadAs<uint32_t>(from + 4)}; }
template <class T> void storePair(uint8_t *to, Ranked<T> pair) {
  std::memset(to, 0, 4);
  storeAs<T>(to, pair.value);
  storeAs<uint32_t>(to + 4, pair.id);
}

/// Merges sorted lists; of equal values those of the first list come first. Returns how many of each were taken.
template <class T>
std::array<uint32_t, 4> mergeLists(const Call &call, uint8_t *out, const std::array<const uint8_t *, 4> &lists,
                                          const std::array<uint32_t, 4> &lengths, bool suspend) {
  for (uint32_t list = 0; list < 4; list++)
    for (uint32_t i = 1; i < lengths[list]; i++)
      if (widen(loadPair<T>(lists[list] + (i - 1) * PAIR).value) < widen(loadPair<T>(lists[list] + i * PAIR).value))
        call.fail("unsorted", "list " + std::to_string(list + 1), "values from the largest to the smallest",
                  "element " + std::to_string(i) + " larger than the one before it",
                  "sort each list with Sort32 or MrgSort first");
  std::array<uint32_t, 4> taken{};
  for (;;) {
    int best = -1;
    bool exhausted = false;
    for (uint32_t list = 0; list < 4; list++) {
      if (lengths[list] == 0) continue;
      if (taken[list] == lengths[list]) {
        exhausted = true;
        continue;
      }
      if (best < 0 || widen(loadPair<T>(lists[list] + taken[list] * PAIR).value) >
                          widen(loadPair<T>(lists[best] + taken[best] * PAIR).value))
        best = static_cast<int>(list);
    }
    if (best < 0 || (suspend && exhausted)) return taken;
    std::memcpy(out, lists[best] + taken[best] * PAIR, PAIR);
    out += PAIR;
    taken[best]++;
  }
}

/// A tensor with the name that the call gives it.
template <class T> struct Named {
  const AscendC::LocalTensor<T> &tensor;
  const char *name;
};

/// Sorts values with their indices into pairs, `part` of them at a time, the largest first.
template <class T>
void sortPairs(const Call &call, const AscendC::LocalTensor<T> &dst, Named<T> source, Named<uint32_t> index, int32_t repeatTime,
               uint64_t part, const Range &work) {
  call.operand(dst, "dst", Space::UB);
  call.operand(source.tensor, source.name, Space::UB);
  call.operand(index.tensor, index.name, Space::UB);
  call.limit("repeatTime", repeatTime, 0, 255, "split the call");
  const uint64_t n = static_cast<uint64_t>(repeatTime) * 32;
  const Range values = call.range(source.tensor, source.name, Access::Read, n * sizeof(T)),
              ids = call.range(index.tensor, index.name, Access::Read, n * 4),
              to = call.range(dst, "dst", Access::Write, n * PAIR);
  call.issue({values, ids}, {work, to}, [=, from = source.tensor.handle, of = index.tensor.handle] {
    std::vector<Ranked<T>> pairs(n);
    for (uint64_t i = 0; i < n; i++)
      pairs[i] = {loadAs<T>(call.data(from) + i * sizeof(T)), loadAs<uint32_t>(call.data(of) + i * 4)};
    for (uint64_t at = 0; at < n; at += part)
      std::stable_sort(pairs.begin() + static_cast<long>(at), pairs.begin() + static_cast<long>(at + part),
                       [](const auto &a, const auto &b) { return widen(a.value) > widen(b.value); });
    for (uint64_t i = 0; i < n; i++) storePair<T>(call.data(dst.handle) + i * PAIR, pairs[i]);
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// Merges up to four sorted lists into one. With repeatTimes > 1, four lists of one length follow each other in memory, and so
/// do those of the next repeat.
template <typename T>
void MrgSort(const LocalTensor<T> &dst, const MrgSortSrcList<T> &src, const MrgSort4Info &params,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("MrgSort", PIPE_V, where);
  call.dtype<T>("src", d::FLOATS, d::CAST_FIRST);
  call.operand(dst, "dst", d::Space::UB);
  const uint32_t lists = params.validBit == 3 ? 2 : params.validBit == 7 ? 3 : params.validBit == 15 ? 4 : 0;
  call.require(lists != 0, "limit", "validBit", "3, 7 or 15 (the first two, three or four lists)",
               std::to_string(params.validBit), "put the lists that are merged first");
  call.limit("repeatTimes", params.repeatTimes, 0, 255, "split the call");
  if (params.repeatTimes == 0) return;
  const LocalTensor<T> tensors[] = {src.src1, src.src2, src.src3, src.src4};
  const uint32_t repeats = params.repeatTimes;
  const uint32_t length = params.elementLengths[0];
  if (repeats > 1) {
    call.require(lists == 4 && !params.ifExhaustedSuspension, "limit", "repeatTimes",
                 "1 unless four lists are merged to their ends", std::to_string(repeats), "merge such lists one by one");
    for (uint32_t i = 1; i < 4; i++)
      call.require(params.elementLengths[i] == length &&
                       tensors[i].handle.address == tensors[0].handle.address + i * length * d::PAIR,
                   "limit", "elementLengths", "lists of one length, one behind the other, with repeatTimes > 1",
                   "list " + std::to_string(i + 1) + " elsewhere or of another length", "lay the lists out in a row");
  }
  std::array<uint32_t, 4> lengths{};
  std::vector<d::Range> reads;
  uint32_t total = 0;
  for (uint32_t i = 0; i < lists; i++) {
    static constexpr const char *names[] = {"src1", "src2", "src3", "src4"};
    call.limit("elementLengths", params.elementLengths[i], 1, 4095, "merge shorter lists");
    call.operand(tensors[i], names[i], d::Space::UB, d::PAIR);
    lengths[i] = params.elementLengths[i];
    total += lengths[i];
    d::Range one = call.range(tensors[i], names[i], d::Access::Read, uint64_t{lengths[i]} * d::PAIR);
    one.inner = repeats;
    one.innerStride = int64_t{length} * 4 * d::PAIR;
    reads.push_back(one);
  }
  const uint64_t bytes = uint64_t{total} * d::PAIR * repeats;
  const d::Range to = call.range(dst, "dst", d::Access::Write, bytes);
  for (const d::Range &one : reads)
    call.require(to.begin + bytes <= one.begin || one.begin + one.bytes <= to.begin, "overlap", "dst and src",
                 "a result apart from the lists", "a result that overlaps a list", "merge into another buffer");
  // With suspension the number of results is data: count it before the scalar unit goes on.
  call.issue({reads.data(), reads.size()}, {to}, [=, core = &call.c] {
    for (uint32_t repeat = 0; repeat < repeats; repeat++) {
      std::array<const uint8_t *, 4> from{};
      for (uint32_t i = 0; i < lists; i++)
        from[i] = call.data(tensors[i].handle) + uint64_t{repeat} * length * 4 * d::PAIR;
      core->merged = d::mergeLists<T>(call, call.data(dst.handle) + uint64_t{repeat} * total * d::PAIR, from, lengths,
                                      params.ifExhaustedSuspension);
    }
  });
  if (params.ifExhaustedSuspension) {
    call.c.settle(PIPE_V);
    const uint32_t written = call.c.merged[0] + call.c.merged[1] + call.c.merged[2] + call.c.merged[3];
    std::memset(call.state(dst.handle) + uint64_t{written} * d::PAIR, d::Fresh, bytes - uint64_t{written} * d::PAIR);
  }
}

/// How many elements of each list the last MrgSort took.
inline void GetMrgSortResult(uint16_t &mrgSortList1, uint16_t &mrgSortList2, uint16_t &mrgSortList3,
                             uint16_t &mrgSortList4) {
  auto &core = unmoor::ascend::detail::core();
  core.settle(PIPE_V);
  uint16_t *const out[] = {&mrgSortList1, &mrgSortList2, &mrgSortList3, &mrgSortList4};
  for (int i = 0; i < 4; i++) *out[i] = static_cast<uint16_t>(core.merged[static_cast<size_t>(i)]);
}

/// On architecture 2201 values and indices are put together by the sort itself: this only names the values.
template <typename T>
void Concat(LocalTensor<T> &concatLocal, const LocalTensor<T> &srcLocal, const LocalTensor<T> &,
                   const int32_t) {
  concatLocal = srcLocal;
}

/// Sorts each 32 elements in descending order into pairs of 8 bytes: the value, then its index. Equal values keep
/// their order.
template <typename T>
void Sort32(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<uint32_t> &src1,
            const int32_t repeatTime, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Sort32", PIPE_V, where);
  call.dtype<T>("src0", d::FLOATS, d::CAST_FIRST);
  d::sortPairs(call, dst, {src0, "src0"}, {src1, "src1"}, repeatTime, 32, {});
}

/// Sorts repeatTimes x 32 elements from the largest to the smallest, all together (isFullSort) or each 32, into pairs.
template <typename T, bool isFullSort>
void Sort(const LocalTensor<T> &dst, const LocalTensor<T> &concatLocal, const LocalTensor<uint32_t> &indexLocal,
          LocalTensor<T> &tmpLocal, const int32_t repeatTime,
          unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Sort", PIPE_V, where);
  call.dtype<T>("src", d::FLOATS, d::CAST_FIRST);
  call.operand(tmpLocal, "tmpLocal", d::Space::UB);
  const uint64_t n = static_cast<uint64_t>(repeatTime) * 32;
  const d::Range work = call.range(tmpLocal, "tmpLocal", d::Access::Touch, isFullSort ? n * d::PAIR : 0);
  d::sortPairs(call, dst, {concatLocal, "concatLocal"}, {indexLocal, "indexLocal"}, repeatTime, isFullSort ? n : 32, work);
  std::memset(call.state(tmpLocal.handle), d::Fresh, work.bytes);
}

/// Takes repeatTimes x 32 pairs apart.
template <typename T>
void Extract(const LocalTensor<T> &dstValueLocal, const LocalTensor<uint32_t> &dstIndexLocal,
                    const LocalTensor<T> &sortedLocal, const int32_t repeatTime,
                    unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("Extract", PIPE_V, where);
  call.dtype<T>("src", d::FLOATS, d::CAST_FIRST);
  call.operand(dstValueLocal, "dstValueLocal", d::Space::UB);
  call.operand(dstIndexLocal, "dstIndexLocal", d::Space::UB);
  call.operand(sortedLocal, "sortedLocal", d::Space::UB);
  call.limit("repeatTime", repeatTime, 0, 255, "split the call");
  const uint64_t n = static_cast<uint64_t>(repeatTime) * 32;
  const d::Range from = call.range(sortedLocal, "sortedLocal", d::Access::Read, n * d::PAIR),
                 values = call.range(dstValueLocal, "dstValueLocal", d::Access::Write, n * sizeof(T)),
                 ids = call.range(dstIndexLocal, "dstIndexLocal", d::Access::Write, n * 4);
  call.issue({from}, {values, ids}, [=] {
    for (uint64_t i = 0; i < n; i++) {
      const auto pair = d::loadPair<T>(call.data(sortedLocal.handle) + i * d::PAIR);
      d::storeAs<T>(call.data(dstValueLocal.handle) + i * sizeof(T), pair.value);
      d::storeAs<uint32_t>(call.data(dstIndexLocal.handle) + i * 4, pair.id);
    }
  });
}

}  // namespace AscendC
