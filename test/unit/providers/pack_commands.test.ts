import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EngineView } from "../../../src/providers/engine_view";
import type { EngineStatus } from "../../../src/shared/engine_status";
import { EngineError } from "../../../src/shared/errors";
import { engineStatus, loadedModel } from "../support/engine_status";
import { packReport } from "../support/pack_report";
import { commands, EventEmitter, fake } from "./fake_vscode";

/** Answers to messages, first to last; what was asked goes to `fake.messages`. */
const answers = vi.hoisted(() => ({ next: [] as (string | undefined)[], file: "" }));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const ask = (text: string) => {
    base.fake.messages.push(text);
    return Promise.resolve(answers.next.shift());
  };
  const messages = { showInformationMessage: ask, showWarningMessage: ask, showErrorMessage: ask };
  const showOpenDialog = () => Promise.resolve(answers.file === "" ? undefined : [{ fsPath: answers.file }]);
  return { ...base, window: { ...base.window, ...messages, showOpenDialog } };
});

const { registerPackCommands } = await import("../../../src/providers/pack_commands");

interface Machine {
  report: ReturnType<typeof packReport>;
  status: EngineStatus;
  models: { downloading: boolean }[];
  needsRestart: boolean;
  failure?: EngineError;
}

/** Runs a command on a machine; resolves with what the engine was asked for and what the user was told. */
async function run(command: string, given: Partial<Machine>, ...choices: (string | undefined)[]) {
  const machine: Machine = { report: packReport(), status: engineStatus(), models: [], needsRestart: false, ...given };
  const asked: string[] = [];
  const engine = {
    request: (method: string, params: { pack?: string; path?: string } | null) => {
      asked.push([method, params?.pack ?? params?.path ?? ""].join(" ").trim());
      if (method === "packs/list") return Promise.resolve(machine.report);
      if (method === "models/list") return Promise.resolve(machine.models);
      if (method === "engine/status") return Promise.resolve(machine.status);
      if (machine.failure) return Promise.reject(machine.failure);
      return Promise.resolve({ needsRestart: machine.needsRestart });
    },
    endHost: () => {
      asked.push("end");
      return Promise.resolve(true);
    },
  };
  answers.next = choices;
  const client: unknown = engine;
  const changed = new EventEmitter<undefined>();
  const view: unknown = { status: machine.status, onChanged: changed.event };
  const registered = registerPackCommands(client as EngineClient, view as EngineView);
  await commands.executeCommand(command);
  changed.fire(undefined);
  changed.fire(undefined);
  registered.dispose();
  return { asked: asked.slice(asked[0] === "packs/list" ? 1 : 0), told: fake.messages, executed: fake.executed };
}

beforeEach(() => {
  fake.reset();
  answers.file = "";
});

describe("installing CUDA support", () => {
  test("asks, installs what suits and says so", async () => {
    const { asked, told } = await run("nmos.installCuda", {}, "Install");
    expect(asked).toEqual(["packs/install cuda13"]);
    expect(told).toEqual(["Install CUDA support (a download of 516 MB)?", "CUDA support is installed."]);
  });

  test("does nothing without the user's word", async () => {
    expect((await run("nmos.installCuda", {}, undefined)).asked).toEqual([]);
  });

  test("starts an idle engine anew", async () => {
    const { asked, told } = await run("nmos.installCuda", { needsRestart: true }, "Install");
    expect(asked).toEqual(["packs/install cuda13", "engine/status", "packs/list", "models/list", "end"]);
    expect(told.at(-1)).toBe("CUDA support is installed.");
  });

  test("leaves one at work alone until the user says so", async () => {
    const status = engineStatus({ models: [loadedModel()] });
    const busy = { needsRestart: true, status };
    const waiting = await run("nmos.installCuda", busy, "Install", undefined);
    expect(waiting.asked).not.toContain("end");
    expect(waiting.told.at(-1)).toBe("CUDA support is installed. It holds when the engine starts anew.");
    expect(waiting.executed).not.toContain("nmos.restartEngine");
    expect((await run("nmos.installCuda", busy, "Install", "Restart Engine")).executed).toContain("nmos.restartEngine");
  });

  test.each<[what: string, busy: Partial<Machine>]>([
    ["a model", { models: [{ downloading: false }, { downloading: true }] }],
    ["a pack", { report: packReport({ downloading: true }) }],
  ])("leaves one alone that downloads %s for somebody else", async (_, busy) => {
    const { asked, told } = await run("nmos.installCuda", { needsRestart: true, ...busy }, "Install", undefined);
    expect(asked).not.toContain("end");
    expect(told.at(-1)).toBe("CUDA support is installed. It holds when the engine starts anew.");
  });

  test("says nothing of a download that the user has cancelled", async () => {
    const { told } = await run("nmos.installCuda", { failure: new EngineError("CANCELLED", "paused") }, "Install");
    expect(told).toHaveLength(1);
  });

  test("says why it failed", async () => {
    const failure = new EngineError("DISK_FULL", "There is no room.");
    const { told } = await run("nmos.installCuda", { failure }, "Install");
    expect(told.at(-1)).toBe("CUDA support was not installed: There is no room.");
  });

  test("offers a file where there is no address", async () => {
    answers.file = "/usb/nmos-cuda13-win32-x64.nmospack";
    const report = packReport({ downloadable: false });
    const { asked } = await run("nmos.installCuda", { report }, "Install from File");
    expect(asked).toEqual([`packs/installFile ${answers.file}`]);
  });
});

describe("removing CUDA support", () => {
  test("asks first", async () => {
    const report = packReport({ installed: true });
    expect((await run("nmos.removeCuda", { report }, undefined)).asked).toEqual([]);
    expect((await run("nmos.removeCuda", { report }, "Remove")).asked).toEqual(["packs/remove cuda13"]);
  });

  test("of which nothing is there", async () => {
    expect((await run("nmos.removeCuda", {})).told).toEqual(["CUDA support is not installed."]);
  });
});

describe("installing from a file", () => {
  test.each([
    ["/usb/a.nmospack", "packs/installFile", "CUDA support is installed."],
    ["/usb/A.GGUF", "models/installFile", "The model is installed."],
  ])("%s", async (file, method, said) => {
    answers.file = file;
    const { asked, told } = await run("nmos.installFromFile", {});
    expect(asked).toEqual([`${method} ${file}`]);
    expect(told).toEqual([said]);
  });

  test("that nobody chooses", async () => {
    expect((await run("nmos.installFromFile", {})).asked).toEqual([]);
  });
});

test("what the driver compiles is announced once", async () => {
  const status = engineStatus({ preparing: "The driver compiles." });
  const { told } = await run("nmos.installFromFile", { status });
  expect(told).toEqual(["The driver compiles."]);
});
