import { describe, expect, test } from "vitest";
import { renderChat } from "../../../src/engine/chat/chat_template";
import type { ChatMessage } from "../../../src/shared/chat";
import { fakeModelInfo } from "../support/fake_model_handle";
import { templates } from "./template_fixtures";

const { qwen, smol, strict, deaf } = templates;

const qwenSystem = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
const smolSystem = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

/** `S:`, `U:` and `A:` stand for the roles. */
function chat(...lines: string[]): ChatMessage[] {
  const roles = { S: "system", U: "user", A: "assistant" } as const;
  return lines.map((line) => ({ role: roles[line.charAt(0) as keyof typeof roles], content: line.slice(2) }));
}

/** What is not a template's own text stands in double angle brackets. */
function shown(template: string | null, messages: ChatMessage[], addGenerationPrompt = true, bos = "<bos>"): string {
  const { parts } = renderChat(fakeModelInfo(template, { bos, eos: "<eos>" }), messages, { addGenerationPrompt });
  return parts.map(({ text, special }) => (special ? text : `«${text}»`)).join("");
}

describe("a conversation in a model's template", () => {
  function check(name: string, template: string | null, lines: string[], expected: string): void {
    test(name, () => {
      expect(shown(template, chat(...lines))).toBe(
        expected.replaceAll("{", "<|im_start|>").replaceAll("}", "<|im_end|>\n"),
      );
    });
  }

  check("Qwen, question", qwen, ["U:hi"], `{system\n${qwenSystem}}{user\n«hi»}{assistant\n`);
  check("Qwen, system", qwen, ["S:be", "U:hi"], "{system\n«be»}{user\n«hi»}{assistant\n");
  check(
    "Qwen, turns",
    qwen,
    ["S:s", "U:a", "A:b", "U:c"],
    "{system\n«s»}{user\n«a»}{assistant\n«b»}{user\n«c»}{assistant\n",
  );
  check("Qwen, system alone", qwen, ["S:s"], "{system\n«s»}{assistant\n");
  check("Qwen, two systems", qwen, ["S:s", "S:t", "U:a"], "{system\n«s»}{system\n«t»}{user\n«a»}{assistant\n");
  check("SmolLM2, question", smol, ["U:hi"], `{system\n${smolSystem}}{user\n«hi»}{assistant\n`);
  check("SmolLM2, system", smol, ["S:be", "U:hi"], "{system\n«be»}{user\n«hi»}{assistant\n");
  check("SmolLM2, turns", smol, ["S:s", "U:a", "A:b"], "{system\n«s»}{user\n«a»}{assistant\n«b»}{assistant\n");
  check("no template: ChatML", null, ["S:s", "U:a"], "{system\n«s»}{user\n«a»}{assistant\n");
  check("ChatML invents no system", null, ["U:a", "A:b", "U:c"], "{user\n«a»}{assistant\n«b»}{user\n«c»}{assistant\n");
  check("empty content", qwen, ["S:s", "U:"], "{system\n«s»}{user\n}{assistant\n");
  check("white space stays", qwen, ["S:s", "U: \n a\n"], "{system\n«s»}{user\n« \n a\n»}{assistant\n");
  check("white space stays where contents are trimmed", strict, ["U: a\n"], "<bos><user>« a\n»<end><assistant>");
  check(
    "ten messages and more",
    deaf,
    Array<string>(11).fill("U:x").concat("U:y"),
    `${"[user]«x»".repeat(11)}[user]«y»`,
  );
});

describe("templates without a system role", () => {
  function check(name: string, template: string, lines: string[], expected: string): void {
    test(name, () => {
      expect(shown(template, chat(...lines))).toBe(expected);
    });
  }

  check("refused: in the first question", strict, ["S:s", "U:a"], "<bos><user>«s\n\na»<end><assistant>");
  check(
    "refused: turns after it",
    strict,
    ["S:s", "U:a", "A:b"],
    "<bos><user>«s\n\na»<end><assistant>«b»<end><assistant>",
  );
  check("refused: alone", strict, ["S:s"], "<bos><user>«s»<end><assistant>");
  check("refused: before an answer", strict, ["S:s", "A:b"], "<bos><user>«s»<end><assistant>«b»<end><assistant>");
  check("left out: in the first question", deaf, ["S:s", "U:a"], "[user]«s\n\na»");
  check("left out: alone", deaf, ["S:s"], "[user]«s»");
  check("control text stays plain", strict, ["S:<end>", "U:<user>"], "<bos><user>«<end>\n\n<user>»<end><assistant>");
});

describe("templates that insist on turns", () => {
  function check(name: string, lines: string[], expected: string): void {
    test(name, () => {
      expect(shown(strict, chat(...lines))).toBe(expected);
    });
  }

  check("a question that got no answer", ["U:a", "U:b"], "<bos><user>«a\n\nb»<end><assistant>");
  check(
    "in the middle",
    ["U:a", "A:b", "A:c", "U:d"],
    "<bos><user>«a»<end><assistant>«b\n\nc»<end><user>«d»<end><assistant>",
  );
  check("and know no system", ["S:s", "U:a", "U:b"], "<bos><user>«s\n\na\n\nb»<end><assistant>");
  check("control text stays plain", ["U:<end>", "U:<user>"], "<bos><user>«<end>\n\n<user>»<end><assistant>");
});

describe("the BOS token", () => {
  function check(name: string, template: string | null, bos: string, addBos: boolean): void {
    test(name, () => {
      const info = fakeModelInfo(template, bos === "" ? {} : { bos });
      expect(renderChat(info, chat("U:a"), { addGenerationPrompt: true }).addBos).toBe(addBos);
    });
  }

  check("written by the template", strict, "<bos>", false);
  check("the template's own first token", smol, "<|im_start|>", false);
  check("not written", qwen, "<|endoftext|>", true);
  check("not written by ChatML", null, "<s>", true);
  check("unknown to the model", strict, "", true);
  check("only later in the text", "a{{ bos_token }}{{ messages[0].content }}", "<s>", true);

  test("said by the user first", () => {
    const info = fakeModelInfo("{{ messages[0].content }}", { bos: "<s>" });
    expect(renderChat(info, chat("U:<s>"), { addGenerationPrompt: true }).addBos).toBe(true);
  });
});

test.each([
  ["Qwen", qwen],
  ["SmolLM2", smol],
  ["ChatML", null],
])("%s without the beginning of an answer", (_, template) => {
  expect(shown(template, chat("S:s", "U:a"), false)).toMatch(/user\n«a»<\|im_end\|>\n$/);
});

test("the EOS token is known to templates", () => {
  expect(shown("{{ messages[0].content }}{{ eos_token }}", chat("U:a"))).toBe("«a»<eos>");
});

describe("a template that cannot be rendered", () => {
  function check(name: string, template: string, reason: string): void {
    test(name, () => {
      expect(() => shown(template, chat("A:b"))).toThrow(
        expect.objectContaining({ code: "MODEL_UNSUPPORTED", message: expect.stringContaining(reason) as string }),
      );
    });
  }

  check("names the model", "{% if %}", "fake 1B");
  check("gives the template's reason", strict, "Roles must alternate");
});
