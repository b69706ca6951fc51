/** How much is measured: everything else is the same in a full run and in a quick one. */
export interface StackPlan {
  /** Catalogue ids, and what the rows call them. */
  models: { id: string; label: string }[];
  /** Samples of each figure and contender; an even number turns the order as often as not. */
  rounds: number;
  /** Tokens of the prompts. */
  prefill: number[];
  /** Tokens before and in the decoded stretch. */
  decode: { depth: number; tokens: number };
  overhead: { tokens: number; longAnswers: number };
  cancellations: number;
  /** What may be spent on waiting until other processes leave the cores alone. */
  patienceMs: number;
}

const models = [
  { id: "qwen2.5-coder-0.5b", label: "0.5B" },
  { id: "qwen2.5-coder-1.5b", label: "1.5B" },
];

export const fullPlan: StackPlan = {
  models,
  rounds: 6,
  prefill: [512, 64],
  decode: { depth: 64, tokens: 128 },
  overhead: { tokens: 300, longAnswers: 4 },
  cancellations: 200,
  patienceMs: 120_000,
};

export const quickPlan: StackPlan = {
  models,
  rounds: 2,
  prefill: [256, 64],
  decode: { depth: 64, tokens: 64 },
  overhead: { tokens: 100, longAnswers: 1 },
  cancellations: 40,
  patienceMs: 10_000,
};
