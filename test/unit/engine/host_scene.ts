import { afterEach, expect } from "vitest";
import { toEngineError, type ErrorCode } from "../../../src/shared/errors";
import { HostFixture } from "./host_fixture";

/** Of waiting for what processes do, in milliseconds: a limit for hangs, not for speed. */
export const patience = { timeout: 20_000, interval: 20 };

/** A user of its own for every test that calls `start`, with these variables of the environment; gone after the test. */
export function hostScene() {
  let current: HostFixture | null = null;
  afterEach(() => {
    current?.dispose();
    current = null;
  });
  return {
    start: async (environment?: Record<string, string>): Promise<HostFixture> =>
      (current = await HostFixture.create(environment)),
    /** That of the test that runs, once it has started. */
    fixture: (): HostFixture => current ?? expect.fail("the test has not started a fixture"),
  };
}

/** The code that a request fails with. */
export async function codeOf(asked: Promise<unknown>): Promise<ErrorCode | "none"> {
  return asked.then(
    () => "none" as const,
    (thrown: unknown) => toEngineError(thrown).code,
  );
}
