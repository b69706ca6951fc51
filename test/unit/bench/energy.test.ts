import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EnergyMeter } from "../../../bench/harness/energy";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "nmos-energy-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function counts(name: string, microjoules: number | string): void {
  mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, name, "max_energy_range_uj"), "1000000000\n");
  writeFileSync(join(directory, name, "energy_uj"), `${String(microjoules)}\n`);
}

test("what all packages have used since the last time, also when a counter began again", () => {
  counts("intel-rapl:0", 999_000_000);
  counts("intel-rapl:1", 5_000_000);
  // The cores of a package, which it counts already.
  counts("intel-rapl:0:0", 1);
  const meter = EnergyMeter.find(directory);
  counts("intel-rapl:0", 2_000_000);
  counts("intel-rapl:1", 6_500_000);
  counts("intel-rapl:0:0", 400_000_000);
  expect(meter?.lap()).toBeCloseTo(3 + 1.5);
  expect(meter?.lap()).toBe(0);
});

test("there is none without counters, or where they cannot be read", () => {
  expect(EnergyMeter.find(join(directory, "nothing"))).toBeNull();
  expect(EnergyMeter.find(directory)).toBeNull();
  counts("intel-rapl:0", "no number");
  expect(EnergyMeter.find(directory)).toBeNull();
  mkdirSync(join(directory, "intel-rapl:1"));
  expect(EnergyMeter.find(directory)).toBeNull();
});
