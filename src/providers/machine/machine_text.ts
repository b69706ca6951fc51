import type { MachineReport, ModelForecast } from "../../shared/machine_report";
import type { NvidiaCard } from "../../shared/packs";
import type { Placement } from "../../shared/placement";
import { cardNames } from "../card_names";
import { formatBytes } from "../model_text";
import { adviceFor, decodeSpeed, formatSpeed, prefillSpeed, type Speed } from "./machine_advice";

type Row = readonly string[];

/** The report as a Markdown document. */
export function machineText(report: MachineReport): string {
  const advice = adviceFor(report).map(({ text }) => `- ${text}`);
  return [
    "# This machine",
    table(["", ""], machineRows(report)),
    "## Models",
    table(["model", "state", "where it goes", "answers", "prompts"], report.models.map(modelRow)),
    modelNotes(report),
    "## What would make it faster",
    advice.length > 0 ? advice.join("\n") : "Nothing that NMOS knows of.",
    "",
  ].join("\n\n");
}

function machineRows(report: MachineReport): Row[] {
  const { version, library, platform, release, processors, memory, diskFreeBytes, devices, backends, packs } = report;
  const processor = devices.find(({ kind }) => kind === "cpu");
  const cards = devices.filter(({ kind }) => kind !== "cpu");
  const unused = backends.filter(({ usable }) => !usable);
  return [
    ["NMOS", `${version}, ${library}`],
    ["System", `${platform}, ${release}`],
    ["Processor", `${processor?.description ?? "unknown"}, ${String(processors)} processors`],
    ["RAM", `${formatBytes(memory.availableBytes)} available of ${formatBytes(memory.totalBytes)}`],
    ["Disk", diskFreeBytes === null ? "unknown" : `${formatBytes(diskFreeBytes)} free for models`],
    ...(cards.length === 0 ? [["Graphics", "no card that the engine can use"]] : []),
    ...cards.map(({ name, description, memoryFree, memoryTotal, kind }) => [
      kind === "integrated" ? "Integrated graphics" : "Graphics card",
      `${description} (${name}), ${formatBytes(memoryFree)} free of ${formatBytes(memoryTotal)}`,
    ]),
    ...packs.cards.map((card) => ["NVIDIA's driver", driverText(card)]),
    ["CUDA", cudaText(report)],
    ...unused.map(({ name, reason }) => ["Not used", `${name}: ${reason}`]),
  ];
}

function driverText({ name, driver, capability, memoryBytes, freeBytes }: NvidiaCard): string {
  const memory =
    memoryBytes === null
      ? ""
      : `, ${freeBytes === null ? "" : `${formatBytes(freeBytes)} free of `}${formatBytes(memoryBytes)}`;
  return `${driver} for ${name}${capability === null ? "" : `, compute capability ${capability}`}${memory}`;
}

function cudaText({ packs: { packs, reason }, settings }: MachineReport): string {
  const installed = packs.find((pack) => pack.installed);
  const state = installed ? `${installed.title} is installed` : "not installed";
  return `${state}${settings.cuda === "off" ? ", switched off" : ""}. ${reason}`;
}

function modelRow(model: ModelForecast): Row {
  const { name, installed, fits, requiredBytes, sizeBytes, recommendedFor, placement, problem } = model;
  const roles = recommendedFor.map((role) => (role === "fast" ? "ghost text" : "chat"));
  const state = [
    installed ? "installed" : `download of ${formatBytes(sizeBytes)}`,
    ...(roles.length > 0 ? [`recommended for ${roles.join(" and ")}`] : []),
  ];
  const where = placement
    ? placeText(placement)
    : problem || (fits ? "" : `needs ${formatBytes(requiredBytes)} of memory`);
  return [name, state.join(", "), where, speedText(decodeSpeed(model)), speedText(prefillSpeed(model))];
}

function placeText(placement: Placement): string {
  const { cards, layers, deviceLayers, deviceBytes, hostBytes, contextLength, layerMap } = placement;
  const context = `context of ${contextLength.toLocaleString("en")}`;
  if (deviceLayers === 0) return `RAM, ${formatBytes(hostBytes)}; ${context}`;
  const isWhole = layerMap.every(({ attentionOnDevice, network }) => attentionOnDevice && network.device >= 1);
  const what = isWhole ? "all" : `${String(deviceLayers)} of ${String(layers)} layers, some of them in part,`;
  const inRam = isWhole ? "" : ` and ${formatBytes(hostBytes)} in RAM`;
  const there =
    cards.length > 1
      ? cards.map(({ device, bytes }) => `${formatBytes(bytes)} on ${device}`).join(", ")
      : `${formatBytes(deviceBytes)} there`;
  return `${what} on ${cardNames(placement)}: ${there}${inRam}; ${context}`;
}

function speedText(speed: Speed | undefined): string {
  return speed ? `${formatSpeed(speed)}${speed.isMeasured ? ", measured" : ""}` : "";
}

function modelNotes({ models, hasLoadedModels }: MachineReport): string {
  const notes = [
    "Speeds are predicted from what was measured of this machine, for one token a pass and without guessing ahead, which makes many answers faster.",
  ];
  if (models.some(({ installed, fits, placement, problem }) => !installed && fits && !placement && problem === "")) {
    notes.push(
      "Where some of the models go and how fast they are can be told once they are downloaded, because their files say how large their parts are.",
    );
  }
  if (hasLoadedModels)
    notes.push("Models in memory take their part of what is free; unload them to see the others without them.");
  return notes.join(" ");
}

function table(head: Row, rows: readonly Row[]): string {
  const line = (cells: Row): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
