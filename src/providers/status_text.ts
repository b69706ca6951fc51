import type { EngineState } from "../engine/client/engine_client";
import type { EngineStatus } from "../shared/engine_status";
import type { EngineError } from "../shared/errors";
import type { ModelState } from "../shared/models";
import type { Placement } from "../shared/placement";
import { cardNames } from "./card_names";
import type { Availability } from "./completion_toggle";
import { loadingText } from "./model_text";
import { spillTexts } from "./spill_text";

/** All that the status bar shows follows from these. */
export interface StatusFacts {
  workspaceTrusted: boolean;
  availability: Availability;
  /** Milliseconds since the epoch. */
  snoozedUntil: number;
  connection: EngineState;
  status: EngineStatus | undefined;
  models: ModelState[] | undefined;
  suggesting: boolean;
  failure: EngineError | undefined;
}

export interface StatusText {
  text: string;
  tooltip: string;
  severity: "none" | "warning" | "error";
}

const offInEditor = "Ghost text of every extension is off: VS Code's setting editor.inlineSuggest.enabled.";

/** The most important thing first: what keeps ghost text from coming, then what the engine does. */
export function statusText(facts: StatusFacts): StatusText {
  if (!facts.workspaceTrusted) {
    return { text: "$(circle-slash) NMOS", tooltip: "Off until you trust this workspace.", severity: "none" };
  }
  if (facts.connection.kind === "failed") {
    return { text: "$(error) NMOS", tooltip: `The engine failed: ${facts.connection.message}`, severity: "error" };
  }
  const downloading = facts.models?.find((model) => model.downloading);
  if (downloading) {
    const percent = Math.floor((100 * downloading.partialBytes) / Math.max(1, downloading.sizeBytes));
    return {
      text: `$(cloud-download) NMOS ${percent}%`,
      tooltip: `Downloading ${downloading.name}.`,
      severity: "none",
    };
  }
  const installed = facts.models?.some((model) => model.installed);
  if (installed === false || facts.failure?.code === "MODEL_NOT_INSTALLED") {
    return { text: "$(warning) NMOS: no model", tooltip: "No model is installed.", severity: "warning" };
  }
  if (facts.failure) {
    return { text: "$(error) NMOS", tooltip: `Ghost text failed: ${facts.failure.message}`, severity: "error" };
  }
  const loading = facts.status?.loading[0];
  if (loading) {
    const percent = Math.floor(100 * loading.fraction);
    const tooltip = [loadingText(facts.status) ?? "", ...graphicsNotes(facts.status)].join(" ");
    return { text: `$(loading~spin) NMOS ${percent}%`, tooltip, severity: "none" };
  }
  if (facts.connection.kind === "starting") {
    return { text: "$(loading~spin) NMOS", tooltip: "The engine is starting.", severity: "none" };
  }
  switch (facts.availability) {
    case "off":
      return { text: "$(circle-slash) NMOS: off", tooltip: "Ghost text is off.", severity: "none" };
    case "off for language":
      return { text: "$(circle-slash) NMOS", tooltip: "Ghost text is off for this language.", severity: "none" };
    case "off in editor":
      return { text: "$(circle-slash) NMOS: off", tooltip: offInEditor, severity: "none" };
    case "snoozed": {
      const until = new Date(facts.snoozedUntil).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      return { text: "$(bell-slash) NMOS", tooltip: `Ghost text is snoozed until ${until}.`, severity: "none" };
    }
    case "on":
      break;
  }
  if (facts.suggesting) {
    const tooltip = ["Computing a suggestion.", ...graphicsNotes(facts.status)].join(" ");
    return { text: "$(loading~spin) NMOS", tooltip, severity: "none" };
  }
  const loaded = facts.status?.models.map(({ name, placement }) => `${name} (${computersOf(placement)})`) ?? [];
  const ready =
    loaded.length > 0 ? `Ready. Loaded: ${loaded.join(", ")}.` : "Ready. The model loads when it is needed.";
  return { text: "$(sparkle) NMOS", tooltip: [ready, ...graphicsNotes(facts.status)].join(" "), severity: "none" };
}

/** What computes a model: its cards, and the processor where it has a part. */
function computersOf(placement: Placement): string {
  if (placement.cards.length === 0) return "processor";
  const isWhole = placement.layerMap.every(({ attentionOnDevice, network }) => attentionOnDevice && network.host <= 0);
  return isWhole ? cardNames(placement) : `${cardNames(placement)} with the processor`;
}

/** What the card does not do, or not yet, although CUDA is installed or it is there, and what became of its memory. */
function graphicsNotes(status: EngineStatus | undefined): string[] {
  if (!status) return [];
  const unused = status.backends.filter(({ name, usable, isMissed = name === "cuda" }) => !usable && isMissed);
  const card = status.devices.find(({ kind }) => kind !== "cpu");
  const instead = card ? `${card.name} computes instead` : "the processor computes";
  const fallbacks = unused.map(({ name, reason }) => {
    const title = name === "cuda" ? "CUDA" : "Vulkan";
    return `${title} is not used, ${instead}: ${reason.replace(/\.$/, "")}.`;
  });
  return [...fallbacks, ...(status.preparing === "" ? [] : [status.preparing]), ...spillTexts(status.models)];
}
