import type { EngineStatus, LoadedModel } from "../../shared/engine_status";
import type { Fact, MemoryPicture, ModelPicture } from "../../shared/memory_messages";
import type { Placement, PlacementShortfall } from "../../shared/placement";
import { count, mib, ms, whole } from "./amounts";
import { describeLayers, layerColumns, layerRuns } from "./layer_columns";
import { liveFigures, type EarlierActivity } from "./live_figures";
import { memoryTiers } from "./memory_tiers";
import { spillTexts } from "../spill_text";

const mebibyte = 2 ** 20;

/** A status and when it came. */
export interface Sample {
  status: EngineStatus;
  /** In milliseconds, of a clock that only goes forward. */
  at: number;
}

/** What the view shows while there is no engine. */
export const noPicture: MemoryPicture = {
  engine: "The engine is not running. It starts with the first request.",
  tiers: [],
  loading: [],
  summary: "",
  models: [],
};

/** The engine's status as it is drawn; speeds are those since an earlier one. */
export function memoryPicture(now: Sample, earlier?: Sample): MemoryPicture {
  const { status } = now;
  return {
    engine: describeEngine(status),
    tiers: memoryTiers(status),
    loading: status.loading.map(({ ref, fraction }) => ({
      // A model that is no catalogue entry has its path for a name.
      label: `Loading ${ref.split(/[\\/]/).at(-1)}`,
      percent: Math.floor(100 * fraction),
    })),
    summary:
      status.models.length > 0
        ? `${count(status.models.length, "model")} loaded.`
        : "No model is loaded. A model loads with the first request and unloads when it is idle.",
    models: status.models.map((model) => modelPicture(model, earlierActivity(model, now, earlier))),
  };
}

function describeEngine({ hostVersion, library, hostPid, clients, devices }: EngineStatus): string {
  const engine = `Engine ${hostVersion}${library === "" ? "" : ` with ${library}`}, process ${hostPid}, serving ${count(clients, "window")}.`;
  if (devices.length === 0) return `${engine} It has not looked for graphics cards yet.`;
  return devices.some(({ kind }) => kind !== "cpu") ? engine : `${engine} It found no graphics card.`;
}

/** None in another process, nor of a model that was loaded anew since. */
function earlierActivity(model: LoadedModel, now: Sample, earlier: Sample | undefined): EarlierActivity | undefined {
  if (earlier?.status.hostPid !== now.status.hostPid) return undefined;
  const before = earlier.status.models.find(({ ref }) => ref === model.ref);
  if (!before || before.activity.passes > model.activity.passes) return undefined;
  return { activity: before.activity, seconds: (now.at - earlier.at) / 1000 };
}

function modelPicture(model: LoadedModel, earlier: EarlierActivity | undefined): ModelPicture {
  const { name, placement } = model;
  return {
    name,
    description: describeLayers(placement),
    columns: layerColumns(placement),
    runs: layerRuns(placement),
    facts: modelFacts(model),
    figures: liveFigures(model, earlier),
    predictions: placement.predictedPasses.map(({ tokens, milliseconds }) => ({
      label: count(tokens, "token"),
      value: ms(milliseconds),
    })),
    reasons: [...placement.explanation, ...spillTexts([model])],
  };
}

const unitNames: Record<PlacementShortfall["unit"], string> = {
  layer: "a further layer with its KV cache",
  attention: "the attention of a further layer with its KV cache",
  network: "more of the feed-forward networks",
  expert: "further experts",
};

function describeShortfall({ unit, limit, device, neededBytes, freeBytes }: PlacementShortfall): string {
  if (limit === "speed") return "more would not make it faster";
  // Rounded apart, so that what is too little never looks enough.
  const [free, needed] = [Math.floor(freeBytes / mebibyte), Math.ceil(neededBytes / mebibyte)];
  return `${whole(free)} MiB of ${device}; ${unitNames[unit]} would take ${whole(needed)} MiB`;
}

function modelFacts({ path, roles, sizeBytes, sessions, placement }: LoadedModel): Fact[] {
  const { cards, deviceBytes, hostBytes, kvBytes, kvCacheType, contextLength, shortfall } = placement;
  return [
    { label: "purpose", value: roles.map((role) => (role === "fast" ? "ghost text" : "chat and commands")).join(", ") },
    { label: "file", value: `${path} (${mib(sizeBytes)})` },
    { label: "placement", value: describePlacement(placement) },
    { label: "graphics memory", value: mib(deviceBytes) },
    ...(cards.length > 1
      ? cards.map(({ device, bytes }) => ({ label: `of that on ${device}`, value: mib(bytes) }))
      : []),
    ...(shortfall ? [{ label: "left for more", value: describeShortfall(shortfall) }] : []),
    { label: "weights in RAM", value: mib(hostBytes) },
    { label: `KV cache (${kvCacheType.toUpperCase()})`, value: mib(kvBytes) },
    ...cards
      .filter(({ slots }) => slots > 0)
      .map(({ device, slots, slotBytes }) => ({
        label: cards.length > 1 ? `upload slots of ${device}` : "upload slots",
        value: `${slots} of ${mib(slotBytes)}`,
      })),
    { label: "context", value: `${whole(contextLength)} tokens` },
    { label: "sessions", value: `${sessions}` },
  ];
}

function describePlacement({ cards, layers }: Placement): string {
  const [only] = cards;
  if (!only) return `all ${count(layers, "layer")} on the processor`;
  if (cards.length === 1) return `${only.layers} of ${count(layers, "layer")} on ${only.device}`;
  return cards
    .map(({ device, firstLayer, layers: own }) => {
      const [first, last] = [firstLayer + 1, firstLayer + own];
      return `${first === last ? `layer ${first}` : `layers ${first} to ${last}`} on ${device}`;
    })
    .join(", ");
}
