import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import { ensureNodeLlamaCpp } from "../../scripts/setup/node_llama_cpp";
import type { ChatMessage } from "../../src/shared/chat";
import type { BenchmarkContext } from "../benchmark";
import { LlamaServer } from "../peers/llama_server";
import { NodeLlamaCppProcess } from "../peers/node_llama_cpp_process";
import type { WorkerStart } from "../peers/node_llama_cpp_protocol";
import type { Conditions } from "../stack/contender";
import { promptOf, workloads, type Workload } from "./workloads";

/** A peer's process. */
export interface RunningPeer {
  tokensPerSecond: (messages: ChatMessage[]) => Promise<number>;
  close: () => Promise<void>;
}

export interface Peer {
  kind: string;
  start: () => Promise<RunningPeer>;
}

export interface PeerSpeeds {
  peer: Peer;
  /** Tokens a second of every answer, by workload. */
  speeds: Map<string, number[]>;
}

interface PeerOptions extends Pick<BenchmarkContext, "stops" | "log"> {
  conditions: Conditions;
  /** The model that may guess. */
  draftPath: string | undefined;
  answerTokens: number;
}

/** Every way of guessing that peers have, each in a process of its own, once through all workloads. */
export async function surveyPeers(options: PeerOptions): Promise<PeerSpeeds[]> {
  const surveyed: PeerSpeeds[] = [];
  for (const peer of [...(await llamaServers(options)), ...(await nodeLlamaCpps(options))]) {
    options.log(peer.kind);
    const running = await start(peer);
    const speeds = new Map<string, number[]>();
    for (const { name, conversations } of workloads) {
      const answers: number[] = [];
      for (const messages of conversations) answers.push(await running.tokensPerSecond(messages));
      speeds.set(name, answers);
    }
    await running.close();
    surveyed.push({ peer, speeds });
  }
  return surveyed;
}

export interface Duel {
  ours: number[];
  theirs: number[];
}

/**
 * Tokens a second of every answer to the conversations, ours and the peer's in alternation. Each is asked once of a peer that
 * has just started: llama-server remembers earlier answers, and would know those of a second round beforehand.
 */
export async function duel(
  peer: Peer,
  { conversations }: Workload,
  ours: (messages: ChatMessage[]) => Promise<number>,
): Promise<Duel> {
  const running = await start(peer);
  const speeds: Duel = { ours: [], theirs: [] };
  for (const [index, messages] of conversations.entries()) {
    const answer = { ours: () => ours(messages), theirs: () => running.tokensPerSecond(messages) };
    const order = index % 2 === 0 ? (["ours", "theirs"] as const) : (["theirs", "ours"] as const);
    for (const side of order) speeds[side].push(await answer[side]());
  }
  await running.close();
  return speeds;
}

/** Has touched its memory already. */
async function start(peer: Peer): Promise<RunningPeer> {
  const running = await peer.start();
  await running.tokensPerSecond([{ role: "user", content: "Explain in a few sentences how a hash table works." }]);
  return running;
}

/** llama.cpp's kinds as they are by default, drafts of a model also with other lengths. */
async function llamaServers({ conditions, draftPath, answerTokens, stops }: PeerOptions): Promise<Peer[]> {
  const program = await ensureLlamaTool("llama-server");
  const draft = (path: string, most: number) => [
    ...["--spec-type", "draft-simple", "--spec-draft-n-max", String(most), "-md", path],
    ...["--spec-draft-threads", String(conditions.threads), "-devd", "none"],
  ];
  const kinds: [kind: string, options: string[]][] = [
    ["no speculation", []],
    ["ngram-simple", ["--spec-type", "ngram-simple"]],
    ["ngram-simple, matches of 4, drafts of 8", ngramSimple(4, 8)],
    ["ngram-mod", ["--spec-type", "ngram-mod"]],
    ["ngram-map-k", ["--spec-type", "ngram-map-k"]],
  ];
  if (draftPath !== undefined) {
    kinds.push(
      ["draft-simple, 3 tokens (its default)", draft(draftPath, 3)],
      ["draft-simple, 1 token", draft(draftPath, 1)],
      ["draft-simple, 8 tokens", draft(draftPath, 8)],
    );
  }
  return kinds.map(([kind, options]) => ({
    kind: `llama-server, ${kind}`,
    start: async () => {
      const server = await LlamaServer.start(program, conditions, stops, options);
      return {
        tokensPerSecond: async (messages) => (await server.answer(promptOf(messages), answerTokens)).tokensPerSecond,
        close: () => server.close(),
      };
    },
  }));
}

function ngramSimple(match: number, length: number): string[] {
  const sizes = ["--spec-ngram-simple-size-n", String(match), "--spec-ngram-simple-size-m", String(length)];
  return ["--spec-type", "ngram-simple", ...sizes];
}

/** Its predictors as they are by default. */
async function nodeLlamaCpps({ conditions, draftPath, answerTokens, stops }: PeerOptions): Promise<Peer[]> {
  const directory = await ensureNodeLlamaCpp();
  const predictors: NonNullable<WorkerStart["predictor"]>[] = [{ kind: "input lookup" }];
  if (draftPath !== undefined) predictors.push({ kind: "draft model", path: draftPath });
  return predictors.map((predictor) => ({
    kind: `node-llama-cpp, ${predictor.kind}`,
    start: async () => {
      const process = await NodeLlamaCppProcess.start({ directory, conditions, predictor }, stops);
      return {
        tokensPerSecond: async (messages) => {
          const { tokens, firstMs, lastMs } = await process.answer({ messages, maxTokens: answerTokens });
          return ((tokens - 1) / (lastMs - firstMs)) * 1000;
        },
        close: () => process.close(),
      };
    },
  }));
}
