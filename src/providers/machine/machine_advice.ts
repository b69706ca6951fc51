import type { MachineReport, ModelForecast } from "../../shared/machine_report";
import { formatBytes } from "../model_text";
import { changeOf } from "../pack_text";

/** Tokens a second below which an answer is slower than most people read. */
const slowTokensPerSecond = 5;

/** So much of a card in other hands is worth a look: a desktop alone takes about half of it. */
const othersBytes = 1e9;

/** Something the user can do, the most useful first. */
export interface Advice {
  text: string;
  /** Command that does it, with the name of its button. */
  action?: { title: string; command: string };
}

/** What would make models faster here, or let them run at all. */
export function adviceFor(report: MachineReport): Advice[] {
  return [...modelAdvice(report), ...cudaAdvice(report), ...cardAdvice(report), ...memoryAdvice(report)];
}

function modelAdvice({ models, diskFreeBytes }: MachineReport): Advice[] {
  const recommended = models.find(({ recommendedFor }) => recommendedFor.length > 0);
  if (!recommended || models.some(({ installed }) => installed)) return [];
  const { name, sizeBytes } = recommended;
  const speed = decodeSpeed(recommended);
  const promise = speed ? ` and would answer with about ${formatSpeed(speed)}` : "";
  const isTight = diskFreeBytes !== null && diskFreeBytes < sizeBytes;
  const room = isTight ? ` Free some space first: ${formatBytes(diskFreeBytes)} of disk are free.` : "";
  return [
    {
      text: `Download a model: ${name} (${formatBytes(sizeBytes)}) suits this machine${promise}.${room}`,
      action: { title: "Download Model", command: "nmos.downloadModel" },
    },
  ];
}

function cudaAdvice({ packs: { packs, suitable, reason, cards }, backends, settings }: MachineReport): Advice[] {
  if (cards.length === 0 || settings.gpu === "off") return [];
  if (settings.cuda === "off") return [{ text: "CUDA is switched off: set nmos.engine.cuda to auto." }];
  const pack = packs.find(({ id }) => id === suitable);
  if (!pack) return [{ text: `CUDA cannot be used. ${reason}` }];
  if (!pack.installed && !pack.downloadable) {
    const text = `${changeOf(pack, packs)} from a file, because this build names no address to download it from. ${reason}`;
    return [{ text, action: { title: "Install from File", command: "nmos.installFromFile" } }];
  }
  if (!pack.installed) {
    const verb = pack.outdated ? "Update" : "Install";
    return [
      {
        text: `${changeOf(pack, packs)} (${formatBytes(pack.sizeBytes)}). ${reason}`,
        action: { title: `${verb} CUDA Support`, command: "nmos.installCuda" },
      },
    ];
  }
  const failed = backends.find(({ name, usable }) => name === "cuda" && !usable);
  if (failed) return [{ text: `CUDA support is installed but not used: ${sentence(failed.reason)}` }];
  if (backends.some(({ name }) => name === "cuda")) return [];
  const restart = { title: "Restart Engine", command: "nmos.restartEngine" };
  return [{ text: "CUDA support is installed: restart the engine to use it.", action: restart }];
}

function cardAdvice({ devices, packs, settings, hasLoadedModels, backends }: MachineReport): Advice[] {
  const cards = devices.filter(({ kind }) => kind === "gpu");
  const advice: Advice[] = [];
  if (settings.gpu === "off") advice.push({ text: "Graphics cards are switched off: set nmos.engine.gpu to auto." });
  else if (cards.length === 0 && packs.cards.length > 0) {
    const vulkan = backends.find(({ name, usable }) => name === "vulkan" && !usable);
    const why = vulkan ? ` (Vulkan: ${vulkan.reason.replace(/\.$/, "")})` : "";
    advice.push({ text: `The driver finds a card that the engine cannot use${why}: install NVIDIA's newest driver.` });
  }
  if (settings.gpu === "off") return advice;
  if (settings.vramLimitMiB > 0) {
    const limit = formatBytes(settings.vramLimitMiB * 2 ** 20);
    advice.push({
      text: `nmos.engine.vramLimit keeps models to ${limit} of graphics memory${cards.length > 1 ? " of each card" : ""}.`,
    });
  }
  for (const { name, memoryTotal, memoryFree } of hasLoadedModels ? [] : cards) {
    const taken = memoryTotal - memoryFree;
    if (taken < othersBytes) continue;
    advice.push({
      text: `Other programs hold ${formatBytes(taken)} of ${name}'s memory: close those that draw or compute there.`,
    });
  }
  return advice;
}

