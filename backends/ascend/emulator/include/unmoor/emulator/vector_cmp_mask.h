// The register CmpMask: comparisons into it, and selection by it.
#pragma once
#include "vector_select.h"

namespace unmoor::ascend::detail {

/// One repeat's comparison into CmpMask. Bits of lanes that take no part are 0 in the bytes of others, and as they were elsewhere.
template <class T, class M>
void compareToMask(const Call &call, const AscendC::LocalTensor<T> &src0, const AscendC::LocalTensor<T> &src1, CMPMODE mode, M maskArg,
                   bool isSetMask, const AscendC::BinaryRepeatParams &p) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("src0", FLOATS, CAST_FIRST);
  call.require(!call.c.registers.counter, "not-modelled", "mask", "normal mode", "counter mode", "call SetMaskNorm() before it");
  call.operand(src0, "src0", Space::UB);
  call.operand(src1, "src1", Space::UB);
  const Lanes active = lanesOf(call, maskArg, isSetMask, lanes, 1);
  const Strided a{sizeof(T), p.src0BlkStride, p.src0RepStride}, b{sizeof(T), p.src1BlkStride, p.src1RepStride};
  std::vector<Range> reads;
  pushRanges(reads, call, src0, "src0", Access::Read, a, active);
  pushRanges(reads, call, src1, "src1", Access::Read, b, active);
  Registers::Comparison &set = call.c.registers.comparison;
  set.from = Registers::Comparison::From::Compare;
  active.each([&](uint32_t, uint32_t lane) { set.state[lane / 8] = Ready; });
  call.issue({reads.data(), reads.size()}, {}, [=] {
    uint8_t *bits = call.c.registers.comparison.bits;
    active.each([&](uint32_t, uint32_t lane) { bits[lane / 8] = 0; });
    active.each([&](uint32_t r, uint32_t lane) {
      if (compares(widen(loadAs<T>(call.data(src0.handle) + a.offset(r, lane))),
                   widen(loadAs<T>(call.data(src1.handle) + b.offset(r, lane))), mode))
        bits[lane / 8] = static_cast<uint8_t>(bits[lane / 8] | 1u << lane % 8);
    });
  });
}

/// The first bytes of CmpMask, as a selection uses them.
UNMOOR_COMMON void checkCmpMask(const Call &call, SELMODE mode, uint32_t bytes) {
  using From = Registers::Comparison::From;
  const Registers::Comparison &set = call.c.registers.comparison;
  const bool isMask = mode == SELMODE::VSEL_CMPMASK_SPR;
  const char *remedy = isMask                                      ? "call Compare or SetCmpMask(selMask) before it"
                       : mode == SELMODE::VSEL_TENSOR_SCALAR_MODE ? "call SetCmpMask(src1), with a tensor that begins with the scalar"
                                                                   : "call SetCmpMask with a tensor that begins with the address of selMask";
  call.require(set.from == From::SetCmpMask || (isMask && set.from == From::Compare), "cmp-mask", "CmpMask",
               isMask ? "bits from Compare or SetCmpMask" : "what SetCmpMask put there",
               set.from == From::Nothing ? "nothing" : "bits from Compare", remedy);
  const uint32_t bad = firstFresh(set.state, bytes);
  call.require(bad == bytes, "cmp-mask", "CmpMask", "values in its first " + std::to_string(bytes) + " bytes",
               "byte " + std::to_string(bad) + " has none: nothing was written there, or compared", remedy);
}

/// Bytes of UB at an address that the kernel has put into a register.
UNMOOR_COMMON LocalHandle atAddress(const Call &call, uint32_t address) {
  for (size_t i = call.c.regions.size(); i-- > 0;) {
    const Region &region = call.c.regions[i];
    if (region.space == Space::UB && region.begin <= address && address < region.end)
      return {region.position, address, region.end - address, static_cast<int32_t>(i), region.generation};
  }
  call.fail("cmp-mask", "CmpMask", "the address of a tensor in UB (LocalTensor::GetPhyAddr)", "address " + std::to_string(address),
            "put the address of selMask into the tensor that SetCmpMask reads");
}

