import { describe, expect, it } from "vitest";
import { cpuFeatures, cpuModel, parseCpuInfo } from "./cpu.ts";

describe("cpuFeatures and cpuModel", () => {
  it("tell about this machine", () => {
    expect(cpuFeatures().size).toBeGreaterThan(0);
    expect(cpuModel()).not.toBe("");
  });

  it("read x86 and aarch64 forms", () => {
    const x86 = parseCpuInfo(
      "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: Some: CPU\nflags\t\t: fpu avx2 fma avx512_vnni\nbugs\t:\n",
    );
    expect(x86).toEqual({
      vendor: "AuthenticAMD",
      model: "Some: CPU",
      features: new Set(["fpu", "avx2", "fma", "avx512_vnni"]),
    });
    const arm = parseCpuInfo("Features\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
    expect(arm).toEqual({
      vendor: undefined,
      model: "ARM implementer 0x41 part 0xd0c",
      features: new Set(["fp", "asimd"]),
    });
    expect(parseCpuInfo("")).toEqual({ vendor: undefined, model: undefined, features: new Set() });
  });
});
