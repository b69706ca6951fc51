import { describe, expect, test } from "vitest";
import {
  commitMessagePrompt,
  documentPrompt,
  editPrompt,
  aboutCode,
  explainPrompt,
  extractCode,
  fixPrompt,
  rewritingBegin,
  testsPrompt,
} from "../../../src/engine/chat/edit_prompts";

describe("the code in an answer", () => {
  function check(answer: string, expected: string): void {
    test(JSON.stringify(answer), () => {
      expect(extractCode(answer)).toBe(expected);
    });
  }

  check("", "");
  check("let a;", "let a;");
  check("  let a;\n  let b;\n", "  let a;\n  let b;");
  check("```ts\nlet a;\n```", "let a;");
  check("```\nlet a;\n```\n", "let a;");
  check("~~~ts\nlet a;\n~~~", "let a;");
  check("Here it is:\n\n```ts\nlet a;\n```\n\nIt is short.", "let a;");
  check("```ts\nlet a;\n```\n```ts\nlet b;\n```", "let a;");
  check("```ts\n\n  let a;\n\n```", "  let a;");
  check("````md\n```ts\na\n```\n````", "```ts\na\n```");
  check("  ```ts\n  let a;\n  ```", "  let a;");
  check("```ts\r\nlet a;\r\n```", "let a;");
  check("```ts\n```", "");
});

describe("the code in an answer that is still being written", () => {
  function check(answer: string, expected: string): void {
    test(JSON.stringify(answer), () => {
      expect(extractCode(answer)).toBe(expected);
    });
  }

  check("`", "");
  check("``", "");
  check("```", "");
  check("~~", "");
  check("```typescr", "");
  check("```ts\n", "");
  check("```ts\nlet", "let");
  check("```ts\nlet a;\n`", "let a;");
  check("```ts\nlet a;\n``", "let a;");
});

describe("code that only looks like a fence", () => {
  function check(answer: string): void {
    test(JSON.stringify(answer), () => {
      expect(extractCode(answer)).toBe(answer);
    });
  }

  check("~mask;");
  check("~~value");
  check("`a ${b}`;");
  check("``.length");
  check("const a = ```;");
});

describe("prompts about code", () => {
  const excerpt = { path: "src/a.ts", languageId: "typescript", code: "let a;" };
  const fenced = "```typescript\nlet a;\n```";

  function check(name: string, prompt: string, ...expected: string[]): void {
    test(name, () => {
      for (const text of expected) expect(prompt).toContain(text);
    });
  }

  function last(messages: { content: string }[]): string {
    return messages.at(-1)?.content ?? "";
  }

  test("questions about the same code begin alike, and so do requests to rewrite it", () => {
    const about = aboutCode(excerpt);
    for (const question of [explainPrompt(excerpt), testsPrompt(excerpt)])
      expect(question.startsWith(about)).toBe(true);
    const begin = rewritingBegin(excerpt);
    for (const request of [editPrompt(excerpt, "x"), fixPrompt(excerpt, []), documentPrompt(excerpt)]) {
      expect(request.length).toBe(begin.length);
      for (const [index, { content }] of request.entries()) {
        expect(content.startsWith(begin[index]?.content ?? "nothing")).toBe(true);
      }
    }
  });

  check("explain", explainPrompt(excerpt), "src/a.ts", fenced);
  check("tests", testsPrompt(excerpt), "src/a.ts", "usual for typescript", fenced);
  check("edit", last(editPrompt(excerpt, "use const")), fenced, "Task: use const");
  check(
    "fix what is reported",
    last(fixPrompt(excerpt, ["line 1: p", "line 2: q"])),
    fenced,
    "- line 1: p\n- line 2: q",
  );
  check("fix what is not reported", last(fixPrompt(excerpt, [])), fenced, "Find the mistakes");
  check("document", last(documentPrompt(excerpt)), fenced, "usual for typescript");
  check("a fence in the code", explainPrompt({ ...excerpt, code: "/** ``` */" }), "````typescript\n/** ``` */\n````");
  check("a long fence in the code", explainPrompt({ ...excerpt, code: "`````" }), "``````typescript\n`````\n``````");

  test.each([editPrompt(excerpt, "x"), fixPrompt(excerpt, []), documentPrompt(excerpt)])(
    "the rules of rewriting come first (%#)",
    (...messages) => {
      expect(messages.map(({ role }) => role)).toEqual(["system", "user"]);
    },
  );
});

describe("the prompt for a commit message", () => {
  test("a short diff is shown whole", () => {
    const [system, user, ...rest] = commitMessagePrompt("+a\n-b");
    expect([system?.role, user?.role, rest]).toEqual(["system", "user", []]);
    expect(user?.content).toContain("```diff\n+a\n-b\n```");
    expect(user?.content).not.toContain("longer diff");
  });

  test("a long diff is cut after a line, and said to be", () => {
    const user = commitMessagePrompt("+0123456789\n".repeat(1000)).at(1)?.content ?? "";
    expect(user).toContain("(parts of a longer diff)");
    expect(user.length).toBeLessThan(8200);
    expect(user).toMatch(/\n\+0123456789\n```$/);
  });

  test("a diff of which something was left out before is said to be", () => {
    expect(commitMessagePrompt("+a", true).at(1)?.content).toContain("changes (parts of a longer diff):");
  });

  test("a fence in the diff does not end it", () => {
    expect(commitMessagePrompt("+```").at(1)?.content).toContain("````diff\n+```\n````");
  });

  test("a long diff of one line is cut too", () => {
    const user = commitMessagePrompt("+".repeat(9000)).at(1)?.content ?? "";
    expect(user.match(/\+/g)?.length).toBe(8000);
  });
});
