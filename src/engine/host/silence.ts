/**
 * How long an event loop has given no sign of life, in time that its watchdog was awake: a watchdog that slept with the
 * machine has heard nothing either.
 */
export class Silence {
  private silentMs = 0;
  private clients: readonly number[] = [];

  /** `isThere` says whether a process lives. */
  constructor(
    private readonly hungMs: number,
    private readonly isThere: (pid: number) => boolean,
  ) {}

  /** A sign of life, with the processes that were served then. */
  heard(clients: readonly number[]): void {
    this.silentMs = 0;
    this.clients = clients;
  }

  /** Counts time without a sign of life. True: it hangs and the last of those it served has gone. */
  pass(passedMs: number): boolean {
    this.silentMs += passedMs;
    return this.silentMs >= this.hungMs && !this.clients.some(this.isThere);
  }
}
