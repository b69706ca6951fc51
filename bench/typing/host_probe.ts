import { blocksOf, type Block, type CpuProfile } from "./blocks";
import { Inspector } from "./inspector";

/** What a window's extension host did during a block of keys. */
export interface HostRecord {
  /** Milliseconds for which its event loop did nothing that came in, where that was longer than `longestStall`. */
  stalls: number[];
  /** Of NMOS. */
  blocks: Block[];
}

/** Milliseconds. */
export const longestStall = 5;

/** Microseconds between two looks of the profiler. */
const samplingInterval = 250;

/** A timer that should come every millisecond. */
const timer = `(() => {
  const stalls = [];
  let last = performance.now();
  const tick = () => {
    const now = performance.now();
    if (now - last - 1 > ${longestStall}) stalls.push(now - last - 1);
    last = now;
    setTimeout(tick, 1);
  };
  tick();
  globalThis.nmosStalls = { take: () => stalls.splice(0) };
})()`;

const isOurs = (url: string): boolean => /\/nmos\.[^/]*\/dist\/extension\.cjs$/.test(url);

/** Watches an extension host from outside, with the inspector that every Node process has. */
export class HostProbe {
  private constructor(private readonly inspector: Inspector) {}

  static async install(processId: number): Promise<HostProbe> {
    const inspector = await Inspector.attach(processId);
    await inspector.evaluate(timer);
    await inspector.send("Profiler.enable");
    await inspector.send("Profiler.setSamplingInterval", { interval: samplingInterval });
    return new HostProbe(inspector);
  }

  async begin(): Promise<void> {
    await this.inspector.send("Profiler.start");
    await this.inspector.evaluate("globalThis.nmosStalls.take()");
  }

  async end(): Promise<HostRecord> {
    const stalls = (await this.inspector.evaluate("globalThis.nmosStalls.take()")) as number[];
    const { profile } = (await this.inspector.send("Profiler.stop")) as { profile: CpuProfile };
    return { stalls, blocks: blocksOf(profile, isOurs) };
  }

  close(): void {
    this.inspector.close();
  }
}
