import type { LayerColumn, LayerRun, NetworkShares } from "../../shared/memory_messages";
import type { LayerPlacement, Placement } from "../../shared/protocol";
import { count, percent } from "./amounts";

/** The layers, first to last, and the output head. */
export function layerColumns({ device, layerMap, outputOnDevice }: Placement): LayerColumn[] {
  const layers = layerMap.map((layer, index) => ({
    label: String(index + 1),
    description: `Layer ${index + 1}: ${describeLayer(layer, device)}.`,
    onCard: layer.attentionOnDevice,
    network: sharesOf(layer),
  }));
  const head = {
    label: "out",
    description: `Output head: ${place(outputOnDevice, device)}.`,
    onCard: outputOnDevice,
    network: null,
  };
  return [...layers, head];
}

/** Neighbours that look alike in numbers share a row. */
export function layerRuns({ device, layerMap, outputOnDevice }: Placement): LayerRun[] {
  const runs: { first: number; last: number; row: Omit<LayerRun, "layers"> }[] = [];
  for (const [index, layer] of layerMap.entries()) {
    const row = runRow(layer, device);
    const before = runs.at(-1);
    if (before && JSON.stringify(before.row) === JSON.stringify(row)) before.last = index + 1;
    else runs.push({ first: index + 1, last: index + 1, row });
  }
  return [
    ...runs.map(({ first, last, row }) => ({ layers: first === last ? `${first}` : `${first} to ${last}`, ...row })),
    { layers: "output head", attention: place(outputOnDevice, device), card: "", uploaded: "", processor: "" },
  ];
}

/** All layers in a few sentences, however many there are. */
export function describeLayers(placement: Placement): string {
  const { device, layerMap, outputOnDevice } = placement;
  const onCard = layerMap.filter(({ attentionOnDevice }) => attentionOnDevice).length;
  const networks = layerMap.map(sharesOf).filter((shares) => shares !== null);
  const average = (share: keyof NetworkShares): number =>
    networks.reduce((total, shares) => total + shares[share], 0) / networks.length;
  const all = { card: average("card"), uploaded: average("uploaded"), processor: average("processor") };
  return [
    `${count(layerMap.length, "layer")}.`,
    onCard === 0 || onCard === layerMap.length
      ? `Attention and KV cache of all: ${place(onCard > 0, device)}.`
      : `Attention and KV cache of ${onCard}: on ${device}, of ${layerMap.length - onCard}: in RAM.`,
    ...(networks.length > 0 ? [`Feed-forward networks: ${describeShares(all, device)}.`] : []),
    `Output head: ${place(outputOnDevice, device)}.`,
  ].join(" ");
}

function sharesOf({ network: { device, uploaded, host } }: LayerPlacement): NetworkShares | null {
  return device + uploaded + host > 0 ? { card: device, uploaded, processor: host } : null;
}

function describeLayer(layer: LayerPlacement, device: string): string {
  const shares = sharesOf(layer);
  const network = shares ? `network ${describeShares(shares, device)}` : "no feed-forward network";
  return `attention and KV cache ${place(layer.attentionOnDevice, device)}; ${network}`;
}

function describeShares({ card, uploaded, processor }: NetworkShares, device: string): string {
  return [
    ...(card > 0 ? [`${percent(card)} on ${device}`] : []),
    ...(uploaded > 0 ? [`${percent(uploaded)} uploaded in every pass`] : []),
    ...(processor > 0 ? [`${percent(processor)} computed by the processor`] : []),
  ].join(", ");
}

function runRow(layer: LayerPlacement, device: string): Omit<LayerRun, "layers"> {
  const shares = sharesOf(layer);
  const cell = (share: keyof NetworkShares): string => (shares ? percent(shares[share]) : "none");
  return {
    attention: place(layer.attentionOnDevice, device),
    card: cell("card"),
    uploaded: cell("uploaded"),
    processor: cell("processor"),
  };
}

function place(onCard: boolean, device: string): string {
  return onCard ? `on ${device}` : "in RAM";
}
