import { expect, it, vi } from "vitest";
import { firstAvailable } from "../../../scripts/fetch_model";
import { MissingTool } from "../../../scripts/setup/missing_tool";
import { EngineError } from "../../../src/shared/errors";

const noIndex = new MissingTool("pip is missing");
const damaged = new Error("the parts are damaged");
const offline = new EngineError("DOWNLOAD_FAILED", "no network");
const full = new EngineError("DISK_FULL", "no room");

type Outcome = Error | "installed";

const source = (outcome: Outcome) =>
  vi.fn(() => (outcome === "installed" ? Promise.resolve() : Promise.reject(outcome)));

it.each<[name: string, index: Outcome, hub: Outcome, ends: string, hubAsked: boolean]>([
  ["the index has it", "installed", offline, "installed", false],
  ["the index is not to be had", noIndex, "installed", "installed", true],
  ["neither is", noIndex, offline, "MissingTool: pip is missing; and from the model hub: no network", true],
  ["the hub's file does not fit", noIndex, full, "Error: pip is missing; and from the model hub: no room", true],
  ["the index has another file", damaged, "installed", "Error: the parts are damaged", false],
])("a model is fetched when %s", async (_, index, hub, ends, hubAsked) => {
  vi.spyOn(console, "log").mockReturnValue(undefined);
  const fromHub = source(hub);
  expect(await firstAvailable(source(index), fromHub).then(() => "installed", String)).toBe(ends);
  expect(fromHub.mock.calls.length > 0).toBe(hubAsked);
});
