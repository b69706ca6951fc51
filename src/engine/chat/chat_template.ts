import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "../../shared/chat";
import { EngineError } from "../../shared/errors";
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
  let failure: unknown;
  for (const variant of variants(messages)) {
    try {
      const text = renderMarkers(info, variant, addGenerationPrompt);
      // A template may also leave the system prompt out without a word.
      if (variant[0]?.role !== "system" || text.includes(marker(0))) return split(info, variant, text);
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw failure;
}

/**
 * A conversation in the shapes that templates accept, the plain one first. Some know no system role: then the user's
 * first message says the same. Some insist on turns that alternate: then messages of one role in a row are one.
 */
function* variants(messages: readonly ChatMessage[]): Generator<readonly ChatMessage[]> {
  yield messages;
  const alternating = joinTurns(messages);
  if (messages[0]?.role === "system") yield foldSystem(messages);
  if (alternating.length < messages.length) yield alternating;
  if (messages[0]?.role === "system") yield joinTurns(foldSystem(messages));
}

function foldSystem([first, ...rest]: readonly ChatMessage[]): ChatMessage[] {
  const asUser: ChatMessage = { role: "user", content: first?.content ?? "" };
  const [second, ...others] = rest;
  return second?.role === "user" ? [joined(asUser, second), ...others] : [asUser, ...rest];
}

function joinTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last?.role === message.role) turns.splice(-1, 1, joined(last, message));
    else turns.push(message);
  }
  return turns;
}

function joined(first: ChatMessage, second: ChatMessage): ChatMessage {
  return { role: second.role, content: `${first.content}\n\n${second.content}` };
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
