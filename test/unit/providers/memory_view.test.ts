import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient, EngineState } from "../../../src/engine/client/engine_client";
import type { EngineStatus } from "../../../src/shared/engine_status";
import { EngineError } from "../../../src/shared/errors";
import type { ToMemoryView } from "../../../src/shared/memory_messages";
import { engineStatus, loadedModel } from "../support/engine_status";
import { EventEmitter, Uri, commands, fake } from "./fake_vscode";

/** Stands in for the tab. */
class Panel {
  readonly closed = new EventEmitter<undefined>();
  readonly moved = new EventEmitter<undefined>();
  readonly messages = new EventEmitter<unknown>();
  readonly posted: ToMemoryView[] = [];
  readonly onDidDispose = this.closed.event;
  readonly onDidChangeViewState = this.moved.event;
  visible = true;
  revealed = 0;
  readonly webview = {
    html: "",
    cspSource: "https://source.example",
    asWebviewUri: ({ path }: Uri) => `https://source.example${path}`,
    onDidReceiveMessage: this.messages.event,
    postMessage: (message: ToMemoryView) => {
      this.posted.push(message);
      return Promise.resolve(true);
    },
  };

  constructor(readonly options: { localResourceRoots: Uri[] }) {}

  reveal(): void {
    this.revealed += 1;
  }
  see(visible: boolean): void {
    this.visible = visible;
    this.moved.fire(undefined);
  }
  dispose(): void {
    this.closed.fire(undefined);
  }
}

const opened = vi.hoisted(() => [] as unknown[]);

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  return {
    ...base,
    ViewColumn: { Active: -1 },
    window: {
      ...base.window,
      createWebviewPanel: (_: string, __: string, ___: number, options: { localResourceRoots: Uri[] }) => {
        const panel = new Panel(options);
        opened.push(panel);
        return panel;
      },
    },
  };
});

const { registerMemoryView } = await import("../../../src/providers/memory/memory_view");

/** The engine as the view sees it; keeps what it is asked. */
class Engine {
  readonly asked: boolean[] = [];
  readonly stateChanged = new EventEmitter<EngineState>();
  readonly statusChanged = new EventEmitter<EngineStatus>();
  readonly onStateChanged = this.stateChanged.event;
  state: EngineState = { kind: "stopped" };
  status = engineStatus();
  failure: EngineError | undefined;

  on(_: string, handler: (status: EngineStatus) => void): { dispose(): void } {
    return this.statusChanged.event(handler);
  }
  request(_: string, { startEngine }: { startEngine: boolean }): Promise<EngineStatus> {
    this.asked.push(startEngine);
    if (this.failure) return Promise.reject(this.failure);
    if (startEngine) this.become({ kind: "running", hostPid: 7 });
    return Promise.resolve(this.status);
  }
  become(state: EngineState): void {
    this.state = state;
    this.stateChanged.fire(state);
  }
  compute(passes: number): void {
    this.status = engineStatus({ models: [loadedModel({ activity: { passes } })] });
  }
}

let engine: Engine;
let registered: { dispose(): void };

beforeEach(() => {
  vi.useFakeTimers();
  fake.reset();
  opened.length = 0;
  engine = new Engine();
  const context: unknown = { extensionUri: Uri.file("/extension") };
  registered = registerMemoryView(
    context as Parameters<typeof registerMemoryView>[0],
    engine as unknown as EngineClient,
  );
});

afterEach(() => {
  registered.dispose();
  vi.useRealTimers();
});

async function show(): Promise<Panel> {
  await commands.executeCommand("nmos.showMemory");
  await vi.advanceTimersByTimeAsync(0);
  return opened.at(-1) as Panel;
}

/** How often the engine is asked within so many milliseconds. */
async function asksWithin(milliseconds: number): Promise<number> {
  const before = engine.asked.length;
  await vi.advanceTimersByTimeAsync(milliseconds);
  return engine.asked.length - before;
}

function latest({ posted }: Panel) {
  return posted.at(-1)?.picture ?? expect.fail("nothing was drawn");
}

