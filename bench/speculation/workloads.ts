import type { ChatMessage } from "../../src/shared/chat";

/** What a model is asked to write, by how much of it stands in the prompt already. */
export interface Workload {
  name: string;
  /** Smallest gain over decoding one token a pass that is good enough. */
  target: number;
  conversations: ChatMessage[][];
}

const inventory = `import json


class Inventory:
    def __init__(self, path):
        self.path = path
        self.items = {}

    def load(self):
        with open(self.path) as file:
            self.items = json.load(file)

    def save(self):
        with open(self.path, "w") as file:
            json.dump(self.items, file)

    def add(self, name, count):
        if name in self.items:
            self.items[name] += count
        else:
            self.items[name] = count

    def remove(self, name, count):
        if name not in self.items:
            raise KeyError(name)
        if self.items[name] < count:
            raise ValueError("not enough of " + name)
        self.items[name] -= count

    def total(self):
        return sum(self.items.values())
`;

const queue = `export class TaskQueue {
  constructor(limit) {
    this.limit = limit;
    this.running = 0;
    this.waiting = [];
  }

  push(task) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ task, resolve, reject });
      this.next();
    });
  }

  next() {
    while (this.running < this.limit && this.waiting.length > 0) {
      const { task, resolve, reject } = this.waiting.shift();
      this.running++;
      task()
        .then(resolve, reject)
        .finally(() => {
          this.running--;
          this.next();
        });
    }
  }
}
`;

const cache = `class Cache:
    def __init__(self, size):
        self.size = size
        self.entries = {}

    def get(self, key):
        if key in self.entries:
            return self.entries[key]
        return None

    def put(self, key, value):
        if len(self.entries) >= self.size:
            self.entries.pop(next(iter(self.entries)))
        self.entries[key] = value
`;

const about = (question: string, code: string): ChatMessage[] => [
  { role: "system", content: "You are a helpful programming assistant." },
  { role: "user", content: `${question}\n\n\`\`\`\n${code}\`\`\`` },
];

const story = (question: string): ChatMessage[] => [
  { role: "system", content: "You are a writer." },
  { role: "user", content: question },
];

export const workloads: readonly Workload[] = [
  {
    name: "rewriting code",
    target: 1.5,
    conversations: [
      about(
        "Rename the method total to count_all and the attribute items to stock. Answer with the whole code only.",
        inventory,
      ),
      about("Add type hints to all methods. Answer with the whole code only.", inventory),
      about(
        "Make push refuse what is no function with a TypeError, and the constructor a limit below one with a RangeError. Answer with the whole code only.",
        queue,
      ),
      about("Translate this to TypeScript. Answer with the whole code only.", inventory),
    ],
  },
  {
    name: "chat about code in the prompt",
    target: 1.15,
    conversations: [
      about("Explain step by step, quoting the lines that you speak of, what this code does.", queue),
      about("Which errors can happen in this code? Quote the lines and show how to handle them.", inventory),
    ],
  },
  {
    name: "novel prose",
    target: 0.98,
    conversations: [
      story("Tell the story of a lighthouse keeper who finds a letter in a bottle."),
      story("Describe a market in a city that floats in the air, with its sounds and smells."),
    ],
  },
];

/** About something else than the workloads: asked before them, so that what passes cost is known. */
export const practice: readonly ChatMessage[][] = [
  about("Rename entries to values and add a method clear. Answer with the whole code only.", cache),
  about("Explain what this code does and quote the lines that you speak of.", cache),
  story("Tell of a gardener who grows clocks."),
];

/** The conversation as the models of the benchmark are trained on it, up to where the answer begins. */
export function promptOf(messages: readonly ChatMessage[]): string {
  const turns = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return `${turns.join("")}<|im_start|>assistant\n`;
}
