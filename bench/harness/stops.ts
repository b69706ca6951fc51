/** What has to end with a benchmark, also when it fails or is interrupted: processes, scratch folders. */
export class Stops {
  private readonly stops = new Set<() => void | Promise<void>>();

  /** Returns a function that does it now instead. */
  add(stop: () => void | Promise<void>): () => Promise<void> {
    this.stops.add(stop);
    return async () => {
      if (this.stops.delete(stop)) await stop();
    };
  }

  /** Does all that is left, the latest first; what fails does not keep the others from being done. */
  async run(): Promise<void> {
    const left = [...this.stops].reverse();
    this.stops.clear();
    for (const stop of left) {
      try {
        await stop();
      } catch (thrown) {
        console.error(thrown);
      }
    }
  }
}
