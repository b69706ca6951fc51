import type { ModelPicture } from "../src/shared/memory_messages";
import { element } from "./dom";
import { Facts } from "./facts";
import { Parts, setHidden, setText, type Part } from "./in_place";
import { LayerMap } from "./layer_map";
import { LayerTable } from "./layer_table";

/** A loaded model: its layers as a picture, what it does, what it is, and why it lies where it lies. */
export class ModelSection implements Part<ModelPicture> {
  private readonly name = element("h3");
  private readonly layers = new LayerMap();
  private readonly table = new LayerTable();
  private readonly figures = new Facts();
  private readonly predictions = new Facts();
  private readonly predicted = element(
    "div",
    {},
    element("h4", {}, "Predicted time of a pass, by its width"),
    this.predictions.root,
  );
  private readonly facts = new Facts();
  private readonly reasons = new Parts<string>(element("ul", { class: "reasons" }), makeReason);
  readonly root = element(
    "article",
    { class: "model" },
    this.name,
    this.layers.root,
    this.table.root,
    element("h4", {}, "Right now"),
    this.figures.root,
    this.predicted,
    element("h4", {}, "The model"),
    this.facts.root,
    element("h4", {}, "Why it lies there"),
    this.reasons.root,
  );

  show(picture: ModelPicture): void {
    setText(this.name, picture.name);
    this.layers.show(picture);
    this.table.show(picture.runs);
    this.figures.show(picture.figures);
    this.predictions.show(picture.predictions);
    setHidden(this.predicted, picture.predictions.length === 0);
    this.facts.show(picture.facts);
    this.reasons.show(picture.reasons);
  }
}

function makeReason(): Part<string> {
  const root = element("li");
  return {
    root,
    show(reason) {
      setText(root, reason);
    },
  };
}
