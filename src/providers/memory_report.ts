import type { EngineStatus, LoadedModel } from "../shared/protocol";

const mebibyte = 1024 * 1024;

function mib(bytes: number): string {
  return `${Math.round(bytes / mebibyte).toLocaleString("en")} MiB`;
}

/** `|` and line ends would break the table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");
}

function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The engine's devices and loaded models as Markdown, with the reasons for where everything lives. */
export function memoryReport(status: EngineStatus): string {
  const { totalBytes, availableBytes, hostProcessBytes } = status.memory;
  const devices = status.devices.map((device) => [
    device.name,
    device.description,
    { cpu: "processor", gpu: "graphics card", integrated: "integrated graphics" }[device.kind],
    mib(device.memoryFree),
    mib(device.memoryTotal),
  ]);
  const loading = status.loading.map(({ ref, fraction }) => `Loading ${ref}: ${Math.floor(100 * fraction)}%.`);
  const models =
    status.models.length > 0
      ? status.models.map(modelSection)
      : ["No model is loaded. A model loads with the first request and unloads when it is idle."];
  return [
    "# NMOS: memory",
    `Engine ${status.hostVersion} with ${status.library}, process ${status.hostPid}, serving ${count(status.clients, "window")}.`,
    table(
      ["memory", "in use by the engine", "available", "in all"],
      [["RAM", mib(hostProcessBytes), mib(availableBytes), mib(totalBytes)]],
    ),
    "## Devices",
    devices.length > 0
      ? table(["device", "description", "kind", "free", "in all"], devices)
      : "The engine has not looked for devices yet.",
    "## Models",
    ...loading,
    ...models,
  ]
    .join("\n\n")
    .concat("\n");
}

function modelSection({ name, path, roles, sizeBytes, sessions, placement }: LoadedModel): string {
  const onDevice =
    placement.deviceLayers > 0
      ? `${placement.deviceLayers} of ${count(placement.layers, "layer")} on ${placement.device}`
      : `all ${count(placement.layers, "layer")} on the processor`;
  const rows = [
    ["purpose", roles.map((role) => (role === "fast" ? "ghost text" : "chat and commands")).join(", ")],
    ["file", `${path} (${mib(sizeBytes)})`],
    ["placement", onDevice],
    ["graphics memory", mib(placement.deviceBytes)],
    ["RAM", mib(placement.hostBytes)],
    ["KV cache", mib(placement.kvBytes)],
    ["context", `${placement.contextLength.toLocaleString("en")} tokens`],
    ["sessions", `${sessions}`],
  ];
  const reasons = placement.explanation.map((reason) => `- ${reason}`).join("\n");
  return [`### ${name}`, table(["", ""], rows), reasons].filter((part) => part !== "").join("\n\n");
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}