describe("the panel", () => {
  test("runs its own script and loads nothing from anywhere else", async () => {
    const { webview, options } = await show();
    expect(webview.html).toContain("default-src 'none'");
    expect(webview.html).toContain('src="https://source.example/extension/dist/webview/memory.js"');
    expect(webview.html).toContain('href="https://source.example/extension/dist/webview/memory.css"');
    expect(options.localResourceRoots.map(({ path }) => path)).toEqual(["/extension/dist/webview"]);
  });

  test("is one, however often it is asked for", async () => {
    const panel = await show();
    await show();
    expect(opened).toHaveLength(1);
    expect(panel.revealed).toBe(1);
  });

  test("is a new one after it was closed", async () => {
    (await show()).dispose();
    const panel = await show();
    expect(opened).toHaveLength(2);
    expect(latest(panel).engine).toContain("process 7");
  });

  test("does not open when the engine does not start", async () => {
    engine.failure = new EngineError("ENGINE_UNAVAILABLE", "no engine");
    await commands.executeCommand("nmos.showMemory");
    expect(opened).toEqual([]);
    expect(fake.messages).toEqual(["Memory could not be shown: no engine"]);
  });

  test("gives the picture again to a page that comes up again", async () => {
    const panel = await show();
    const { length } = panel.posted;
    panel.messages.fire({ type: "other" });
    expect(panel.posted).toHaveLength(length);
    panel.messages.fire({ type: "ready" });
    expect(panel.posted.slice(-2)[0]).toEqual(panel.posted.at(-1));
    expect(panel.posted).toHaveLength(length + 1);
  });
});

describe("the engine is asked", () => {
  test("to start by the command alone", async () => {
    await show();
    await vi.advanceTimersByTimeAsync(2000);
    expect(engine.asked[0]).toBe(true);
    expect(engine.asked.slice(1)).not.toContain(true);
  });

  test("four times a second at first, once a second when nothing happens", async () => {
    await show();
    expect(await asksWithin(1000)).toBe(4);
    await vi.advanceTimersByTimeAsync(5000);
    expect(await asksWithin(5000)).toBe(5);
  });

  test("four times a second while it computes", async () => {
    await show();
    await vi.advanceTimersByTimeAsync(6000);
    for (let passes = 1; passes < 5; passes++) {
      engine.compute(passes);
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(await asksWithin(1000)).toBe(4);
  });

  test("not while nobody looks", async () => {
    const panel = await show();
    panel.see(false);
    expect(await asksWithin(5000)).toBe(0);
    panel.see(true);
    expect(await asksWithin(1000)).toBeGreaterThan(3);
  });

  test.each<[string, (panel: Panel) => void]>([
    [
      "the tab was closed",
      (panel) => {
        panel.dispose();
      },
    ],
    [
      "the extension has ended",
      () => {
        registered.dispose();
      },
    ],
    [
      "the engine has gone",
      () => {
        engine.become({ kind: "stopped" });
      },
    ],
  ])("no more when %s", async (_, end) => {
    end(await show());
    expect(await asksWithin(5000)).toBe(0);
  });

  test("again after a question that failed", async () => {
    await show();
    engine.failure = new EngineError("ENGINE_DIED", "gone");
    expect(await asksWithin(1000)).toBe(4);
    engine.failure = undefined;
    expect(await asksWithin(1000)).toBe(4);
  });
});

describe("the picture", () => {
  test("follows the passes", async () => {
    engine.compute(1);
    const panel = await show();
    engine.compute(2);
    await vi.advanceTimersByTimeAsync(250);
    expect(latest(panel).models[0]?.figures).toContainEqual({ label: "passes", value: "2" });
    expect(latest(panel).models[0]?.figures).toContainEqual({ label: "state", value: "computing" });
  });

  test("follows what the engine tells unasked", async () => {
    const panel = await show();
    engine.statusChanged.fire(engineStatus({ loading: [{ ref: "m", fraction: 0.5 }] }));
    expect(latest(panel).loading).toEqual([{ label: "Loading m", percent: 50 }]);
  });

  test("tells speeds over a time that is long enough", async () => {
    engine.compute(1);
    const panel = await show();
    await vi.advanceTimersByTimeAsync(250);
    const uploaded = loadedModel({ activity: { passes: 2, uploadedBytes: 100 * 2 ** 20 } });
    await vi.advanceTimersByTimeAsync(10);
    engine.statusChanged.fire(engineStatus({ models: [uploaded] }));
    const rate = latest(panel).models[0]?.figures.find(({ label }) => label.startsWith("uploaded to the card"));
    expect(rate?.value).toBe("100 MiB, 385 MiB/s");
  });

  test("says that the engine has gone, and comes back with it", async () => {
    const panel = await show();
    engine.become({ kind: "stopped" });
    expect(latest(panel).engine).toContain("not running");
    engine.become({ kind: "running", hostPid: 8 });
    await vi.advanceTimersByTimeAsync(0);
    expect(latest(panel).engine).toContain("Engine 0.1.0");
  });
});
