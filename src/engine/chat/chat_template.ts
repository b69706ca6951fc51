import { Template } from "@huggingface/jinja";
import { EngineError } from "../../shared/errors";
import type { ChatMessage } from "../../shared/protocol";
import type { NativeModelInfo, PromptPart } from "../native/addon";

/** A conversation as text to tokenize. */
export interface RenderedChat {
  parts: PromptPart[];
  /** False when the template has written the BOS token itself. */
  addBos: boolean;
}

/** For models that bring no template of their own: ChatML, which most instruct models have seen. */
const chatml = `{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/**
 * Stands for the content of message N while the template runs. Private-use characters: no template looks for them, and
 * trimming a message does not touch them.
 */
const marker = (index: number) => `\uE000${String(index)}\uE001`;
const markers = /\uE000(\d+)\uE001/;

const compiled = new Map<string, Template>();

/**
 * Renders a conversation with the model's own template. The template runs on stand-ins, so that only its own text can
 * become control tokens: whatever a user or a file says stays plain text.
 */
export function renderChat(
  info: NativeModelInfo,
  messages: readonly ChatMessage[],
  { addGenerationPrompt }: { addGenerationPrompt: boolean },
): RenderedChat {
  const folded = foldSystem(messages);
  try {
    const text = renderMarkers(info, messages, addGenerationPrompt);
    // A template may also leave the system prompt out without a word.
    if (!folded || text.includes(marker(0))) return split(info, messages, text);
  } catch (thrown) {
    if (!folded) throw thrown;
  }
  return split(info, folded, renderMarkers(info, folded, addGenerationPrompt));
}

/** For templates that know no system role: the user's first message says the same. Null without a system prompt. */
function foldSystem([first, second, ...rest]: readonly ChatMessage[]): ChatMessage[] | null {
  if (first?.role !== "system") return null;
  const asUser: ChatMessage = { role: "user", content: first.content };
  if (!second) return [asUser];
  if (second.role !== "user") return [asUser, second, ...rest];
  return [{ role: "user", content: `${first.content}\n\n${second.content}` }, ...rest];
}

function renderMarkers(info: NativeModelInfo, messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
  const { bos, eos } = info.specialTokens;
  try {
    return templateOf(info.chatTemplate ?? chatml).render({
      messages: messages.map(({ role }, index) => ({ role, content: marker(index) })),
      add_generation_prompt: addGenerationPrompt,
      bos_token: bos ?? "",
      eos_token: eos ?? "",
    });
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new EngineError(
      "MODEL_UNSUPPORTED",
      `The chat template of ${info.description} cannot be rendered: ${reason}`,
      { cause: thrown },
    );
  }
}

/** Puts the messages back where their stand-ins are. */
function split(
  { specialTokens: { bos } }: NativeModelInfo,
  messages: readonly ChatMessage[],
  text: string,
): RenderedChat {
  // Splitting by an expression with a group gives template text and message numbers in turn.
  const parts = text.split(markers).map((piece, index): PromptPart => {
    if (index % 2 === 0) return { text: piece, special: true };
    return { text: messages[Number(piece)]?.content ?? "", special: false };
  });
  return { parts: parts.filter((part) => part.text !== ""), addBos: !(bos && text.startsWith(bos)) };
}

function templateOf(source: string): Template {
  let template = compiled.get(source);
  if (!template) {
    template = new Template(source);
    compiled.set(source, template);
  }
  return template;
}
