import { describe, expect, test } from "vitest";
import { statusText, type StatusFacts } from "../../../src/providers/status_text";
import { EngineError } from "../../../src/shared/errors";
import type { ModelState } from "../../../src/shared/models";
import type { Placement } from "../../../src/shared/placement";
import { engineStatus, inRam, loadedModel, onCard, overTwoCards } from "../support/engine_status";

const status = engineStatus({ models: [loadedModel()] });

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

  check("ready", {}, "$(sparkle) NMOS", "Loaded: Model M (Vulkan0 with the processor).");
  const placed = (placement: Partial<Placement>) => ({ status: { ...status, models: [loadedModel({ placement })] } });
  check(
    "a model that a card holds",
    placed({ layerMap: [onCard, onCard] }),
    "$(sparkle) NMOS",
    "Loaded: Model M (Vulkan0).",
  );
  check("one in RAM", placed({ cards: [], layerMap: [inRam] }), "$(sparkle) NMOS", "Loaded: Model M (processor).");
  check("one over two cards", placed(overTwoCards), "$(sparkle) NMOS", "M (CUDA0 and Vulkan0 with the processor).");
  check("engine not started", { connection: { kind: "stopped" }, status: undefined }, "$(sparkle) NMOS", "when it is");
  check("starting", { connection: { kind: "starting" } }, "$(loading~spin) NMOS", "starting");
  check("suggesting", { suggesting: true }, "$(loading~spin) NMOS", "suggestion");
  check(
    "loading",
    { status: { ...status, loading: [{ ref: "m", fraction: 0.426 }] } },
    "$(loading~spin) NMOS 42%",
    "Loading m, 42%",
  );
  const withoutCuda = { ...status, backends: [{ name: "cuda", usable: false, reason: "the driver is too old." }] };
  check(
    "CUDA that fell back to Vulkan",
    { status: withoutCuda },
    "$(sparkle) NMOS",
    "Ready. Loaded: Model M (Vulkan0 with the processor). CUDA is not used, Vulkan0 computes instead: the driver is too old.",
  );
  check(
    "CUDA that fell back to the processor",
    { status: { ...withoutCuda, devices: status.devices.slice(0, 1) } },
    "$(sparkle) NMOS",
    "CUDA is not used, the processor computes: the driver is too old.",
  );
  test("a user who has switched CUDA off is told nothing", () => {
    const backends = [{ name: "cuda", usable: false, reason: "it was switched off.", isMissed: false }];
    const shown = statusText({ ...ready, status: { ...status, backends } });
    expect(shown.tooltip).toBe("Ready. Loaded: Model M (Vulkan0 with the processor).");
  });
  const withoutVulkan = { name: "vulkan", usable: false, reason: "the engine ended.", isMissed: true };
  check(
    "Vulkan that crashed",
    { status: { ...status, devices: status.devices.slice(0, 1), backends: [withoutVulkan] } },
    "$(sparkle) NMOS",
    "Ready. Loaded: Model M (Vulkan0 with the processor). Vulkan is not used, the processor computes: the engine ended.",
  );
  check(
    "CUDA and Vulkan that crashed",
    { status: { ...withoutCuda, devices: [], backends: [...withoutCuda.backends, withoutVulkan] } },
    "$(sparkle) NMOS",
    "CUDA is not used, the processor computes: the driver is too old. Vulkan is not used, the processor computes:",
  );
  test("a machine without a card that lacks Vulkan is told nothing", () => {
    const backends = [{ name: "vulkan", usable: false, reason: "no driver" }];
    const shown = statusText({ ...ready, status: { ...status, devices: status.devices.slice(0, 1), backends } });
    expect(shown.tooltip).toBe("Ready. Loaded: Model M (Vulkan0 with the processor).");
  });
  check(
    "a card that is prepared",
    { status: { ...status, preparing: "The driver compiles." }, suggesting: true },
    "$(loading~spin) NMOS",
    "Computing a suggestion. The driver compiles.",
  );
  const spill = { occasion: 1, timesAsLong: 8, givenBackBytes: 2 ** 29 };
  check(
    "a card whose memory was moved to RAM",
    { status: { ...status, models: [loadedModel({ spill })] } },
    "$(sparkle) NMOS",
    "NMOS gave 512 MiB of it back and computes with that part on the processor. Close programs that use",
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
