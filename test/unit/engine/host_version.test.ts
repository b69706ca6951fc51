import { expect, test } from "vitest";
import { version } from "../../../package.json";
import { DEFAULT_ENGINE_SETTINGS } from "../../../src/shared/engine_settings";
import { hostScene } from "./host_scene";

const { start, fixture } = hostScene();

/** A window of another version of NMOS that speaks the same protocol, with what it tells the user. */
function otherWindow(other: string) {
  const told: string[] = [];
  const onOtherVersion = (message: string) => told.push(message);
  return { client: fixture().client(DEFAULT_ENGINE_SETTINGS, { version: other, onOtherVersion }), told };
}

test("a host of another version ends for the only window there is, once", async () => {
  await start();
  const { client, told } = otherWindow("99.0.0");
  const { hostPid } = await client.request("engine/status", { startEngine: false });
  expect(hostPid).toBe(fixture().hostPid());
  const log = fixture().log();
  expect(log.match(/client test .* connected/g)).toHaveLength(2);
  expect(log.match(/ending: a client asked for it/g)).toHaveLength(1);
  expect(client.states.map(({ kind }) => kind)).toEqual(["starting", "starting", "running"]);
  // There is no host of that version here: the one that came instead is used, and that is told.
  expect(told).toHaveLength(1);
});

test.each([
  ["99.0.0", "99.0.0"],
  ["0.0.1", version],
])("with another window its host stays, and a window of %s says what to do", async (other, newer) => {
  const first = (await start()).client();
  const { hostPid } = await first.request("engine/status", { startEngine: false });
  const { client, told } = otherWindow(other);
  expect((await client.request("engine/status", { startEngine: false })).hostPid).toBe(hostPid);
  expect(told).toEqual([expect.stringContaining(`Reload all windows of VS Code, so that NMOS ${newer} runs.`)]);
  expect(fixture().log()).not.toContain("ending");
});

test("windows of one version say nothing", async () => {
  await start();
  const { client, told } = otherWindow(version);
  await client.request("engine/status", { startEngine: false });
  expect(
    fixture()
      .log()
      .match(/client test .* connected/g),
  ).toHaveLength(1);
  expect(told).toEqual([]);
});
