import { describe, expect, test } from "vitest";
import { adviceFor } from "../../../src/providers/machine/machine_advice";
import { machineText } from "../../../src/providers/machine/machine_text";
import { withoutPersonalData } from "../../../src/providers/machine/without_personal_data";
import type { MachineReport, ModelForecast } from "../../../src/shared/machine_report";
import { engineStatus, overTwoCards } from "../support/engine_status";
import { cut, forecast, inMemory, machineReport, whole } from "../support/machine_report";
import { packReport } from "../support/pack_report";

const settings = machineReport().settings;
const cuda = { name: "cuda", usable: true, reason: "" };

describe("what would make it faster", () => {
  function check(what: string, given: Partial<MachineReport>, ...expected: string[]): void {
    test(what, () => {
      const texts = adviceFor(machineReport(given)).map(({ text }) => text);
      expect(texts).toHaveLength(expected.length);
      for (const [index, part] of expected.entries()) expect(texts[index]).toContain(part);
    });
  }

  check("nothing, where all is well", { models: [forecast({ placement: whole })] });
  check(
    "a model, where there is none",
    { models: [forecast({ installed: false, placement: null, name: "Model A" })] },
    "Download a model: Model A (4.7 GB) suits this machine.",
  );
  check(
    "a model, with the speed that is predicted of it",
    { models: [forecast({ installed: false, placement: whole, name: "Model A" })] },
    "Model A (4.7 GB) suits this machine and would answer with about 32 tokens/s.",
  );
  check("no smaller cache for a model that is not there", {
    models: [forecast({ placement: whole }), forecast({ installed: false, placement: cut })],
    settings: { ...settings, kvCacheType: "f16" },
  });
  check(
    "room for it first",
    { models: [forecast({ installed: false, placement: null })], diskFreeBytes: 1e9 },
    "Free some space first: 1.0 GB of disk are free.",
  );
  check("CUDA", { packs: packReport(), backends: [] }, "Install CUDA support (516 MB). CUDA 13 runs on GTX 1650.");
  check("CUDA of this version", { packs: packReport({ outdated: true }) }, "Update CUDA support");
  check("CUDA without an address", { packs: packReport({ downloadable: false }) }, "Install CUDA support from a file");
  check("CUDA that is switched off", { settings: { ...settings, cuda: "off" } }, "CUDA is switched off");
  check(
    "a newer driver",
    { packs: packReport({}, { suitable: null, reason: "CUDA 12 needs driver 550: install a newer driver." }) },
    "CUDA cannot be used. CUDA 12 needs driver 550: install a newer driver.",
  );
  check(
    "a CUDA that works",
    { backends: [{ ...cuda, usable: false, reason: "the driver is too old" }] },
    "installed but not used: the driver is too old.",
  );
  check("a start of the engine", { backends: [] }, "restart the engine");
  check("no CUDA without a card of NVIDIA's", { packs: packReport({}, { cards: [], suitable: null }), backends: [] });
  check("cards", { settings: { ...settings, gpu: "off" } }, "Graphics cards are switched off");
  check(
    "a driver that the engine can use",
    {
      devices: engineStatus().devices.slice(0, 1),
      backends: [
        { ...cuda, usable: false, reason: "no driver" },
        { name: "vulkan", usable: false, reason: "no loader" },
      ],
    },
    "CUDA support is installed but not used",
    "(Vulkan: no loader): install NVIDIA's newest driver.",
  );
  check("more of the card", { settings: { ...settings, vramLimitMiB: 2048 } }, "vramLimit keeps models to 2.1 GB");
  check("other programs", { devices: engineStatus().devices }, "Other programs hold 3.1 GB of Vulkan0's memory");
  check("what our own models hold is no other program's", { devices: engineStatus().devices, hasLoadedModels: true });
  check(
    "a smaller context",
    { models: [forecast({ placement: cut })], settings: { ...settings, kvCacheType: "f16" } },
    "More of Model M fits the card with a smaller KV cache, which takes 210 MB: nmos.engine.kvCacheType q8_0",
  );
  check(
    "a shorter context where the planner has chosen the cache",
    { models: [forecast({ placement: cut })], settings: { ...settings, kvCacheType: "auto" } },
    "which takes 210 MB: a shorter nmos.engine.contextLength makes it smaller.",
  );
  check("no smaller context where all fits", {
    models: [forecast({ placement: whole })],
    settings: { ...settings, kvCacheType: "f16" },
  });
  const slow = forecast({
    name: "Model L",
    placement: { ...inMemory, predictedPasses: [{ tokens: 1, milliseconds: 500 }] },
  });
  check("another model", { models: [slow, forecast()] }, "Model L answers slowly here. Model M answers faster.");
  check("a smaller model", { models: [slow] }, "Model L answers slowly here. A smaller model answers faster.");

  test("leads to the command that does it", () => {
    const { packs } = { packs: packReport() };
    const [advice] = adviceFor(machineReport({ packs, backends: [] }));
    expect(advice?.action).toEqual({ title: "Install CUDA Support", command: "nmos.installCuda" });
  });
});

