/** What Ctrl-C means at the moment: it stops the running request, or, when there is none, ends the program. */
export class Interruption {
  private running: AbortController | null = null;

  constructor() {
    process.on("SIGINT", () => {
      if (this.running) this.running.abort();
      else process.exit(130);
    });
  }

  /** Runs a request with a signal that Ctrl-C aborts. */
  async around<Result>(request: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    this.running = new AbortController();
    try {
      return await request(this.running.signal);
    } finally {
      this.running = null;
    }
  }
}