function memoryAdvice({ models: all, settings }: MachineReport): Advice[] {
  const advice: Advice[] = [];
  const models = all.filter(({ installed }) => installed);
  const cut = models.filter(isCut);
  const cache = Math.max(0, ...cut.map(({ placement }) => placement?.kvBytes ?? 0));
  if (cut.length > 0 && settings.kvCacheType !== "q8_0") {
    const names = cut.map(({ name }) => name).join(", ");
    // With `auto` the planner has looked at it.
    const halved = settings.kvCacheType === "f16" ? "nmos.engine.kvCacheType q8_0 halves it, " : "";
    advice.push({
      text: `More of ${names} fits the card with a smaller KV cache, which takes ${formatBytes(cache)}: ${halved}a shorter nmos.engine.contextLength makes it smaller.`,
    });
  }
  const slow = models.filter((model) => (decodeSpeed(model)?.tokensPerSecond ?? Infinity) < slowTokensPerSecond);
  const quick = models.filter((model) => (decodeSpeed(model)?.tokensPerSecond ?? 0) >= slowTokensPerSecond);
  if (slow.length > 0) {
    const best = quick.toSorted((a, b) => b.sizeBytes - a.sizeBytes)[0];
    const instead = best ? ` ${best.name} answers faster.` : " A smaller model answers faster.";
    advice.push({
      text: `${slow.map(({ name }) => name).join(", ")} answers slowly here.${instead}`,
      action: { title: "Select Model", command: "nmos.selectModel" },
    });
  }
  return advice;
}

/** On a card, but not all of it. */
function isCut({ placement }: ModelForecast): boolean {
  if (!placement || placement.deviceLayers === 0) return false;
  return placement.layerMap.some(({ attentionOnDevice, network }) => !attentionOnDevice || network.device < 1);
}

export interface Speed {
  tokensPerSecond: number;
  /** The model is in memory and has computed such a pass; else it is predicted. */
  isMeasured: boolean;
}

export function formatSpeed({ tokensPerSecond }: Speed): string {
  return `${tokensPerSecond < 9.95 ? tokensPerSecond.toFixed(1) : String(Math.round(tokensPerSecond))} tokens/s`;
}

/** Of an answer, one token a pass; undefined when nothing is known. */
export function decodeSpeed(model: ModelForecast): Speed | undefined {
  return speedOf(model, 1, (tokens) => tokens === 1);
}

/** Of a long prompt, with the widest pass. */
export function prefillSpeed(model: ModelForecast): Speed | undefined {
  const widest = model.placement?.predictedPasses.at(-1)?.tokens ?? 0;
  return speedOf(model, isWide(widest) ? widest : -1, isWide);
}

function isWide(tokens: number): boolean {
  return tokens >= 64;
}

function speedOf(
  { placement, lastPass }: ModelForecast,
  width: number,
  isSuch: (tokens: number) => boolean,
): Speed | undefined {
  const predicted = placement?.predictedPasses.find(({ tokens }) => tokens === width);
  if (predicted) return { tokensPerSecond: (1000 * predicted.tokens) / predicted.milliseconds, isMeasured: false };
  if (!lastPass || !isSuch(lastPass.tokens) || lastPass.milliseconds <= 0) return undefined;
  return { tokensPerSecond: (1000 * lastPass.tokens) / lastPass.milliseconds, isMeasured: true };
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
