import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import type { EngineView } from "../../../src/providers/engine_view";
import type { ArchiveInstalled } from "../../../src/shared/archive";
import type { EngineStatus } from "../../../src/shared/engine_status";
import { EngineError } from "../../../src/shared/errors";
import { temporaryDirectories } from "../models/temporary_directory";
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

const directory = temporaryDirectories();

const { registerPackCommands } = await import("../../../src/providers/pack_commands");

/** What the engine says of an archive. */
const archive: ArchiveInstalled = { installed: [], present: [], left: [], update: null, needsRestart: false };

interface Machine {
  archive: ArchiveInstalled;
  report: ReturnType<typeof packReport>;
  status: EngineStatus;
  models: { downloading: boolean }[];
  needsRestart: boolean;
  failure?: EngineError;
}

/** Runs a command on a machine; resolves with what the engine was asked for and what the user was told. */
async function run(command: string, given: Partial<Machine>, ...choices: (string | undefined)[]) {
  const standard: Machine = { archive, report: packReport(), status: engineStatus(), models: [], needsRestart: false };
  const machine: Machine = { ...standard, ...given };
  const asked: string[] = [];
  const engine = {
    request: (method: string, params: { pack?: string; path?: string } | null) => {
      asked.push([method, params?.pack ?? params?.path ?? ""].join(" ").trim());
      if (method === "packs/list") return Promise.resolve(machine.report);
      if (method === "models/list") return Promise.resolve(machine.models);
      if (method === "engine/status") return Promise.resolve(machine.status);
      if (machine.failure) return Promise.reject(machine.failure);
      if (method === "archive/install") return Promise.resolve(machine.archive);
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
    ["downloads a model", { models: [{ downloading: false }, { downloading: true }] }],
    ["downloads a pack", { report: packReport({ downloading: true }) }],
    ["quantises a model", { status: engineStatus({ quantising: true }) }],
  ])("leaves one alone that %s for somebody else", async (_, busy) => {
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

  test("removes also what was downloaded and not installed", async () => {
    const report = packReport({ partialBytes: 5e8 });
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

describe("installing from an archive", () => {
  const cuda = { kind: "pack" as const, name: "CUDA 13" };
  const model = { kind: "model" as const, name: "Qwen2.5-Coder 7B" };
  const update = () => {
    const path = join(directory(), "nmos-0.2.0.vsix");
    writeFileSync(path, "vsix");
    return { version: "0.2.0", path };
  };
  const offer = "The archive holds a newer version of NMOS, 0.2.0. Install it?";

  test.each<[said: string, result: Partial<ArchiveInstalled>]>([
    ["Installed: CUDA 13, Qwen2.5-Coder 7B.", { installed: [cuda, model] }],
    ["Installed: Qwen2.5-Coder 7B. Already there: CUDA 13.", { installed: [model], present: [cuda] }],
    ["Not installed: CUDA 13 (there is no card).", { left: [{ ...cuda, reason: "there is no card." }] }],
    ["The archive holds nothing but this NMOS.", {}],
  ])("says: %s", async (said, result) => {
    answers.file = "/usb/A.ZIP";
    const { asked, told, executed } = await run("nmos.installFromFile", { archive: { ...archive, ...result } });
    expect(asked).toEqual(["archive/install /usb/A.ZIP"]);
    expect(told).toEqual([said]);
    expect(executed).toEqual(["nmos.installFromFile"]);
  });

  test("starts an idle engine anew for a pack", async () => {
    answers.file = "/usb/a.zip";
    const { asked } = await run("nmos.installFromFile", {
      archive: { ...archive, installed: [cuda], needsRestart: true },
    });
    expect(asked.at(-1)).toBe("end");
  });

  test("installs a newer NMOS when the user agrees, removes the copy and offers to reload", async () => {
    answers.file = "/usb/a.zip";
    const newer = update();
    const given = { archive: { ...archive, installed: [model], update: newer } };
    const { told, executed } = await run("nmos.installFromFile", given, "Install", "Reload Window");
    expect(told).toEqual([
      offer,
      "Installed: Qwen2.5-Coder 7B. NMOS 0.2.0 is installed, and runs when the windows are reloaded.",
    ]);
    expect(executed.slice(1)).toEqual(["workbench.extensions.installExtension", "workbench.action.reloadWindow"]);
    expect(existsSync(newer.path)).toBe(false);
  });

  test("leaves the NMOS that runs when the user does not agree, and removes the copy", async () => {
    answers.file = "/usb/a.zip";
    const newer = update();
    const { told, executed } = await run("nmos.installFromFile", { archive: { ...archive, update: newer } }, undefined);
    expect(told).toEqual([offer, "The archive holds nothing but NMOS 0.2.0."]);
    expect(executed).toEqual(["nmos.installFromFile"]);
    expect(existsSync(newer.path)).toBe(false);
  });

  test("tells when VS Code refuses the newer NMOS, and what else was installed", async () => {
    answers.file = "/usb/a.zip";
    const newer = update();
    const refusing = commands.registerCommand("workbench.extensions.installExtension", () => {
      throw new Error("needs a newer VS Code");
    });
    const given = { archive: { ...archive, installed: [model], update: newer } };
    const { told } = await run("nmos.installFromFile", given, "Install");
    refusing.dispose();
    expect(told).toEqual([
      offer,
      "NMOS 0.2.0 was not installed: needs a newer VS Code",
      "Installed: Qwen2.5-Coder 7B.",
    ]);
    expect(existsSync(newer.path)).toBe(false);
  });

  test("says nothing of one that the user has cancelled", async () => {
    answers.file = "/usb/a.zip";
    expect((await run("nmos.installFromFile", { failure: new EngineError("CANCELLED", "stopped") })).told).toEqual([]);
  });
});

test("what the driver compiles is announced once", async () => {
  const status = engineStatus({ preparing: "The driver compiles." });
  const { told } = await run("nmos.installFromFile", { status });
  expect(told).toEqual(["The driver compiles."]);
});
