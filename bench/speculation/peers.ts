import { ensureLlamaTool } from "../../scripts/setup/llama_tools";
import { ensureNodeLlamaCpp } from "../../scripts/setup/node_llama_cpp";
import type { ChatMessage } from "../../src/shared/chat";
import type { BenchmarkContext } from "../benchmark";
import { LlamaServer } from "../peers/llama_server";
import { NodeLlamaCppProcess } from "../peers/node_llama_cpp_process";
import type { WorkerStart } from "../peers/node_llama_cpp_protocol";
import type { Conditions } from "../stack/contender";
import { serverKinds, type Setting } from "./llama_server_kinds";
import { fastestFor } from "./sweep";
import { promptOf, workloads, type Workload } from "./workloads";

/** A peer's process. */
export interface RunningPeer {
  /** Of an answer of so many tokens at most. */
  tokensPerSecond: (messages: ChatMessage[], most: number) => Promise<number>;
  close: () => Promise<void>;
}

export interface Peer {
  kind: string;
  start: () => Promise<RunningPeer>;
}

export interface PeerSpeeds {
  peer: Peer;
  /** Tokens a second of every answer, by workload; none of one for which a sweep found a faster setting. */
  speeds: Map<string, number[]>;
}

interface PeerOptions extends Pick<BenchmarkContext, "stops" | "log"> {
  conditions: Conditions;
  /** The model that may guess. */
  draftPath: string | undefined;
  answerTokens: number;
}

/** Tokens of an answer that a setting is tried with. */
const triedTokens = 96;

/**
 * Every way of guessing that peers have, each in a process of its own, once through all workloads: as it is by default, and
 * llama-server's kinds also with the setting that is the fastest for a workload.
 */
export async function surveyPeers(options: PeerOptions): Promise<PeerSpeeds[]> {
  const { conditions, draftPath, answerTokens, stops, log } = options;
  const program = await ensureLlamaTool("llama-server");
  const draft = draftPath === undefined ? undefined : { path: draftPath, threads: conditions.threads };
  const kinds = serverKinds(draft);
  const server = (setting: Setting) => llamaServer(program, setting, conditions, stops);
  const surveyed: PeerSpeeds[] = [];
  for (const peer of [...kinds.map(({ byDefault }) => server(byDefault)), ...(await nodeLlamaCpps(options))]) {
    log(peer.kind);
    surveyed.push({ peer, speeds: await survey(peer, workloads, answerTokens) });
  }
  for (const { others } of kinds) {
    for (const [peer, names] of await sweep(others.map(server), log)) {
      log(`${peer.kind}: ${names.join(", ")}`);
      const fastest = workloads.filter(({ name }) => names.includes(name));
      surveyed.push({ peer, speeds: await survey(peer, fastest, answerTokens) });
    }
  }
  return surveyed;
}

async function survey(peer: Peer, through: readonly Workload[], most: number): Promise<Map<string, number[]>> {
  const running = await start(peer);
  const speeds = new Map<string, number[]>();
  for (const { name, conversations } of through) {
    const answers: number[] = [];
    for (const messages of conversations) answers.push(await running.tokensPerSecond(messages, most));
    speeds.set(name, answers);
  }
  await running.close();
  return speeds;
}

/** By the beginning of one answer of each workload: a setting that suits the benchmark's own texts, in the peers' favour. */
async function sweep(settings: readonly Peer[], log: PeerOptions["log"]): Promise<Map<Peer, string[]>> {
  const tried = new Map<Peer, Map<string, number>>();
  const one = workloads.map((workload) => ({ ...workload, conversations: workload.conversations.slice(0, 1) }));
  for (const peer of settings) {
    log(`trying ${peer.kind}`);
    const speeds = await survey(peer, one, triedTokens);
    tried.set(peer, new Map([...speeds].map(([name, [speed = 0]]) => [name, speed])));
  }
  return fastestFor(tried);
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
  answerTokens: number,
  ours: (messages: ChatMessage[]) => Promise<number>,
): Promise<Duel> {
  const running = await start(peer);
  const speeds: Duel = { ours: [], theirs: [] };
  for (const [index, messages] of conversations.entries()) {
    const answer = { ours: () => ours(messages), theirs: () => running.tokensPerSecond(messages, answerTokens) };
    const order = index % 2 === 0 ? (["ours", "theirs"] as const) : (["theirs", "ours"] as const);
    for (const side of order) speeds[side].push(await answer[side]());
  }
  await running.close();
  return speeds;
}

/** Has touched its memory already. */
async function start(peer: Peer): Promise<RunningPeer> {
  const running = await peer.start();
  const messages: ChatMessage[] = [{ role: "user", content: "Explain in a few sentences how a hash table works." }];
  await running.tokensPerSecond(messages, triedTokens);
  return running;
}

function llamaServer(
  program: string,
  { name, options }: Setting,
  conditions: Conditions,
  stops: PeerOptions["stops"],
): Peer {
  return {
    kind: `llama-server, ${name}`,
    start: async () => {
      const server = await LlamaServer.start(program, conditions, stops, options);
      return {
        tokensPerSecond: async (messages, most) => (await server.answer(promptOf(messages), most)).tokensPerSecond,
        close: () => server.close(),
      };
    },
  };
}

/** Its predictors as they are by default. */
async function nodeLlamaCpps({ conditions, draftPath, stops }: PeerOptions): Promise<Peer[]> {
  const directory = await ensureNodeLlamaCpp();
  const predictors: NonNullable<WorkerStart["predictor"]>[] = [{ kind: "input lookup" }];
  if (draftPath !== undefined) predictors.push({ kind: "draft model", path: draftPath });
  return predictors.map((predictor) => ({
    kind: `node-llama-cpp, ${predictor.kind}`,
    start: async () => {
      const process = await NodeLlamaCppProcess.start({ directory, conditions, predictor }, stops);
      return {
        tokensPerSecond: async (messages, most) => {
          const { tokens, firstMs, lastMs } = await process.answer({ messages, maxTokens: most });
          return ((tokens - 1) / (lastMs - firstMs)) * 1000;
        },
        close: () => process.close(),
      };
    },
  }));
}