describe("the report", () => {
  function check(what: string, given: Partial<MachineReport>, ...lines: string[]): void {
    test(what, () => {
      const text = machineText(machineReport(given)).split("\n");
      for (const line of lines) expect(text).toContain(line);
    });
  }

  check(
    "of a machine",
    {},
    "| NMOS | 0.1.0, llama.cpp v0.4.0 |",
    "| System | win32-x64, 10.0.26100 |",
    "| Processor | AMD EPYC, 8 processors |",
    "| RAM | 4.3 GB available of 8.6 GB |",
    "| Disk | 100 GB free for models |",
    "| Graphics card | RTX (Vulkan0), 8.1 GB free of 8.6 GB |",
    "| NVIDIA's driver | 591.44 for GTX 1650, compute capability 7.5, 2.1 GB free of 4.3 GB |",
    "| CUDA | CUDA 13 is installed. CUDA 13 runs on GTX 1650. |",
    "Nothing that NMOS knows of.",
  );
  check(
    "of one without a card",
    {
      devices: engineStatus().devices.slice(0, 1),
      packs: packReport({}, { cards: [], suitable: null, reason: "No NVIDIA card with a driver was found." }),
      backends: [{ name: "vulkan", usable: false, reason: "libvulkan.so.1 is missing" }],
      diskFreeBytes: null,
    },
    "| Graphics | no card that the engine can use |",
    "| CUDA | not installed. No NVIDIA card with a driver was found. |",
    "| Not used | vulkan: libvulkan.so.1 is missing |",
    "| Disk | unknown |",
  );
  check(
    "of models",
    {
      models: [
        forecast({ name: "Cut", placement: cut }),
        forecast({ name: "Whole", placement: whole, recommendedFor: [] }),
        forecast({ name: "Over two", placement: { ...cut, ...overTwoCards }, recommendedFor: [] }),
        forecast({ name: "In RAM", placement: { ...inMemory, predictedPasses: [{ tokens: 1, milliseconds: 400 }] } }),
        forecast({ name: "Absent", installed: false, placement: null, recommendedFor: ["fast", "main"] }),
        forecast({ name: "Foreseen", installed: false, placement: whole, recommendedFor: [] }),
        forecast({ name: "Huge", installed: false, placement: null, fits: false, recommendedFor: [] }),
        forecast({ name: "Broken", placement: null, problem: "It is cut | short.", recommendedFor: [] }),
        forecast({
          name: "Loaded",
          placement: { ...whole, predictedPasses: [] },
          lastPass: { tokens: 1, milliseconds: 20, predictedMilliseconds: null },
          recommendedFor: [],
        }),
      ],
    },
    "| Cut | installed, recommended for chat | 2 of 4 layers, some of them in part, on Vulkan0: 2.1 GB there and 2.7 GB in RAM; context of 8,192 | 32 tokens/s | 415 tokens/s |",
    "| Whole | installed | all on Vulkan0: 2.1 GB there; context of 8,192 | 32 tokens/s | 415 tokens/s |",
    "| Over two | installed | 3 of 4 layers, some of them in part, on CUDA0 and Vulkan0: 1.0 GB on CUDA0, 2.1 GB on Vulkan0 and 2.7 GB in RAM; context of 8,192 | 32 tokens/s | 415 tokens/s |",
    "| In RAM | installed, recommended for chat | RAM, 2.7 GB; context of 8,192 | 2.5 tokens/s |  |",
    "| Absent | download of 4.7 GB, recommended for ghost text and chat |  |  |  |",
    "| Foreseen | download of 4.7 GB | all on Vulkan0: 2.1 GB there; context of 8,192 | 32 tokens/s | 415 tokens/s |",
    "| Huge | download of 4.7 GB | needs 6.2 GB of memory |  |  |",
    "| Broken | installed | It is cut \\| short. |  |  |",
    "| Loaded | installed | all on Vulkan0: 2.1 GB there; context of 8,192 | 50 tokens/s, measured |  |",
  );

  test("says what it cannot predict", () => {
    const told = (given: Partial<ModelForecast>) =>
      machineText(machineReport({ models: [forecast({ installed: false, placement: null, ...given })] }));
    expect(told({})).toContain("can be told once they are downloaded");
    for (const known of [{ installed: true }, { placement: whole }, { fits: false }, { problem: "No memory." }])
      expect(told(known)).not.toContain("once they are downloaded");
  });
});

