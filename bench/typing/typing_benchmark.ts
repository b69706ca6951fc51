/**
 * What NMOS does to typing: a real VS Code (the browser edition, in Chromium) with the packaged extension and a real model, into
 * which keys are typed with the gaps that people leave, in blocks of three kinds in turns: with ghost text, without, and with that of
 * an extension that computes nothing. Measured are the time from each key to the frame that shows it, and for how long NMOS has the
 * extension host without a break.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { packageExtension } from "../../scripts/package";
import e2e from "../../test/e2e/package.json";
import { Product } from "../../test/e2e/product";
import type { Workbench } from "../../test/e2e/workbench";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { limitRow, plainRow, singleRow, type Row } from "../harness/report";
import { interleave } from "../harness/rounds";
import { quantile } from "../harness/statistics";
import type { Block } from "./blocks";
import { difference } from "./difference";
import { HostProbe, longestStall, type HostRecord } from "./host_probe";
import { keystrokes } from "./keystrokes";
import { PaintProbe, type Painted } from "./paint_probe";
import { longFile, typedText } from "./typed_text";
import { writeControlExtension } from "./write_control_extension";

const model = "qwen2.5-coder-0.5b";
const fileName = "orders.py";
/** In the long file, some 100,000 characters. */
const functions = 400;
const keysOfBlock = 60;

/** What would type or choose by itself. */
const settings = {
  "editor.autoClosingBrackets": "never",
  "editor.autoClosingQuotes": "never",
  "editor.autoIndent": "none",
  "editor.quickSuggestions": false,
  "editor.suggestOnTriggerCharacters": false,
  "editor.wordBasedSuggestions": "off",
  // More ghost text than users see, and so more of what it costs.
  "nmos.completion.hideUnlikely": "off",
};

export const typingBenchmark: Benchmark = {
  name: "typing",
  summary:
    "keystroke to paint in a real VS Code with ghost text on and off, and how long NMOS blocks the extension host",
  run: runTyping,
};

/** `control`: ghost text of an extension that knows what is going to be typed. */
type Mode = "on" | "off" | "control";
const modes = ["on", "off", "control"] as const;

interface BlockOfKeys extends Painted, HostRecord {
  seconds: number;
}

async function runTyping({ quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  await ensureModel(model);
  await packageExtension();
  const file = longFile(functions);
  const scratch = mkdtempSync(join(tmpdir(), "nmos-typing-"));
  const control = join(scratch, "control.vsix");
  await writeControlExtension(control);
  const product = await Product.start({ files: { [fileName]: file.text }, settings, otherExtensions: [control] });
  rmSync(scratch, { recursive: true });
  const stop = stops.add(() => product.stop());
  const window = await product.openWindow();
  const session = await Session.begin(product, window, file.line);
  // The first block of each kind warms up what is compiled and computed for the first time.
  for (const mode of modes) await session.block(mode);
  const blocks = await interleave([...modes], quick ? 3 : 10, async (mode, round) => {
    const block = await session.block(mode);
    log(`block ${String(round + 1)}, ${mode}: ghost text on the screen at ${String(block.overGhostText)} keys`);
    return block;
  });
  session.end();
  await stop();
  const [on = [], off = [], withControl = []] = modes.map((mode) => blocks.get(mode));
  for (const shown of [on, withControl]) {
    if (!shown.some(({ overGhostText }) => overGhostText > 0)) throw new Error("expected ghost text, got none");
  }
  if (off.some(({ overGhostText }) => overGhostText > 0)) throw new Error("expected no ghost text, got some");
  return {
    rows: [
      ...keyRows(on, "NMOS"),
      ...keyRows(withControl, "the extension that computes nothing"),
      ...paintRows(on, off, "ghost text off"),
      ...paintRows(on, withControl, "ghost text that nothing computes"),
      ...stallRows(on, off),
      ...ownRows(on, log),
    ],
    versions: { "llama.cpp": pins.llamaCpp.version, "code-server": e2e.dependencies["code-server"] },
  };
}

/** A window with the long file open, in which block after block is typed. */
class Session {
  private typed = 0;

  private constructor(
    private readonly window: Workbench,
    private readonly paint: PaintProbe,
    private readonly host: HostProbe,
  ) {}

  static async begin(product: Product, window: Workbench, line: number): Promise<Session> {
    await window.statusBarItem("NMOS").first().waitFor();
    await window.openFile(fileName);
    await window.press("Control+G");
    await window.answer(`:${String(line)}`);
    await loadModel(window);
    await window.press("Escape", "Enter", "Home");
    const [host, ...others] = product.extensionHosts();
    if (host === undefined || others.length > 0) throw new Error("expected one extension host");
    return new Session(window, await PaintProbe.install(window.page), await HostProbe.install(host));
  }

  async block(mode: Mode): Promise<BlockOfKeys> {
    await this.switchTo(mode);
    const text = Array.from({ length: keysOfBlock }, (_, index) => typedText[(this.typed + index) % typedText.length]);
    await this.paint.take();
    await this.host.begin();
    const begin = performance.now();
    let next = begin;
    for (const { key, gap } of keystrokes(text.join(""), this.typed + 1)) {
      next += gap;
      await delay(Math.max(0, next - performance.now()));
      await this.window.press(key);
    }
    // What the last key leads to.
    await delay(500);
    const seconds = (performance.now() - begin) / 1000;
    this.typed += keysOfBlock;
    return { ...(await this.host.end()), ...(await this.paint.take()), seconds };
  }

  end(): void {
    this.host.close();
  }

  /** By the setting, as a user does; the engine stays as it is. */
  private async switchTo(mode: Mode): Promise<void> {
    const folder = join(this.window.folder, ".vscode");
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, "settings.json"),
      JSON.stringify({ "nmos.completion.enabled": mode === "on", "nmosControl.enabled": mode === "control" }),
    );
    await this.window.statusBarItem("NMOS: off").waitFor({ state: mode === "on" ? "detached" : "visible" });
    await delay(1000);
    // What another extension than NMOS shows stays until something happens in the editor.
    await this.window.press("Escape");
  }
}

