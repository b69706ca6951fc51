import type { LoadingModel } from "../src/shared/memory_messages";
import { element } from "./dom";
import { setAttribute, setText, type Part } from "./in_place";

/** A model that is being loaded, and how much of it. */
export class LoadingBar implements Part<LoadingModel> {
  private readonly text = element("span");
  private readonly progress = element("progress", { max: "100" });
  readonly root = element("div", { class: "loading" }, this.text, this.progress);

  show({ label, percent }: LoadingModel): void {
    setText(this.text, `${label}: ${String(percent)}%`);
    setAttribute(this.progress, "aria-label", label);
    if (this.progress.value !== percent) this.progress.value = percent;
  }
}
