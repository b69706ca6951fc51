import { MissingTool } from "./missing_tool";

export interface StepResult {
  passed: number;
  failed: number;
  /** What could not be run here, and why. */
  skipped: string[];
}

export interface Step {
  name: string;
  run: () => Promise<StepResult>;
}

/** A step that either works or throws counts as one. */
export function single(name: string, run: () => Promise<unknown>): Step {
  return {
    name,
    run: async () => {
      await run();
      return { passed: 1, failed: 0, skipped: [] };
    },
  };
}

/** Steps that are set up for some systems only, each a `<platform>-<arch>`; on others they are left out, also in CI. */
export function only(systems: readonly string[], ...steps: Step[]): Step[] {
  const system = `${process.platform}-${process.arch}`;
  if (systems.includes(system)) return steps;
  const leftOut = (name: string) => () => {
    console.log(`left out: ${name} are set up for ${systems.join(" and ")}, this is ${system}`);
    return Promise.resolve({ passed: 0, failed: 0, skipped: [] });
  };
  return steps.map(({ name }) => ({ name, run: leftOut(name) }));
}

/** Runs the steps one after the other; a step that throws counts as one failure, a missing tool as a skip. */
export async function runSteps(steps: readonly Step[]): Promise<StepResult> {
  const total: StepResult = { passed: 0, failed: 0, skipped: [] };
  for (const step of steps) {
    console.log(`\n== ${step.name}`);
    const begin = Date.now();
    const result = await runStep(step);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped.push(...result.skipped.map((reason) => `${step.name}: ${reason}`));
    const seconds = ((Date.now() - begin) / 1000).toFixed(1);
    console.log(`== ${step.name}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`);
  }
  return total;
}

async function runStep(step: Step): Promise<StepResult> {
  try {
    return await step.run();
  } catch (thrown) {
    if (thrown instanceof MissingTool) {
      console.log(`skipped: ${thrown.message}`);
      return { passed: 0, failed: 0, skipped: [thrown.message] };
    }
    console.error(thrown);
    return { passed: 0, failed: 1, skipped: [] };
  }
}
