import type { LoadedModel, Spill } from "../../shared/engine_status";
import type { ModelRole } from "../../shared/models";
import type { InstalledModel } from "../models/model_store";
import type { NativePlacement } from "../native/addon";
import type { DraftSession } from "./draft_session";
import type { GraphicsMemory } from "./graphics_memory";
import { withSessions } from "./model_memory";
import type { NativeModelHandle } from "./native_model_handle";

/** A model in memory, and what goes with it. */
export interface ModelEntry {
  installed: InstalledModel;
  key: string;
  roles: Set<ModelRole>;
  handle: NativeModelHandle;
  draft: DraftSession;
  graphics: GraphicsMemory;
  users: number;
  /** In milliseconds of the manager's clock. */
  lastUsed: number;
  /** Asked for in tokens; the model may have got a shorter one. */
  askedContext: number;
  /** Of its file, also before it was loaded anew because of it. */
  spill: Spill | null;
  /** When the model that guesses its answers was asked for, in milliseconds of that clock. */
  draftModelAskedAt: number;
  /** To be closed as soon as nobody uses it, and given to no further request. */
  stale: boolean;
  /** Not all of it is on the card, of which models that were stale, but still in use, held some when it was loaded. */
  isCrowded: boolean;
}

/** With the KV cache of every session that was made. */
export function plannedFor({ handle }: ModelEntry): NativePlacement {
  return withSessions(handle.model.placement, handle.sessions);
}

/** As it is now, without what was given back. */
export function placementOf(entry: ModelEntry): NativePlacement {
  const planned = plannedFor(entry);
  const { releasedBytes, releasedOfCards } = entry.handle.model.activity;
  return {
    ...planned,
    deviceBytes: planned.deviceBytes - releasedBytes,
    cards: planned.cards.map((card, index) => ({ ...card, bytes: card.bytes - (releasedOfCards[index] ?? 0) })),
  };
}

/** `spill`: what of the entry's own still holds. */
export function describe(entry: ModelEntry, spill: Spill | null): LoadedModel {
  const { installed, roles, handle, graphics } = entry;
  return {
    ref: installed.ref,
    name: installed.name,
    path: installed.path,
    roles: [...roles],
    sizeBytes: handle.info.sizeBytes,
    placement: placementOf(entry),
    sessions: handle.sessions,
    activity: handle.activity,
    awayBytes: graphics.awayBytes,
    spill,
  };
}

/** Whether there is more of the model for a card to hold. */
export function isPartly({ deviceLayers, layers, layerMap }: NativePlacement): boolean {
  return deviceLayers < layers || layerMap.some(({ network: { uploaded, host } }) => uploaded + host > 0);
}

/** Whether it is to go, and has memory of a card until then. */
export function holdsCard(entry: ModelEntry): boolean {
  return entry.stale && placementOf(entry).deviceBytes > 0;
}
