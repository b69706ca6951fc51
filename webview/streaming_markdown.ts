import { addCodeActions } from "./code_blocks";
import { element } from "./dom";
import { renderMarkdown } from "./markdown";
import { settledLength } from "./settled_markdown";

/**
 * Markdown that streams in. A block is rendered anew with every piece of text only until the next one begins, so that a
 * long answer costs as much for each piece as a short one, and what is selected above the end stays selected.
 */
export class StreamingMarkdown {
  readonly root = element("div", { class: "text markdown" });
  /** Holds the last block. Until there is one, what the engine does meanwhile. */
  private readonly tail = element("div", { class: "tail" }, element("span", { class: "thinking" }, "Thinking"));
  private settled = 0;

  constructor() {
    this.root.append(this.tail);
  }

  /** @param text all of the answer so far. */
  update(text: string): void {
    const rest = text.slice(this.settled);
    const end = settledLength(rest);
    if (end > 0) {
      const final = renderMarkdown(rest.slice(0, end));
      addCodeActions(final);
      this.tail.before(final);
      this.settled += end;
    }
    this.tail.replaceChildren(renderMarkdown(rest.slice(end)));
  }
}
