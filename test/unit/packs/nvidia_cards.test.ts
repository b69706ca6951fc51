import { describe, expect, test } from "vitest";
import { findNvidiaCards, runBriefly, type NvidiaProbe } from "../../../src/engine/packs/nvidia_cards";

const mib = 2 ** 20;
const modern = "NVIDIA GeForce GTX 1650, 591.44, GPU-5f2a-01, 7.5, 4096, 3600\n";

/** A machine with these files; a program among them answers with its content when its query is known. */
function machine(
  changes: Partial<NvidiaProbe> & { files?: Record<string, string> },
): NvidiaProbe & { ran: string[][] } {
  const { files = {}, ...given } = changes;
  const ran: string[][] = [];
  return {
    ran,
    platform: "linux",
    env: {},
    exists: (path) => path in files,
    read: (path) => files[path] ?? null,
    run: (program, args) => {
      ran.push([program, ...args]);
      return Promise.resolve(files[program] ?? null);
    },
    ...given,
  };
}

describe("NVIDIA's cards", () => {
  test("are found by the program in a place of the system", async () => {
    expect(await findNvidiaCards(machine({ files: { "/usr/bin/nvidia-smi": modern } }))).toEqual([
      {
        name: "NVIDIA GeForce GTX 1650",
        driver: "591.44",
        capability: "7.5",
        uuid: "GPU-5f2a-01",
        memoryBytes: 4096 * mib,
        freeBytes: 3600 * mib,
      },
    ]);
  });

  test.each<[what: string, platform: NodeJS.Platform, env: Record<string, string>, path: string]>([
    ["System32", "win32", { SystemRoot: "D:\\Windows" }, "D:\\Windows\\System32\\nvidia-smi.exe"],
    ["the driver's folder", "win32", {}, "C:\\Program Files\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe"],
    ["WSL", "linux", {}, "/usr/lib/wsl/lib/nvidia-smi"],
  ])("in %s", async (_, platform, env, path) => {
    const probe = machine({ platform, env, files: { [path]: modern } });
    expect(await findNvidiaCards(probe)).toHaveLength(1);
    expect(probe.ran.map(([program]) => program)).toEqual([path]);
  });

  test("are not looked for on the PATH, where a project may lie", async () => {
    const probe = machine({ env: { PATH: "/projects/theirs" }, files: { "/projects/theirs/nvidia-smi": modern } });
    expect(await findNvidiaCards(probe)).toEqual([]);
    expect(probe.ran).toEqual([]);
  });

  test("are all listed, with what the driver does not tell left out", async () => {
    const two =
      "NVIDIA H200, 580.95.05, GPU-01, 9.0, 143771, 143000\r\nNVIDIA GB10, 580.95.05, [N/A], 12.1, [N/A], [N/A]\r\n";
    const cards = await findNvidiaCards(machine({ files: { "/usr/bin/nvidia-smi": two } }));
    expect(cards.map(({ name, uuid, memoryBytes }) => [name, uuid, memoryBytes])).toEqual([
      ["NVIDIA H200", "GPU-01", 143771 * mib],
      ["NVIDIA GB10", null, null],
    ]);
  });

  test("of an old driver, which does not know the compute capability", async () => {
    const probe = machine({
      files: { "/usr/bin/nvidia-smi": "" },
      run: (_, [query = ""]) =>
        Promise.resolve(query.includes("compute_cap") ? null : "Tesla K80, 470.256.02, GPU-80, 11441\n"),
    });
    expect(await findNvidiaCards(probe)).toEqual([
      {
        name: "Tesla K80",
        driver: "470.256.02",
        capability: null,
        uuid: "GPU-80",
        memoryBytes: 11441 * mib,
        freeBytes: null,
      },
    ]);
  });

  test.each<[what: string, output: string]>([
    ["an error", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"],
    ["nothing", ""],
    ["no driver", "NVIDIA GeForce GTX 1650, [N/A], 7.5, 4096, 3600\n"],
    ["something else", "<html>\n"],
  ])("are none when the program says %s", async (_, output) => {
    expect(await findNvidiaCards(machine({ files: { "/usr/bin/nvidia-smi": output } }))).toEqual([]);
  });

  test("are known by the kernel's module where there is no program", async () => {
    const version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31 09:35:42 UTC 2024\n";
    const files = { "/proc/driver/nvidia/version": version };
    expect(await findNvidiaCards(machine({ files }))).toMatchObject([{ driver: "550.90.07", capability: null }]);
    expect(await findNvidiaCards(machine({ platform: "darwin", files }))).toEqual([]);
  });
});

describe("a program that", () => {
  const ignoring = 'process.on("SIGTERM", () => undefined); setInterval(() => undefined, 1_000);';
  test.each<[what: string, script: string, longestMs: number, output: string | null]>([
    ["answers", 'process.stdout.write("x")', 20_000, "x"],
    ["fails", 'process.stdout.write("x"); process.exitCode = 1', 20_000, null],
    ["hangs and does not want to end", ignoring, 500, null],
  ])("%s", async (_, script, longestMs, output) => {
    expect(await runBriefly(process.execPath, ["-e", script], longestMs)).toBe(output);
  });

  test("is not there", async () => {
    expect(await runBriefly("/no/such/program", [], 20_000)).toBeNull();
  });
});
