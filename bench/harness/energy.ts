/**
 * What the processor's packages have used, as Linux tells through RAPL. Only where the machine is not a virtual one and the
 * counters may be read; elsewhere processor time has to stand in for it. Of the whole machine: others count, too.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Package {
  /** Microjoules since some time ago. */
  counter: string;
  /** What the counter begins again behind. */
  range: number;
  last: number;
}

export class EnergyMeter {
  private constructor(private readonly packages: Package[]) {}

  /** Null where there is none. */
  static find(directory = "/sys/class/powercap"): EnergyMeter | null {
    try {
      // Those with a second number are parts of a package.
      const names = existsSync(directory) ? readdirSync(directory).filter((name) => /^intel-rapl:\d+$/.test(name)) : [];
      const packages = names.map((name) => {
        const counter = join(directory, name, "energy_uj");
        return { counter, range: read(join(directory, name, "max_energy_range_uj")), last: read(counter) };
      });
      return packages.length > 0 ? new EnergyMeter(packages) : null;
    } catch {
      return null;
    }
  }

  /** Joules since the last call, or since it was found. */
  lap(): number {
    let sum = 0;
    for (const one of this.packages) {
      const now = read(one.counter);
      sum += now - one.last + (now < one.last ? one.range : 0);
      one.last = now;
    }
    return sum / 1e6;
  }
}

function read(file: string): number {
  const value = Number(readFileSync(file, "utf8"));
  if (!Number.isFinite(value)) throw new Error(`expected a number in ${file}`);
  return value;
}
