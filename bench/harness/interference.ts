/**
 * Notices when other processes had the cores during a sample. ggml's threads wait for each other by spinning: one
 * preempted thread stalls the whole pass, so even a little foreign load can halve a figure and says nothing about the
 * code under test. Linux only; elsewhere every sample counts as undisturbed.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** Ticks of /proc/PID/stat: USER_HZ, 100 on every Linux platform Node runs on. */
const TICKS_PER_SECOND = 100;

/** A sample is kept when others used at most this share of the machine meanwhile. */
const TOLERATED_SHARE = 0.03;
const MAX_ATTEMPTS = 6;
const QUIET_POLL_MS = 500;

/** Ticks all processes used plus ticks the hypervisor took away, from the text of /proc/stat. */
export function busyTicks(stat: string): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(" ").map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return user + nice + system + irq + softirq + steal;
}

/** User and system ticks of one process, and of its reaped children, from the text of /proc/PID/stat. */
export function processTicks(stat: string): number {
  // The second field is the command in parentheses and may hold blanks and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}

export interface QuietSamplerOptions {
  /** Long-lived processes of this benchmark besides the calling one, whose load is not foreign. */
  processIds: () => readonly number[];
  /**
   * Time that may be spent in all on waiting for a quiet machine and on repeating samples, so that a run ends also on a
   * machine that never is. Once it is used up, samples are taken as they come and counted as disturbed where they were.
   */
  patienceMs: number;
  log: (text: string) => void;
}

/** Runs samples and repeats those that other processes disturbed. */
export class QuietSampler {
  /** Samples that stayed disturbed after every attempt. */
  disturbed = 0;
  private patienceMs: number;

  constructor(private readonly options: QuietSamplerOptions) {
    this.patienceMs = options.patienceMs;
  }

  async sample<T>(label: string, measure: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.waitForQuiet();
      const start = performance.now();
      const end = this.begin();
      const result = await measure();
      const share = end();
      if (share <= TOLERATED_SHARE) return result;
      this.options.log(`${label}: others used ${Math.round(share * 100)}% of the machine (attempt ${attempt})`);
      if (attempt === MAX_ATTEMPTS || this.patienceMs <= 0) {
        this.disturbed += 1;
        return result;
      }
      this.patienceMs -= performance.now() - start;
    }
  }

  /** Starts the clock; the returned function says which share of the machine others have used since. */
  private begin(): () => number {
    if (process.platform !== "linux") return () => 0;
    const foreign = (): number =>
      busyTicks(readFileSync("/proc/stat", "utf8")) -
      [process.pid, ...this.options.processIds()].reduce((sum, pid) => sum + ticksOf(pid), 0);
    const startTicks = foreign();
    const start = performance.now();
    return () => {
      const capacity = ((performance.now() - start) / 1000) * TICKS_PER_SECOND * cpus().length;
      return Math.max(0, foreign() - startTicks) / capacity;
    };
  }

  private async waitForQuiet(): Promise<void> {
    if (process.platform !== "linux") return;
    while (this.patienceMs > 0) {
      const start = performance.now();
      const end = this.begin();
      await sleep(QUIET_POLL_MS);
      // Twice as lenient as for samples: half a second holds only a hundred ticks, so this reading is coarse.
      if (end() <= 2 * TOLERATED_SHARE) return;
      this.patienceMs -= performance.now() - start;
    }
  }
}

function ticksOf(pid: number): number {
  try {
    return processTicks(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return 0;
  }
}
