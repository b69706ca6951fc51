import type { LayerRun } from "../src/shared/memory_messages";
import { element } from "./dom";
import { Parts, setText, type Part } from "./in_place";

const columns: { key: keyof LayerRun; title: string }[] = [
  { key: "layers", title: "layers" },
  { key: "attention", title: "attention and KV cache" },
  { key: "card", title: "network on the card" },
  { key: "uploaded", title: "uploaded in every pass" },
  { key: "processor", title: "by the processor" },
];

/** The picture of the layers as a table that opens on demand. */
export class LayerTable implements Part<readonly LayerRun[]> {
  private readonly rows = new Parts<LayerRun>(element("tbody"), makeRow);
  readonly root = element(
    "details",
    {},
    element("summary", {}, "Layer by layer"),
    element("div", { class: "wide" }, element("table", {}, element("thead", {}, makeHeader()), this.rows.root)),
  );

  show(runs: readonly LayerRun[]): void {
    this.rows.show(runs);
  }
}

function makeHeader(): HTMLElement {
  return element("tr", {}, ...columns.map(({ title }) => element("th", { scope: "col" }, title)));
}

function makeRow(): Part<LayerRun> {
  const cells = columns.map(({ key }) => ({
    key,
    node: key === "layers" ? element("th", { scope: "row" }) : element("td"),
  }));
  return {
    root: element("tr", {}, ...cells.map(({ node }) => node)),
    show(run) {
      for (const { key, node } of cells) setText(node, run[key]);
    },
  };
}
