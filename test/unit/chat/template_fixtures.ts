import { readFileSync } from "node:fs";

/** The chat templates of models as their GGUF files have them, and two hand-written ones for odd habits. */
export const templates = {
  qwen: fixture("qwen2.5-coder"),
  smol: fixture("smollm2"),
  /** In the manner of Gemma: no system role, turns must alternate, contents are trimmed, BOS in the text. */
  strict: `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}<{{ message['role'] }}>{{ message['content'] | trim }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`,
  /** Leaves the system prompt out without a word. */
  deaf: `{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}`,
};

function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}.jinja`, import.meta.url), "utf8");
}
