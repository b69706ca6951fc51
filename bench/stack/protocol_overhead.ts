import { build } from "esbuild";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { machineNow } from "../harness/clock";
import type { Stops } from "../harness/stops";
import type { Conditions } from "./contender";
import { startEngine, type EngineUnderTest } from "./engine_under_test";
import { ask, countTokens } from "./nmos";
import { deliveryDelays, firstTokenAt, parseEvents, probeVariables, type ProbedGeneration } from "./probed_generation";
import { PromptSource } from "./prompts";

export interface ProtocolOverhead {
  /**
   * For single tokens, from the compute thread to the client's `onProgress`: the addon's thread hop, Node, JSON-RPC and
   * the socket, while the next pass keeps all cores busy.
   */
  wholeMs: number[];
  /** For every token of long answers, from the host's main thread to the client's `onProgress`: the socket's part. */
  socketMs: number[];
}

const promptTokens = 64;
const tokensOfShortAnswer = 2;
const tokensOfLongAnswer = 128;
const eventsWithinMs = 5_000;

/**
 * Measures what a token costs on its way, in a host of its own whose addon writes down when things happen.
 *
 * The compute thread reports durations, not moments, but they add up to the moment of the first token. So the same
 * prompt is asked again and again for two tokens: all but its last token is in the KV cache, which makes the first
 * token's pass one like any other of decoding, and the pass for the second one competes for the cores meanwhile.
 */
export async function measureOverhead(
  root: string,
  conditions: Conditions,
  stops: Stops,
  { tokens, longAnswers }: { tokens: number; longAnswers: number },
): Promise<ProtocolOverhead> {
  const scratch = mkdtempSync(join(tmpdir(), "nmos-bench-probe-"));
  const remove = stops.add(() => {
    rmSync(scratch, { recursive: true, force: true });
  });
  const probe = join(scratch, "addon_probe.cjs");
  const events = join(scratch, "events.jsonl");
  await build({
    entryPoints: [join(root, "bench", "stack", "addon_probe.ts")],
    outfile: probe,
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "warning",
  });
  const engine = await startEngine(root, conditions, stops, {
    NMOS_ADDON: probe,
    [probeVariables.addon]: join(root, "prebuilds", `${process.platform}-${process.arch}`, "nmos.node"),
    [probeVariables.events]: events,
  });
  try {
    const whole = await delaysOf(engine, conditions.modelPath, events, {
      maxTokens: tokensOfShortAnswer,
      answers: tokens + 1,
    });
    const long = await delaysOf(engine, conditions.modelPath, events, {
      maxTokens: tokensOfLongAnswer,
      answers: longAnswers,
    });
    return {
      // The very first answer computes its whole prompt. A token that is no whole character has no text of its own.
      wholeMs: whole.slice(1).flatMap(({ event, receivedAt }) => {
        const [first] = receivedAt;
        return first === undefined || receivedAt.length !== tokensOfShortAnswer ? [] : [first - firstTokenAt(event)];
      }),
      socketMs: long.flatMap(({ event, receivedAt }) => deliveryDelays(event.textsAt, receivedAt)),
    };
  } finally {
    await engine.close();
    await remove();
  }
}

interface ObservedAnswer {
  event: ProbedGeneration;
  /** When the client got each piece of text. */
  receivedAt: number[];
}

async function delaysOf(
  engine: EngineUnderTest,
  model: string,
  eventsFile: string,
  { maxTokens, answers }: { maxTokens: number; answers: number },
): Promise<ObservedAnswer[]> {
  const source = new PromptSource((conversation) => countTokens(engine, model, conversation));
  const { messages } = await source.next(promptTokens);
  const before = readEvents(eventsFile).length;
  const received: number[][] = [];
  for (let count = 0; count < answers; count++) {
    const receivedAt: number[] = [];
    await ask(engine, model, messages, maxTokens, {
      onText: () => {
        receivedAt.push(machineNow());
      },
    });
    received.push(receivedAt);
  }
  const written = await eventsAfter(eventsFile, before, answers);
  return written.map((event, index) => ({ event, receivedAt: received[index] ?? [] }));
}

/** The host writes an answer's event after the answer has left, so the last one may be still on its way. */
async function eventsAfter(file: string, before: number, count: number): Promise<ProbedGeneration[]> {
  const deadline = performance.now() + eventsWithinMs;
  for (;;) {
    const events = readEvents(file).slice(before);
    if (events.length === count) return events;
    if (performance.now() > deadline) throw new Error(`Expected ${count} probed generations, got ${events.length}.`);
    await sleep(20);
  }
}

function readEvents(file: string): ProbedGeneration[] {
  return existsSync(file) ? parseEvents(readFileSync(file, "utf8")) : [];
}
