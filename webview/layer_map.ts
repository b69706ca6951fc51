import type { LayerColumn, ModelPicture } from "../src/shared/memory_messages";
import { element } from "./dom";
import { Parts, setAttribute, setShare, setText, type Part } from "./in_place";

/** In the order of a column, top to bottom. */
const shares = ["card", "uploaded", "processor"] as const;

const legend: Record<(typeof shares)[number], string> = {
  card: "on the card",
  uploaded: "uploaded to the card in every pass",
  processor: "in RAM, computed by the processor",
};

/** The layers side by side: attention above, the feed-forward network below, divided by who holds and computes it. */
export class LayerMap implements Part<ModelPicture> {
  private readonly columns = new Parts<LayerColumn>(element("div", { class: "layers", role: "img" }), makeColumn);
  readonly root = element(
    "div",
    {},
    this.columns.root,
    element(
      "ul",
      { class: "legend", "aria-hidden": "true" },
      ...shares.map((share) => element("li", {}, element("span", { class: `swatch ${share}` }), legend[share])),
      element("li", {}, "upper cell: attention and KV cache; lower cell: feed-forward network; out: output head"),
    ),
  );

  show({ description, columns }: ModelPicture): void {
    setAttribute(this.columns.root, "aria-label", description);
    this.columns.show(columns);
  }
}

function makeColumn(): Part<LayerColumn> {
  const attention = element("div");
  const cells = shares.map((share) => ({ share, node: element("div", { class: `share ${share}` }) }));
  const network = element("div", { class: "cell network" }, ...cells.map(({ node }) => node));
  const label = element("div", { class: "number" });
  const root = element("div", {}, attention, network, label);
  return {
    root,
    show(column) {
      const kind = column.label === "out" ? "column head" : "column";
      setAttribute(root, "class", column.network ? kind : `${kind} whole`);
      setAttribute(root, "title", column.description);
      setAttribute(attention, "class", `cell attention ${column.onCard ? "card" : "processor"}`);
      for (const { share, node } of cells) setShare(node, column.network?.[share] ?? 0);
      setText(label, column.label);
    },
  };
}
