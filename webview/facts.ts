import type { Fact } from "../src/shared/memory_messages";
import { element } from "./dom";
import { Parts, setText, type Part } from "./in_place";

/** A list of names and values. */
export class Facts implements Part<readonly Fact[]> {
  private readonly facts = new Parts<Fact>(element("dl", { class: "facts" }), makeFact);
  readonly root = this.facts.root;

  show(facts: readonly Fact[]): void {
    this.facts.show(facts);
  }
}

function makeFact(): Part<Fact> {
  const label = element("dt");
  const value = element("dd");
  return {
    root: element("div", {}, label, value),
    show(fact) {
      setText(label, fact.label);
      setText(value, fact.value);
    },
  };
}
