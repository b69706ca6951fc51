import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { dirname } from "node:path";
import type { Stops } from "../harness/stops";
import type { Conditions } from "../stack/contender";

/** The text around a cursor as llama.cpp's `/infill` takes it. */
export interface Infill {
  input_prefix: string;
  input_suffix: string;
  /** The cursor's line up to the cursor. */
  prompt: string;
  n_indent: number;
}

interface Completion {
  content: string;
  timings: { prompt_n: number; predicted_per_second: number };
}

export interface InfillResult {
  content: string;
  /** Prompt tokens that were computed. */
  computedTokens: number;
}

/** What llama.vscode asks for beside the text (2026-08), with a seed so that a run can be repeated. */
const asked = {
  input_extra: [],
  n_predict: 128,
  top_k: 40,
  top_p: 0.99,
  samplers: ["top_k", "top_p", "infill"],
  stream: false,
  cache_prompt: true,
  t_max_prompt_ms: 500,
  t_max_predict_ms: 2500,
  seed: 1,
} as const;

const patienceMs = 60_000;

/** llama.cpp's own server in a process of its own, started as llama.vscode documents it for ghost text. */
export class LlamaServer {
  static async start(
    program: string,
    conditions: Conditions,
    stops: Stops,
    further: readonly string[] = [],
  ): Promise<LlamaServer> {
    const { modelPath, threads, contextLength } = conditions;
    const port = await freePort();
    const options = {
      "-m": modelPath,
      "-t": threads,
      "-c": contextLength,
      "--port": port,
      "--cache-reuse": 256,
      "-np": 1,
    };
    const args = Object.entries(options).flatMap(([name, value]) => [name, String(value)]);
    // It looks for backends in its own folder and in the current one: let both be the one with the pinned ones.
    const child = spawn(program, [...args, "-dev", "none", "-ub", "1024", "-b", "1024", ...further], {
      cwd: dirname(program),
      stdio: ["ignore", "ignore", "pipe"],
    });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-4000);
    });
    const close = stops.add(() => {
      child.kill("SIGKILL");
    });
    const server = new LlamaServer(`http://127.0.0.1:${port}`, child.pid ?? 0, close);
    for (const end = performance.now() + patienceMs; !(await server.isReady());) {
      if (child.exitCode !== null || performance.now() > end) throw new Error(`llama-server did not start: ${errors}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return server;
  }

  private constructor(
    private readonly address: string,
    readonly processId: number,
    readonly close: () => Promise<void>,
  ) {}

  /** Without limits of time, as for a measurement of what it answers, when `unlimited`. */
  infill(text: Infill, { unlimited = false } = {}): Promise<InfillResult> {
    const limits = unlimited ? { t_max_prompt_ms: 0, t_max_predict_ms: 0 } : {};
    return this.ask("/infill", { ...asked, ...limits, ...text });
  }

  /** Greedily, one line. The prompt may have the model's own tokens. */
  complete(prompt: string): Promise<InfillResult> {
    return this.ask("/completion", { prompt, n_predict: 64, temperature: 0, stop: ["\n"], cache_prompt: false });
  }

  /** Greedily, several lines; the decoding alone is timed. */
  async answer(prompt: string, maxTokens: number): Promise<{ content: string; tokensPerSecond: number }> {
    const asked = { prompt, n_predict: maxTokens, temperature: 0, cache_prompt: false };
    const { content, timings } = await this.post("/completion", asked);
    return { content, tokensPerSecond: timings.predicted_per_second };
  }

  private async ask(path: string, body: object): Promise<InfillResult> {
    const { content, timings } = await this.post(path, body);
    return { content, computedTokens: timings.prompt_n };
  }

  private async post(path: string, body: object): Promise<Completion> {
    const response = await fetch(this.address + path, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`llama-server answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Completion;
  }

  private async isReady(): Promise<boolean> {
    return fetch(`${this.address}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === "object" && address ? address.port : 0);
      });
    });
  });
}
