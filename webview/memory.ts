/** The page of the memory view: draws the picture that the extension sends, again and again, in place. */
import type { LoadingModel, MemoryPicture, ModelPicture, Tier, ToMemoryView } from "../src/shared/memory_messages";
import { element } from "./dom";
import { send } from "./host";
import { Parts, setText } from "./in_place";
import { LoadingBar } from "./loading_bar";
import { ModelSection } from "./model_section";
import { TierBar } from "./tier_bar";

const engine = element("p", { class: "quiet engine" });
const tiers = new Parts<Tier>(element("section", { "aria-label": "Memory" }), () => new TierBar());
const summary = element("p", { class: "summary", role: "status" });
const loading = new Parts<LoadingModel>(element("div"), () => new LoadingBar());
const models = new Parts<ModelPicture>(element("div"), () => new ModelSection());
document.body.append(
  element(
    "main",
    {},
    element("h1", {}, "NMOS: memory"),
    engine,
    element("h2", {}, "Memory"),
    tiers.root,
    element("h2", {}, "Models"),
    summary,
    loading.root,
    models.root,
  ),
);

function show(picture: MemoryPicture): void {
  setText(engine, picture.engine);
  document.body.classList.toggle("empty", picture.tiers.length === 0);
  tiers.show(picture.tiers);
  setText(summary, picture.summary);
  loading.show(picture.loading);
  models.show(picture.models);
}

window.addEventListener("message", (event: MessageEvent<ToMemoryView>) => {
  show(event.data.picture);
});
send({ type: "ready" });
