import type { Tier, TierPart } from "../src/shared/memory_messages";
import { element } from "./dom";
import { Parts, setAttribute, setShare, setText, type Part } from "./in_place";

/** The memory of a card, or RAM, as a bar with its legend. Screen readers get the bar in words instead of both. */
export class TierBar implements Part<Tier> {
  private readonly title = element("h3");
  private readonly detail = element("p", { class: "quiet" });
  private readonly bar = new Parts<TierPart>(element("div", { class: "bar", role: "img" }), makeStretch);
  private readonly legend = new Parts<TierPart>(
    element("ul", { class: "legend", "aria-hidden": "true" }),
    makeLegendEntry,
  );
  readonly root = element("div", { class: "tier" }, this.title, this.detail, this.bar.root, this.legend.root);

  show({ title, detail, description, parts }: Tier): void {
    setText(this.title, title);
    setText(this.detail, detail);
    setAttribute(this.bar.root, "aria-label", description);
    this.bar.show(parts);
    this.legend.show(parts);
  }
}

function makeStretch(): Part<TierPart> {
  const root = element("div");
  return {
    root,
    show({ kind, label, amount, share }) {
      setAttribute(root, "class", `share ${kind}`);
      setAttribute(root, "title", `${label}: ${amount}`);
      setShare(root, share);
    },
  };
}

function makeLegendEntry(): Part<TierPart> {
  const swatch = element("span");
  const text = element("span");
  return {
    root: element("li", {}, swatch, text),
    show({ kind, label, amount }) {
      setAttribute(swatch, "class", `swatch ${kind}`);
      setText(text, `${label}: ${amount}`);
    },
  };
}
