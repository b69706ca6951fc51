import { describe, expect, test } from "vitest";
import { memoryReport } from "../../../src/providers/memory_report";
import { statusText, type StatusFacts } from "../../../src/providers/status_text";
import { EngineError } from "../../../src/shared/errors";
import type { EngineStatus, LoadedModel, ModelState } from "../../../src/shared/protocol";

const loaded: LoadedModel = {
  ref: "m",
  name: "Model M",
  path: "/models/m.gguf",
  roles: ["main"],
  sizeBytes: 4_600 * 1024 * 1024,
  sessions: 2,
  placement: {
    device: "Vulkan0",
    layers: 28,
    deviceLayers: 12,
    hostBytes: 2_600 * 1024 * 1024,
    deviceBytes: 2_000 * 1024 * 1024,
    kvBytes: 224 * 1024 * 1024,
    contextLength: 8_192,
    explanation: ["12 of 28 layers fit.", "The rest is computed by the processor."],
  },
};

const status: EngineStatus = {
  hostPid: 7,
  hostVersion: "0.1.0",
  library: "llama.cpp v0.4.0",
  clients: 1,
  devices: [
    { name: "CPU", description: "AMD | EPYC", kind: "cpu", memoryTotal: 8 * 1024 ** 3, memoryFree: 4 * 1024 ** 3 },
  ],
  memory: { totalBytes: 8 * 1024 ** 3, availableBytes: 4 * 1024 ** 3, hostProcessBytes: 1024 ** 3 },
  models: [loaded],
  loading: [],
};

const model: ModelState = {
  ref: "m",
  name: "Model M",
  roles: ["fast"],
  sizeBytes: 1_000,
  license: "MIT",
  licenseUrl: "",
  contextLength: 1,
  requiredBytes: 1,
  installed: true,
  path: "",
  partialBytes: 0,
  downloading: false,
  recommendedFor: [],
  fits: true,
};

describe("the status bar", () => {
  const ready: StatusFacts = {
    workspaceTrusted: true,
    availability: "on",
    snoozedUntil: 0,
    connection: { kind: "running", hostPid: 7 },
    status,
    models: [model],
    suggesting: false,
    failure: undefined,
  };
  function check(name: string, facts: Partial<StatusFacts>, text: string, tooltip: string): void {
    test(name, () => {
      const shown = statusText({ ...ready, ...facts });
      expect(shown.text).toBe(text);
      expect(shown.tooltip).toContain(tooltip);
    });
  }
  const failure = new EngineError("OUT_OF_MEMORY", "too little memory");
  const none = new EngineError("MODEL_NOT_INSTALLED", "none");

  check("ready", {}, "$(sparkle) NMOS", "Loaded: Model M.");
  check("engine not started", { connection: { kind: "stopped" }, status: undefined }, "$(sparkle) NMOS", "when it is");
  check("starting", { connection: { kind: "starting" } }, "$(loading~spin) NMOS", "starting");
  check("suggesting", { suggesting: true }, "$(loading~spin) NMOS", "suggestion");
  check(
    "loading",
    { status: { ...status, loading: [{ ref: "m", fraction: 0.426 }] } },
    "$(loading~spin) NMOS 42%",
    "Loading m, 42%",
  );
  check("off", { availability: "off", suggesting: true }, "$(circle-slash) NMOS: off", "off");
  check("off for the language", { availability: "off for language" }, "$(circle-slash) NMOS", "this language");
  check(
    "off in VS Code",
    { availability: "off in editor" },
    "$(circle-slash) NMOS: off",
    "editor.inlineSuggest.enabled",
  );
  check("snoozed", { availability: "snoozed", snoozedUntil: 1 }, "$(bell-slash) NMOS", "snoozed until");
  check("untrusted", { workspaceTrusted: false, failure }, "$(circle-slash) NMOS", "trust");
  check("failed", { failure }, "$(error) NMOS", "too little memory");
  check("engine gone", { connection: { kind: "failed", message: "abort", retryAt: 0 } }, "$(error) NMOS", "abort");
  check("no model", { models: [{ ...model, installed: false }] }, "$(warning) NMOS: no model", "No model");
  check("no model, told by a failure", { models: undefined, failure: none }, "$(warning) NMOS: no model", "No model");
  check(
    "downloading comes before everything that can wait",
    { models: [{ ...model, installed: false, downloading: true, partialBytes: 255 }], failure: none },
    "$(cloud-download) NMOS 25%",
    "Downloading Model M.",
  );
});

describe("the memory report", () => {
  function check(name: string, shown: string, expected: string): void {
    test(name, () => {
      expect(shown).toContain(expected);
    });
  }

  check("engine", memoryReport(status), "Engine 0.1.0 with llama.cpp v0.4.0, process 7, serving 1 window.");
  check("RAM", memoryReport(status), "| RAM | 1,024 MiB | 4,096 MiB | 8,192 MiB |");
  check("device", memoryReport(status), "| CPU | AMD \\| EPYC | processor | 4,096 MiB | 8,192 MiB |");
  check("model", memoryReport(status), "### Model M");
  check("placement", memoryReport(status), "| placement | 12 of 28 layers on Vulkan0 |");
  check("context", memoryReport(status), "| context | 8,192 tokens |");
  check("reasons", memoryReport(status), "- 12 of 28 layers fit.\n- The rest is computed by the processor.");
  check("no model", memoryReport({ ...status, models: [] }), "No model is loaded.");
  check("no device yet", memoryReport({ ...status, devices: [] }), "not looked for devices");
  check("loading", memoryReport({ ...status, loading: [{ ref: "m", fraction: 0.5 }] }), "Loading m: 50%.");
  check(
    "processor alone",
    memoryReport({ ...status, models: [{ ...loaded, placement: { ...loaded.placement, deviceLayers: 0 } }] }),
    "| placement | all 28 layers on the processor |",
  );
});
