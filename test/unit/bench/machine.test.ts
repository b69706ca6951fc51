import { cpus } from "node:os";
import { expect, test } from "vitest";
import { describeCommit, describeMachine, distinctCores, physicalCores } from "../../../bench/harness/machine";

const processor = (index: number, ...lines: string[]): string => [`processor\t: ${index}`, ...lines].join("\n");
const core = (socket: number, id: number): string[] => [`physical id\t: ${socket}`, `core id\t\t: ${id}`];

test.each([
  { name: "nothing", cpuinfo: "", cores: 0 },
  { name: "no core ids (a virtual machine, ARM)", cpuinfo: processor(0, "BogoMIPS\t: 50.00"), cores: 0 },
  { name: "one", cpuinfo: processor(0, ...core(0, 0)), cores: 1 },
  {
    name: "two with hyper-threads",
    cpuinfo: [core(0, 0), core(0, 1), core(0, 0), core(0, 1)].map((lines, i) => processor(i, ...lines)).join("\n\n"),
    cores: 2,
  },
  {
    name: "the same core id in two sockets",
    cpuinfo: [core(0, 0), core(1, 0)].map((lines, i) => processor(i, ...lines)).join("\n\n"),
    cores: 2,
  },
  {
    name: "core ids without sockets",
    cpuinfo: ["core id : 0", "core id : 3"].map((line, i) => processor(i, line)).join("\n\n"),
    cores: 2,
  },
])("distinct cores: $name", ({ cpuinfo, cores }) => {
  expect(distinctCores(cpuinfo)).toBe(cores);
});

test("a machine has at least one core and not more physical than logical ones", () => {
  expect(physicalCores()).toBeGreaterThanOrEqual(1);
  expect(physicalCores()).toBeLessThanOrEqual(cpus().length);
});

test("the description names versions and says nothing of the user", () => {
  const machine = describeMachine({ "llama.cpp": "v0.4.0" }, 3);
  expect(machine).toMatchObject({
    versions: { node: process.versions.node, "llama.cpp": "v0.4.0" },
    disturbedSamples: 3,
  });
  expect(machine.os).toMatch(/^\w+ [\d.]+ \w+$/);
  expect(Object.keys(machine).sort()).toEqual(
    ["cpu", "disturbedSamples", "logicalCores", "memoryGiB", "os", "physicalCores", "versions"].sort(),
  );
});

test("the commit is abbreviated", () => {
  expect(describeCommit()).toMatch(/^([0-9a-f]{12}(-dirty)?|unknown)$/);
});
