import type { LayerColumn, LayerRun, NetworkShares } from "../../shared/memory_messages";
import type { LayerPlacement, Placement } from "../../shared/placement";
import { cardNames } from "../card_names";
import { count, percent } from "./amounts";

/** The layers, first to last, and the output head. */
export function layerColumns(placement: Placement): LayerColumn[] {
  const layers = placement.layerMap.map((layer, index) => ({
    label: String(index + 1),
    description: `Layer ${index + 1}: ${describeLayer(layer)}.`,
    onCard: layer.attentionOnDevice,
    network: sharesOf(layer),
  }));
  const head = {
    label: "out",
    description: `Output head: ${place(headCard(placement))}.`,
    onCard: placement.outputOnDevice,
    network: null,
  };
  return [...layers, head];
}

/** Neighbours that look alike in numbers share a row. */
export function layerRuns(placement: Placement): LayerRun[] {
  const runs: { first: number; last: number; row: Omit<LayerRun, "layers"> }[] = [];
  for (const [index, layer] of placement.layerMap.entries()) {
    const row = runRow(layer);
    const before = runs.at(-1);
    if (before && JSON.stringify(before.row) === JSON.stringify(row)) before.last = index + 1;
    else runs.push({ first: index + 1, last: index + 1, row });
  }
  return [
    ...runs.map(({ first, last, row }) => ({ layers: first === last ? `${first}` : `${first} to ${last}`, ...row })),
    { layers: "output head", attention: place(headCard(placement)), card: "", uploaded: "", processor: "" },
  ];
}

/** All layers in a few sentences, however many there are. */
export function describeLayers(placement: Placement): string {
  const { layerMap, cards } = placement;
  const inRam = layerMap.filter(({ attentionOnDevice }) => !attentionOnDevice).length;
  const networks = layerMap.map(sharesOf).filter((shares) => shares !== null);
  const average = (share: keyof NetworkShares): number =>
    networks.reduce((total, shares) => total + shares[share], 0) / networks.length;
  const all = { card: average("card"), uploaded: average("uploaded"), processor: average("processor") };
  return [
    `${count(layerMap.length, "layer")}.`,
    cards.length === 0 || (cards.length === 1 && inRam === 0)
      ? `Attention and KV cache of all: ${place(cards[0]?.device ?? null)}.`
      : `Attention and KV cache ${[
          ...cards.map(({ layers, device }) => `of ${layers}: on ${device}`),
          ...(inRam > 0 ? [`of ${inRam}: in RAM`] : []),
        ].join(", ")}.`,
    ...(networks.length > 0 ? [`Feed-forward networks: ${describeShares(all, cardNames(placement))}.`] : []),
    `Output head: ${place(headCard(placement))}.`,
  ].join(" ");
}

function sharesOf({ network: { device, uploaded, host } }: LayerPlacement): NetworkShares | null {
  return device + uploaded + host > 0 ? { card: device, uploaded, processor: host } : null;
}

/** The card with the output head; null: it is in RAM. */
function headCard({ cards, outputOnDevice }: Placement): string | null {
  return outputOnDevice ? (cards.at(-1)?.device ?? null) : null;
}

function describeLayer(layer: LayerPlacement): string {
  const shares = sharesOf(layer);
  const network = shares ? `network ${describeShares(shares, layer.card ?? "a card")}` : "no feed-forward network";
  return `attention and KV cache ${place(layer.card)}; ${network}`;
}

function describeShares({ card, uploaded, processor }: NetworkShares, device: string): string {
  return [
    ...(card > 0 ? [`${percent(card)} on ${device}`] : []),
    ...(uploaded > 0 ? [`${percent(uploaded)} uploaded in every pass`] : []),
    ...(processor > 0 ? [`${percent(processor)} computed by the processor`] : []),
  ].join(", ");
}

function runRow(layer: LayerPlacement): Omit<LayerRun, "layers"> {
  const shares = sharesOf(layer);
  const cell = (share: keyof NetworkShares): string => (shares ? percent(shares[share]) : "none");
  return {
    attention: place(layer.card),
    card: cell("card"),
    uploaded: cell("uploaded"),
    processor: cell("processor"),
  };
}

function place(card: string | null): string {
  return card === null ? "in RAM" : `on ${card}`;
}
