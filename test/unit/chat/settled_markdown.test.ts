import MarkdownIt from "markdown-it";
import { describe, expect, test } from "vitest";
import { settledLength } from "../../../webview/settled_markdown";

describe("the final part of Markdown that is still growing", () => {
  function check(text: string, settled: string): void {
    test(JSON.stringify(text), () => {
      expect(text.slice(0, settledLength(text))).toBe(settled);
    });
  }

  check("", "");
  check("one", "");
  check("one\n\n", "");
  check("one\n\ntwo", "");
  check("one\n\ntwo\n", "one\n\n");
  check("one\n\ntwo\n---\n", "one\n\n");
  check("# one\ntwo\n", "# one\n");
  check("one\n\n```\na\n\nb\n", "one\n\n");
  check("```\na\n```\ntwo\n", "```\na\n```\n");
  check("- a\n\n- b\n", "");
  check("1. a\n2", "");
  check("- a\n- b\n\nc\n", "- a\n- b\n\n");
  check("one\n| a |\n|---|\n", "one\n");
  check("one\r\n\r\ntwo\r\n", "one\r\n\r\n");
});

test("rendered piece by piece it is what it is when rendered whole", () => {
  const text = `# Title

Some *text*
that goes on.

1. one
   \`\`\`js
   const a = 1;

   \`\`\`
2. two

| a | b |
|---|---|
| 1 | 2 |

> quote
lazy

\`\`\`python
def f():

    return 1
\`\`\`
Setext
------
    code

The end.
`;
  const markdown = new MarkdownIt({ html: false });
  for (const step of [1, 3, 7, 50]) {
    let shown = "";
    let settled = 0;
    for (let end = step; end < text.length + step; end += step) {
      const rest = text.slice(settled, end);
      const length = settledLength(rest);
      shown += markdown.render(rest.slice(0, length));
      settled += length;
    }
    expect(shown + markdown.render(text.slice(settled))).toBe(markdown.render(text));
  }
});
