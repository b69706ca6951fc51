import type { LoadedModel } from "../../shared/engine_status";
import type { Fact } from "../../shared/memory_messages";
import { count, mib, ms, percent, seconds, whole } from "./amounts";

/** The same model a while ago. */
export interface EarlierActivity {
  activity: LoadedModel["activity"];
  seconds: number;
}

/** What a model does, as it changes. Uploads are left out where there are no slots. */
export function liveFigures(
  { activity, awayBytes, placement }: LoadedModel,
  earlier: EarlierActivity | undefined,
): Fact[] {
  const isComputing = earlier !== undefined && activity.passes > earlier.activity.passes;
  const figures = [
    { label: "state", value: isComputing ? "computing" : "idle" },
    { label: "last pass", value: lastPass(activity.lastPass) },
    { label: "passes", value: whole(activity.passes) },
  ];
  if (activity.draftedTokens > 0) {
    figures.push({ label: "guessed tokens right", value: percent(activity.acceptedTokens / activity.draftedTokens) });
  }
  if (activity.draftModelTokens > 0) {
    const { draftModelTokens, acceptedDraftModelTokens } = activity;
    const right = percent(acceptedDraftModelTokens / draftModelTokens);
    figures.push({ label: "guessed by the draft model", value: `${count(draftModelTokens, "token")}, ${right} right` });
  }
  if (activity.draftedTokens > 0) figures.push({ label: "time saved by guessing", value: seconds(activity.savedMs) });
  if (activity.aheadTokens > 0) {
    const { aheadTokens, usedAheadTokens } = activity;
    const used = percent(usedAheadTokens / aheadTokens);
    figures.push({ label: "computed ahead", value: `${count(aheadTokens, "token")}, ${used} of them used` });
  }
  if (awayBytes > 0) {
    figures.push({ label: "graphics memory given back until it is needed", value: mib(awayBytes) });
  }
  if (activity.expertUses > 0) {
    const hits = percent(activity.expertHits / activity.expertUses);
    figures.push({ label: "chosen experts found in graphics memory", value: hits });
  }
  if (placement.cards.every(({ slots }) => slots === 0)) return figures;
  const { uploadedBytes, slotHits, slotMisses, slotDiscarded, waitedMs } = activity;
  const asked = slotHits + slotMisses;
  return [
    ...figures,
    {
      label: `uploaded to the ${placement.cards.length > 1 ? "cards" : "card"}, by all models`,
      value: `${mib(uploadedBytes)}${uploadRate(uploadedBytes, earlier)}`,
    },
    { label: "found in a slot", value: asked > 0 ? `${whole(slotHits)} (${percent(slotHits / asked)})` : "0" },
    { label: "not yet in a slot", value: whole(slotMisses) },
    { label: "uploaded in vain", value: whole(slotDiscarded) },
    { label: "waited for uploads", value: ms(waitedMs) },
  ];
}

function lastPass(pass: LoadedModel["activity"]["lastPass"]): string {
  if (!pass) return "none yet";
  const { tokens, milliseconds, predictedMilliseconds } = pass;
  const predicted = predictedMilliseconds === null ? "" : `, predicted ${ms(predictedMilliseconds)}`;
  return `${count(tokens, "token")} in ${ms(milliseconds)}${predicted}`;
}

function uploadRate(bytes: number, earlier: EarlierActivity | undefined): string {
  if (!earlier || earlier.seconds <= 0) return "";
  return `, ${mib(Math.max(0, bytes - earlier.activity.uploadedBytes) / earlier.seconds)}/s`;
}