/// A selection that finds its mask of lanes in the mask register, and in CmpMask the bits, the scalar or the address of the bits.
/// `bits` and `src1` are those operands that are tensors.
template <class T>
void selectByMask(const Call &call, SELMODE mode, const AscendC::LocalTensor<T> &dst, const LocalHandle *bits,
                  const AscendC::LocalTensor<T> &src0, const AscendC::LocalTensor<T> *src1, uint32_t repeats,
                  const AscendC::BinaryRepeatParams &p) {
  constexpr uint32_t lanes = arch2201::REPEAT / sizeof(T);
  call.dtype<T>("dst", FLOATS, CAST_FIRST);
  call.operand(dst, "dst", Space::UB);
  call.operand(src0, "src0", Space::UB);
  const Lanes active = lanesOf(call, uint64_t{0}, false, lanes, repeats);
  const Strided d{sizeof(T), p.dstBlkStride, p.dstRepStride}, a{sizeof(T), p.src0BlkStride, p.src0RepStride},
      b{sizeof(T), p.src1BlkStride, p.src1RepStride};
  uint32_t used = 0, lastRepeat = 0;  // bytes of the mask of one repeat
  active.each([&](uint32_t r, uint32_t lane) { used = std::max(used, lane / 8 + 1), lastRepeat = std::max(lastRepeat, r); });
  if (used == 0) return;
  std::vector<Range> reads, writes;
  LocalHandle select{};
  const bool inRegister = mode == SELMODE::VSEL_CMPMASK_SPR;
  checkCmpMask(call, mode, inRegister ? used : mode == SELMODE::VSEL_TENSOR_SCALAR_MODE ? sizeof(T) : 4);
  if (!inRegister) {
    if (bits != nullptr) {
      select = *bits;
    } else {
      call.c.settle(PIPE_V);  // the address is data
      uint32_t address = 0;
      std::memcpy(&address, call.c.registers.comparison.bits, sizeof(address));
      select = atAddress(call, address);
    }
    call.operand(select, "selMask", Space::UB);
    reads.push_back(call.range(select, "selMask", Access::Read, uint64_t{lastRepeat} * lanes / 8 + used));
  }
  pushRanges(reads, call, src0, "src0", Access::Read, a, active);
  if (src1 != nullptr) {
    call.operand(*src1, "src1", Space::UB);
    pushRanges(reads, call, *src1, "src1", Access::Read, b, active);
  }
  pushRanges(writes, call, dst, "dst", Access::Write, d, active);
  const bool isScalar = src1 == nullptr;
  const AscendC::LocalTensor<T> other = isScalar ? src0 : *src1;
  call.issue({reads.data(), reads.size()}, {writes.data(), writes.size()}, [=] {
    const uint8_t *const held = call.c.registers.comparison.bits;
    const uint8_t *const all = inRegister ? held : call.data(select);
    active.each([&](uint32_t r, uint32_t lane) {
      const uint32_t bit = (inRegister ? 0 : r * lanes) + lane;
      const bool first = (all[bit / 8] >> bit % 8 & 1) != 0;
      storeAs<T>(call.data(dst.handle) + d.offset(r, lane),
                 loadAs<T>(first      ? call.data(src0.handle) + a.offset(r, lane)
                           : isScalar ? held
                                      : call.data(other.handle) + b.offset(r, lane)));
    });
  });
}

}  // namespace unmoor::ascend::detail

namespace AscendC {

/// One repeat's comparison; its bits are in CmpMask.
template <typename T, bool isSetMask = true>
void Compare(const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE cmpMode, const uint64_t mask,
             const BinaryRepeatParams &repeatParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::compareToMask(d::Call("Compare", PIPE_V, where), src0, src1, cmpMode, mask, isSetMask, repeatParams);
}
template <typename T, bool isSetMask = true>
void Compare(const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE cmpMode, const uint64_t mask[],
             const BinaryRepeatParams &repeatParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  d::compareToMask(d::Call("Compare", PIPE_V, where), src0, src1, cmpMode, mask, isSetMask, repeatParams);
}

/// CmpMask to UB: 16 bytes, for which the tensor has to have 128.
template <typename T> void GetCmpMask(const LocalTensor<T> &dst, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("GetCmpMask", PIPE_V, where);
  call.operand(dst, "dst", d::Space::UB, 16);
  call.require(dst.handle.bytes >= 128, "local-range", "dst", "a tensor of at least 128 bytes", std::to_string(dst.handle.bytes) + " bytes",
               "make the tensor larger");
  const d::Registers::Comparison &set = call.c.registers.comparison;
  call.require(set.from != d::Registers::Comparison::From::Nothing, "cmp-mask", "CmpMask", "bits from Compare or SetCmpMask", "nothing",
               "call Compare before it");
  const d::Range to = call.range(dst, "dst", d::Access::Touch, 16);
  call.issue({}, {to}, [=] { std::memcpy(call.data(dst.handle), call.c.registers.comparison.bits, 16); });
  std::memcpy(call.state(dst.handle), set.state, 16);
}

/// 16 bytes of UB to CmpMask: for a selection without masks its bits, its scalar, or the address of its bits, as the mode asks.
template <typename T> void SetCmpMask(const LocalTensor<T> &src, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  namespace d = unmoor::ascend::detail;
  const d::Call call("SetCmpMask", PIPE_V, where);
  call.operand(src, "src", d::Space::UB, 16);
  const d::Range from = call.range(src, "src", d::Access::Look, 16);
  d::Registers::Comparison &set = call.c.registers.comparison;
  call.issue({from}, {}, [=] { std::memcpy(call.c.registers.comparison.bits, call.data(src.handle), 16); });
  set.from = d::Registers::Comparison::From::SetCmpMask;
  std::memcpy(set.state, call.state(src.handle), 16);
}

/// Selection between two tensors; SetVectorMask says which lanes, CmpMask holds the bits or their address.
template <typename T, SELMODE selMode>
void Select(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, uint8_t repeatTime,
            const BinaryRepeatParams &repeatParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert(selMode != SELMODE::VSEL_TENSOR_SCALAR_MODE, "with a scalar: Select(dst, selMask, src0, repeatTime, repeatParams)");
  namespace d = unmoor::ascend::detail;
  d::selectByMask(d::Call("Select", PIPE_V, where), selMode, dst, nullptr, src0, &src1, repeatTime, repeatParams);
}
/// Selection between a tensor and the scalar at the beginning of CmpMask.
template <typename T, typename U>
void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, uint8_t repeatTime,
            const BinaryRepeatParams &repeatParams, unmoor::ascend::SourceLoc where = unmoor::ascend::SourceLoc::here()) {
  static_assert(std::is_integral_v<U> && std::is_unsigned_v<U>, "selMask holds bits, in uint8_t to uint64_t");
  namespace d = unmoor::ascend::detail;
  d::selectByMask(d::Call("Select", PIPE_V, where), SELMODE::VSEL_TENSOR_SCALAR_MODE, dst, &selMask.handle, src0,
                  static_cast<const LocalTensor<T> *>(nullptr), repeatTime, repeatParams);
}

}  // namespace AscendC