describe("for a bug report", () => {
  const jane = { user: "jane", home: "C:\\Users\\Jane Doe", host: "JANES-PC" };
  function check(what: string, reason: string, expected: string, identity = jane): void {
    test(what, () => {
      const backends = [{ name: "cuda", usable: false, reason }];
      const scrubbed = withoutPersonalData(machineReport({ backends }), identity);
      expect(scrubbed.backends[0]?.reason).toBe(expected);
    });
  }

  check("a path keeps the name of its file", "C:\\nmos\\ggml-cuda.dll is missing", "…/ggml-cuda.dll is missing");
  check("one of the user's folder, too", "c:\\users\\jane doe\\nmos\\x.dll: no", "…/x.dll: no");
  check("one of a network", "\\\\server\\share\\x.dll: no", "…/x.dll: no");
  check("one with blanks", "D:\\My Models\\of Jane Doe\\b.dll is missing", "…/b.dll is missing");
  check("a file with blanks", "C:\\Users\\Jane Doe\\a b.dll is missing", "…/a b.dll is missing");
  check("one of the user's folder with other slashes", "C:/Users/Jane Doe/a/x.dll", "…/x.dll");
  check("one of another user", "C:\\Users\\Jane Doerr\\x.dll: no", "…/x.dll: no");
  check("one of a disk", "/media/Jane Doe/My Disk/x.so: no", "…/x.so: no");
  check("two of them", "/opt/a.so needs /usr/lib/b.so", "…/a.so needs …/b.so");
  check("an address stays", "see https://example.org/a/b", "see https://example.org/a/b");
  check("one of POSIX", "/home/jane/.local/x.so: cannot open", "…/x.so: cannot open");
  check("in quotes", 'cannot load "/opt/a/b.so"', 'cannot load "…/b.so"');
  check("names go", "run by Jane on janes-pc", "run by … on …");
  check("but not within words", "janette and 24 tokens/s", "janette and 24 tokens/s");
  check("short names stay", "pc: a pc", "pc: a pc", { user: "a", home: "", host: "pc" });
  check("names with special letters", "by a.b+c", "by …", { user: "a.b+c", home: "", host: "" });

  test("identifiers stay, whatever the user is called", () => {
    const report = machineReport();
    const identity = { user: "gpu", home: "/home/gpu", host: "nmos" };
    expect(withoutPersonalData(report, identity)).toEqual(report);
  });

  test.each<[problem: string, expected: string]>([
    ["/home/al/My Models/my secret.gguf is cut short.", "own file 1 is cut short."],
    [
      "Expected (a) model at D:\\a, (b)\\My Secret.gguf, got nothing.",
      "Expected (a) model at own file 1, got nothing.",
    ],
    ["my secret has no layers.", "own file 1 has no layers."],
    ["/opt/other.gguf is cut short.", "…/other.gguf is cut short."],
  ])("a problem with the user's own file does not name it: %s", (problem, expected) => {
    const models = [forecast({ name: "my secret", isOwnFile: true, problem })];
    expect(withoutPersonalData(machineReport({ models }), jane).models[0]?.problem).toBe(expected);
  });

  test("the user's own files have no name", () => {
    const models = [forecast({ name: "my secret", isOwnFile: true }), forecast({ name: "Qwen" })];
    const scrubbed = withoutPersonalData(machineReport({ models }), jane);
    expect(scrubbed.models.map(({ name }) => name)).toEqual(["own file 1", "Qwen"]);
    expect(machineText(scrubbed)).not.toMatch(/secret|jane/i);
  });
});
