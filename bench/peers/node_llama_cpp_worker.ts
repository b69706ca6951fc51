/**
 * The process in which node-llama-cpp is measured, through its lowest public level: a sequence that yields tokens, each
 * turned into text at once. What its chat session adds on top is left out, in its favour.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { ChatMessage } from "../../src/shared/chat";
import type { WorkerAnswer, WorkerReply, WorkerRequest, WorkerStart } from "./node_llama_cpp_protocol";

/** Opaque. */
interface TokenPredictor {
  readonly __predictor?: never;
}

/** The part of node-llama-cpp that is used; it is installed in the development cache, where its types are not seen. */
interface NodeLlamaCpp {
  getLlama: (options: {
    gpu: false;
    build: "never";
    logLevel: "error";
    progressLogs: false;
    maxThreads: number;
  }) => Promise<{
    loadModel(options: { modelPath: string; gpuLayers: number }): Promise<PeerModel>;
  }>;
  InputLookupTokenPredictor: new () => TokenPredictor;
  DraftSequenceTokenPredictor: new (sequence: PeerSequence) => TokenPredictor;
}

type Token = number;

interface PeerModel {
  tokenize(text: string, specialTokens: boolean): Token[];
  detokenize(tokens: Token[]): string;
  createContext(options: {
    contextSize: number;
    threads: { ideal: number; min: number };
    flashAttention: "auto";
  }): Promise<{ getSequence(options?: { tokenPredictor?: TokenPredictor }): PeerSequence }>;
}

interface PeerSequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: Token[], options: { temperature: number }): AsyncGenerator<Token>;
}

/** The chat format of the Qwen models that are measured. */
function chatText(messages: readonly ChatMessage[]): string {
  const turns = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return `${turns.join("")}<|im_start|>assistant\n`;
}

async function open({
  directory,
  conditions,
  predictor,
}: WorkerStart): Promise<(request: WorkerRequest) => Promise<WorkerAnswer>> {
  const entry = join(directory, "node_modules", "node-llama-cpp", "dist", "index.js");
  const peer = (await import(pathToFileURL(entry).href)) as NodeLlamaCpp;
  const { modelPath, threads, contextLength } = conditions;
  const llama = await peer.getLlama({
    gpu: false,
    build: "never",
    logLevel: "error",
    progressLogs: false,
    maxThreads: threads,
  });
  const openContext = async (path: string) => {
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const context = await model.createContext({
      contextSize: contextLength,
      threads: { ideal: threads, min: threads },
      flashAttention: "auto",
    });
    return { model, context };
  };
  const makePredictor = async (): Promise<{ tokenPredictor?: TokenPredictor }> => {
    if (!predictor) return {};
    if (predictor.kind === "input lookup") return { tokenPredictor: new peer.InputLookupTokenPredictor() };
    const { context } = await openContext(predictor.path);
    return { tokenPredictor: new peer.DraftSequenceTokenPredictor(context.getSequence()) };
  };
  const { model, context } = await openContext(modelPath);
  const sequence = context.getSequence(await makePredictor());
  return async ({ messages, maxTokens }) => {
    await sequence.clearHistory();
    const begin = performance.now();
    const prompt = model.tokenize(chatText(messages), true);
    const answer: WorkerAnswer = { promptTokens: prompt.length, tokens: 0, firstMs: 0, lastMs: 0 };
    for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
      model.detokenize([token]);
      answer.lastMs = performance.now() - begin;
      if (++answer.tokens === 1) answer.firstMs = answer.lastMs;
      if (answer.tokens === maxTokens) break;
    }
    return answer;
  };
}

function reply(message: WorkerReply): void {
  process.send?.(message);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { start: { type: "string", default: "{}" } } });
  const answer = await open(JSON.parse(values.start) as WorkerStart);
  process.on("message", (request: WorkerRequest) => {
    answer(request).then(
      (value) => {
        reply({ answer: value });
      },
      (thrown: unknown) => {
        reply({ error: String(thrown) });
      },
    );
  });
  reply({ ready: true });
}

// The benchmark that started this process has gone.
process.on("disconnect", () => process.exit(0));

main().catch((thrown: unknown) => {
  reply({ error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
  process.exitCode = 1;
});
