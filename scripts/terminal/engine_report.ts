import type { DeviceStatus, EngineStatus, LoadedModel } from "../../src/shared/engine_status";
import type { Usage } from "../../src/shared/generation";

const kinds: Record<DeviceStatus["kind"], string> = {
  cpu: "processor",
  gpu: "graphics card",
  integrated: "integrated graphics",
};

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20).toLocaleString("en")} MiB`;
}

/** Engine, memory, devices and the backends that are not used, a line each. */
export function describeEngine(status: EngineStatus): string {
  const { library, hostVersion, hostPid, memory, devices, backends, preparing } = status;
  return [
    `Engine   ${hostVersion} with ${library}, process ${hostPid}`,
    `RAM      ${mib(memory.availableBytes)} available of ${mib(memory.totalBytes)}`,
    ...devices.map(
      ({ name, description, kind, memoryFree, memoryTotal }) =>
        `Device   ${name}: ${description} (${kinds[kind]}), ${mib(memoryFree)} free of ${mib(memoryTotal)}`,
    ),
    ...backends.filter(({ usable }) => !usable).map(({ name, reason }) => `Backend  ${name} is not used: ${reason}`),
    ...(preparing === "" ? [] : [`         ${preparing}`]),
  ].join("\n");
}

/** Where a model was put, how much memory that takes, and why. */
export function describePlacement({ name, sizeBytes, placement, sessions }: LoadedModel): string {
  const { cards, layers, deviceLayers, hostBytes, deviceBytes, kvBytes, contextLength, explanation } = placement;
  const names = cards.map(({ device }) => device).join(" and ");
  const where = deviceLayers > 0 ? `${deviceLayers} of ${layers} layers on ${names}` : `all ${layers} layers in RAM`;
  const context = `${contextLength.toLocaleString("en")} tokens`;
  return [
    `Model    ${name} (${mib(sizeBytes)}): ${where}`,
    `Weights  ${mib(hostBytes)} in RAM, ${mib(deviceBytes)} in graphics memory`,
    `KV cache ${mib(kvBytes)} for ${sessions > 1 ? `${sessions} sessions of ${context}` : `a context of ${context}`}`,
    ...explanation.map((reason) => `         ${reason}`),
  ].join("\n");
}

/** Speeds of one generation; what was still in the KV cache cost nothing and is not counted. */
export function describeSpeed(usage: Usage): string {
  const { promptTokens, reusedTokens, completionTokens, prefillMs, decodeMs } = usage;
  const { draftedTokens, acceptedTokens, savedMs } = usage;
  const computed = promptTokens - reusedTokens;
  return [
    `prefill ${computed} tokens${rate(computed, prefillMs)}`,
    ...(reusedTokens > 0 ? [`${reusedTokens} reused`] : []),
    `decode ${completionTokens} tokens${rate(completionTokens, decodeMs)}`,
    ...(draftedTokens > 0 ? [`${acceptedTokens} of ${draftedTokens} guessed tokens right`] : []),
    ...(draftedTokens > 0 && savedMs >= 50 ? [`${(savedMs / 1000).toFixed(1)} s saved`] : []),
  ].join(", ");
}

function rate(tokens: number, milliseconds: number): string {
  return tokens > 0 && milliseconds > 0 ? ` at ${((1000 * tokens) / milliseconds).toFixed(1)}/s` : "";
}
