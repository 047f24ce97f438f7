// Happens-before: what each pipe knows to be complete, and who touched which bytes last.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace unmoor::ascend::detail {

/// A number per pipe, indexed by pipe_t: how many of its instructions are known to be complete.
inline constexpr int PIPES = 8;
using Clock = std::array<uint32_t, PIPES>;

inline void join(Clock &into, const Clock &other) {
  for (int pipe = 0; pipe < PIPES; pipe++) into[pipe] = into[pipe] < other[pipe] ? other[pipe] : into[pipe];
}

/// What a core knows of every task of the launch; a task that is missing is unknown.
using Knowledge = std::vector<Clock>;

inline void join(Knowledge &into, const Knowledge &other) {
  if (into.size() < other.size()) into.resize(other.size(), Clock{});
  for (size_t task = 0; task < other.size(); task++) join(into[task], other[task]);
}

/// One access: the `time`-th instruction of a pipe of a task, and the bytes of a cell that it touched.
struct Mark {
  uint32_t time;
  uint32_t site;  // index among the launch's instructions
  uint32_t bytes;  // bit mask
  uint16_t task;
  uint8_t pipe;
  bool write;
  bool atomic = false;  // a write that may go on at the same time as other such
  bool conflicts(const Mark &other) const { return (write || other.write) && !(atomic && other.atomic); }
  bool sameQueue(const Mark &other) const { return task == other.task && pipe == other.pipe; }
};

/// The accesses to up to 32 bytes that later ones may conflict with.
class Cell {
 public:
  Cell() = default;
  Cell(const Cell &other) { *this = other; }
  Cell &operator=(const Cell &other) {
    few = other.few;
    count = other.count;
    more = other.more ? std::make_unique<std::vector<Mark>>(*other.more) : nullptr;
    return *this;
  }
  Cell(Cell &&) = default;
  Cell &operator=(Cell &&) = default;

  /// Calls `conflict` for every earlier access that must be ordered before `mark`, then enters `mark`.
  template <class Conflict> void touch(const Mark &mark, Conflict &&conflict) {
    check(mark, conflict);
    uint32_t kept = 0, reads = 0;
    for (uint32_t i = 0; i < count; i++) {
      Mark old = at(i);
      // A write stands for all before it; a later access of the same queue for the earlier one of its kind.
      const bool sameKind = old.write == mark.write && old.atomic == mark.atomic;
      if ((mark.write && !mark.atomic) || (sameKind && old.sameQueue(mark))) old.bytes &= ~mark.bytes;
      if (old.bytes == 0) continue;
      reads += !old.write && old.task != mark.task;
      at(kept++) = old;
    }
    count = kept;
    // Of the many cores that read the same bytes the last few are enough: they know the same.
    if (!mark.write && reads > FOREIGN_READS) forgetRead(mark);
    push(mark);
  }

  /// The latest access first.
  template <class Conflict> void check(const Mark &mark, Conflict &&conflict) const {
    for (uint32_t i = count; i > 0; i--) {
      const Mark &old = at(i - 1);
      if (old.conflicts(mark) && (old.bytes & mark.bytes) != 0) conflict(old);
    }
  }


 private:
  static constexpr uint32_t FEW = 3, FOREIGN_READS = 4;

  Mark &at(uint32_t i) { return i < FEW ? few[i] : (*more)[i - FEW]; }
  const Mark &at(uint32_t i) const { return i < FEW ? few[i] : (*more)[i - FEW]; }
  void push(const Mark &mark) {
    if (count >= FEW) {
      if (!more) more = std::make_unique<std::vector<Mark>>();
      more->resize(count - FEW);
      more->push_back(mark);
    } else {
      few[count] = mark;
    }
    count++;
  }
  void forgetRead(const Mark &mark) {
    uint32_t i = 0;
    while (at(i).write || at(i).task == mark.task) i++;
    for (; i + 1 < count; i++) at(i) = at(i + 1);
    count--;
  }

  std::array<Mark, FEW> few{};
  uint32_t count = 0;
  std::unique_ptr<std::vector<Mark>> more;
};

/// The accesses to one memory: pages, which are cells in one while only whole pages are touched.
class Shadow {
 public:
  void clear() { pages.clear(); }

  template <class Conflict> void touch(uint64_t begin, uint64_t end, Mark mark, Conflict &&conflict) {
    if (pages.size() * PAGE < end) pages.resize((end + PAGE - 1) / PAGE);
    while (begin < end) {
      Page &page = pages[begin / PAGE];
      const uint64_t first = begin / PAGE * PAGE, last = end < first + PAGE ? end : first + PAGE;
      if (last - begin == PAGE) whole(page, mark, conflict);
      else parts(page, static_cast<uint32_t>(begin - first), static_cast<uint32_t>(last - first), mark, conflict);
      begin = last;
    }
  }

 private:
  static constexpr uint32_t CELL = 32, CELLS = 32, PAGE = CELL * CELLS;
  struct Page {
    Cell whole;
    std::unique_ptr<std::array<Cell, CELLS>> parts;
  };

  template <class Conflict> static void whole(Page &page, Mark &mark, Conflict &&conflict) {
    mark.bytes = ~0u;
    if (!page.parts) return page.whole.touch(mark, conflict);
    if (!mark.write || mark.atomic) {
      for (Cell &cell : *page.parts) cell.touch(mark, conflict);
      return;
    }
    for (const Cell &cell : *page.parts) cell.check(mark, conflict);
    page.parts.reset();
    page.whole = Cell();
    page.whole.touch(mark, conflict);
  }

  template <class Conflict>
  static void parts(Page &page, uint32_t begin, uint32_t end, Mark &mark, Conflict &&conflict) {
    if (!page.parts) {
      page.parts = std::make_unique<std::array<Cell, CELLS>>();
      for (Cell &cell : *page.parts) cell = page.whole;
    }
    for (uint32_t cell = begin / CELL; cell * CELL < end; cell++) {
      const uint32_t from = begin > cell * CELL ? begin - cell * CELL : 0;
      const uint32_t to = end < (cell + 1) * CELL ? end - cell * CELL : CELL;
      mark.bytes = static_cast<uint32_t>(((uint64_t{1} << to) - 1) & ~((uint64_t{1} << from) - 1));
      (*page.parts)[cell].touch(mark, conflict);
    }
  }

  std::vector<Page> pages;
};

}  // namespace unmoor::ascend::detail
