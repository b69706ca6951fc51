import { describe, expect, test } from "vitest";
import { cleanCommitMessage } from "../../../src/providers/commit_text";

describe("the commit message in an answer", () => {
  function check(answer: string, expected: string): void {
    test(JSON.stringify(answer), () => {
      expect(cleanCommitMessage(answer)).toBe(expected);
    });
  }

  check("Fix the parser", "Fix the parser");
  check("Fix the parser\n\nIt dropped lines.\n", "Fix the parser\n\nIt dropped lines.");
  check("```\nFix the parser\n```", "Fix the parser");
  check("```text\nFix the parser\n\n- a\n```\n", "Fix the parser\n\n- a");
  check("```\nFix the par", "Fix the par");
  check('"Fix the parser"', "Fix the parser");
  check("`Fix the parser`", "Fix the parser");
  check("Fix `parse` in `lexer`", "Fix `parse` in `lexer`");
  check("Here is a commit message:\n\nFix the parser", "Fix the parser");
  check("Here's the message for the diff:\n```\nFix the parser\n```", "Fix the parser");
  check("Commit message: Fix the parser", "Fix the parser");
  check("Subject:\nFix the parser", "Fix the parser");
  check("Here is where it was broken", "Here is where it was broken");
  check("Fix\r\n\r\nBody", "Fix\n\nBody");
  check("", "");
});