/** Has a suggestion come for the first time. While the model is loaded there may be none, and VS Code does not ask again. */
async function loadModel(window: Workbench): Promise<void> {
  await window.type("def add(a, b):\n    return");
  for (let attempt = 1; ; attempt++) {
    await window.type(" ");
    try {
      await window.ghostText.first().waitFor({ timeout: 15_000 });
      return;
    } catch (thrown) {
      if (attempt === 10) throw thrown;
    }
    await window.press("Backspace");
  }
}

function keyRows(blocks: readonly BlockOfKeys[], whose: string): Row[] {
  const keys = blocks.reduce((sum, { painted }) => sum + painted.length, 0);
  const over = blocks.reduce((sum, { overGhostText }) => sum + overGhostText, 0);
  return [
    plainRow({ id: `keys typed with ghost text of ${whose}`, unit: "", value: keys }),
    plainRow({ id: "of those while a suggestion was on the screen", unit: "", value: over }),
  ];
}

function paintRows(on: readonly BlockOfKeys[], others: readonly BlockOfKeys[], peer: string): Row[] {
  const pairs = on.map(({ painted }, index) => ({ withIt: painted, without: others[index]?.painted ?? [] }));
  return [0.5, 0.95, 0.99].flatMap((q) => {
    const name = `keystroke to paint, p${String(100 * q)}`;
    const { withIt, without, added, low, high } = difference(pairs, q);
    return [
      singleRow({ id: name, unit: "ms", peer, ours: withIt, theirs: without, better: "lower", target: null }),
      plainRow({ id: `${name}: more than with ${peer}`, unit: "ms", value: added }),
      plainRow({ id: `${name}: more at least, with 95 % confidence`, unit: "ms", value: low }),
      plainRow({ id: `${name}: more at most, with 95 % confidence`, unit: "ms", value: high }),
    ];
  });
}

/** Other extensions, and processes that take the cores, make the event loop wait, too. */
function stallRows(on: readonly BlockOfKeys[], off: readonly BlockOfKeys[]): Row[] {
  const perMinute = (blocks: readonly BlockOfKeys[]): number =>
    (60 * blocks.flatMap(({ stalls }) => stalls).length) / blocks.reduce((sum, { seconds }) => sum + seconds, 0);
  const longest = (blocks: readonly BlockOfKeys[]): number => Math.max(0, ...blocks.flatMap(({ stalls }) => stalls));
  const compared = { peer: "ghost text off", better: "lower", target: null } as const;
  const over = `the extension host's event loop waits for more than ${longestStall} ms, whoever is the reason`;
  return [
    singleRow({ id: over, unit: "times a minute", ours: perMinute(on), theirs: perMinute(off), ...compared }),
    singleRow({ id: "its longest wait", unit: "ms", ours: longest(on), theirs: longest(off), ...compared }),
  ];
}

function ownRows(on: readonly BlockOfKeys[], log: (line: string) => void): Row[] {
  const blocks = on.flatMap((block) => block.blocks);
  if (blocks.length === 0) throw new Error("expected the profiler to see NMOS in the extension host");
  const byLength = (a: Block, b: Block): number => b.milliseconds - a.milliseconds;
  for (const { milliseconds, running, place } of blocks.toSorted(byLength).slice(0, 5)) {
    const times = `${milliseconds.toFixed(1)} ms, running for ${running.toFixed(1)} ms`;
    log(`NMOS had the extension host for ${times}, most of it in ${place}`);
  }
  const running = Math.max(...blocks.map((block) => block.running));
  const times = blocks.map(({ milliseconds }) => milliseconds);
  const seconds = on.reduce((sum, block) => sum + block.seconds, 0);
  const busy = times.reduce((sum, time) => sum + time, 0);
  return [
    limitRow({
      id: "longest block of the extension host by NMOS",
      unit: "ms",
      value: Math.max(...times),
      limit: longestStall,
    }),
    plainRow({ id: "the same without times in which others had the processor", unit: "ms", value: running }),
    plainRow({ id: "block of the extension host by NMOS, p99", unit: "ms", value: quantile(times, 0.99) }),
    plainRow({
      id: `blocks by NMOS of more than ${longestStall} ms`,
      unit: "",
      value: times.filter((time) => time > longestStall).length,
    }),
    plainRow({ id: "time of the extension host that NMOS takes", unit: "%", value: busy / seconds / 10 }),
  ];
}
