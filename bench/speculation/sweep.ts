/** Of several settings that are tried, the one that is fastest for each workload. */

/** What one was tried with: how fast it was, by workload. */
export type Tried = ReadonlyMap<string, number>;

/** The settings that were fastest for anything, each with the workloads for which it was; of equal ones the first. */
export function fastestFor<Setting>(tried: ReadonlyMap<Setting, Tried>): Map<Setting, string[]> {
  const best = new Map<string, { setting: Setting; speed: number }>();
  for (const [setting, speeds] of tried) {
    for (const [workload, speed] of speeds) {
      const before = best.get(workload);
      if (before === undefined || speed > before.speed) best.set(workload, { setting, speed });
    }
  }
  const chosen = new Map<Setting, string[]>();
  for (const [workload, { setting }] of best) chosen.set(setting, [...(chosen.get(setting) ?? []), workload]);
  return chosen;
}
