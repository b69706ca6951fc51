/** Uses the addon of a package and tells what it did. Runs in Node on the package's own system. */
import { readdirSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import type { NativeAddon, NativeEngine, NativeModel } from "../../src/engine/native/addon";
import { loadAddon, type LoadedAddon } from "../../src/engine/native/load_addon";
import { Quantiser } from "../../src/engine/quantise/quantiser";
import { workerRunner } from "../../src/engine/quantise/run_worker";
import { toEngineError } from "../../src/shared/errors";
import type { QuantiseProgress } from "../../src/shared/quantise";
import { loadedLibraries } from "../electron/loaded_libraries";
import { observe, probeInput } from "./observe";

export interface AddonProbeInput {
  /** Folder of the unpacked package. */
  extensionRoot: string;
  /** The small model. */
  model: string;
  /** The same one in a place whose path has more than 260 characters. */
  distantModel: string;
  /** A folder that is not there, for quantised models. */
  modelsDirectory: string;
  /** A symbolic link to it. */
  linkedModel: string;
  /** A copy of the plainest backend for the processor, alone in a folder, as that of an engine pack is. */
  distantBackend: string;
  /** Files that are none, by what is wrong with them. */
  badModels: Record<string, string>;
}

const texts = [
  "",
  "Hello world",
  "  def f(x):\n\treturn x\r\n",
  "äöü € ß",
  "👩‍👩‍👧 and 🏳️‍🌈",
  "你好，世界",
  "<|im_start|>",
  "nul\0byte",
];

/** What follows is so sure that the rounding of another compiler's kernels does not change it. */
const prompts = ["The capital of France is", "1 2 3 4 5 6 7 8", "def add(a, b):\n    return"];

/** An answer that does not end by itself. */
const endless = { maxTokens: 100_000, sampler: { grammar: 'root ::= " a"*' } };

const load = (engine: NativeEngine, path: string): Promise<NativeModel> =>
  engine.loadModel({ path, contextLength: 512, gpu: "off" }).then((model) => {
    if (!model) throw new Error("The load was cancelled by nobody.");
    return model;
  });

const tokensOf = (model: NativeModel, text: string): Promise<Int32Array> =>
  model.tokenize([{ text, special: false }], { addBos: false });

async function answer(model: NativeModel, prompt: string): Promise<{ text: string; tokens: number[] }> {
  // One thread, so that it does not depend on the number of cores.
  const session = await model.createSession({ contextLength: 256, threads: 1 });
  const tokens = await tokensOf(model, prompt);
  const result = await session.generate({ tokens, priority: "chat", maxTokens: 4 });
  await session.close();
  return { text: result.text, tokens: [...result.tokens] };
}

/** Of the small model, whose weights are of low precision already; cancelled as soon as there is something of it on disk. */
async function quantise(modelsDirectory: string, isCancelled: boolean): Promise<unknown> {
  const log = () => undefined;
  const quantiser = new Quantiser({
    modelsDirectory: () => modelsDirectory,
    catalogueFiles: [],
    runWorker: workerRunner({ script: join(extensionRoot, "dist", "quantise_worker.cjs"), extensionRoot, log }),
    log,
    threads: () => 1,
    unload: () => Promise.resolve(),
  });
  const controller = new AbortController();
  const options = {
    signal: controller.signal,
    onProgress: ({ fraction }: QuantiseProgress) => {
      if (isCancelled && fraction > 0) controller.abort();
    },
  };
  const params = { path, type: "Q4_0", lossAccepted: true, replace: true } as const;
  const outcome = await quantiser.quantise(params, options).then(
    ({ sizeBytes, meanKl }) => ({ sizeBytes, isCompared: meanKl !== null }),
    (thrown: unknown) => toEngineError(thrown).code,
  );
  return { outcome, files: readdirSync(modelsDirectory) };
}

const pipeOf = (name: string) => `\\\\.\\pipe\\nmos-${name}-${String(process.pid)}`;

/** A pipe of this process that is kept to its user, and what the user hears there then; null where there are no pipes. */
async function keptPipe(addon: NativeAddon): Promise<{ list: string; heard: string } | null> {
  if (process.platform !== "win32") return null;
  const name = pipeOf("kept");
  const server = createServer((socket) => {
    // Who changes the list has connected and gone.
    socket.on("error", () => undefined).end("served");
  });
  await new Promise<void>((listening) => server.listen(name, listening));
  try {
    const list = addon.keepPipeToUser({ name });
    let heard = "";
    // More of them than the system holds ready: new ones are made under the list.
    for (let connection = 1; connection <= 9; ++connection) {
      for await (const bytes of createConnection(name)) heard += String(bytes);
    }
    return { list, heard };
  } finally {
    server.close();
  }
}

const {
  extensionRoot,
  model: path,
  distantModel,
  linkedModel,
  modelsDirectory,
  distantBackend,
  badModels,
} = probeInput() as AddonProbeInput;
let loaded: LoadedAddon;
let engine: NativeEngine;
let model: NativeModel;
const bad = Object.fromEntries(Object.entries(badModels).map(([what, file]) => [what, () => load(engine, file)]));
void observe({
  "the addon": () => {
    loaded = loadAddon(extensionRoot);
    return Object.keys(loaded.addon).sort();
  },
  "the engine": () => {
    const { addon, libraryDirectory } = loaded;
    engine = new addon.Engine({ libraryDirectory, backends: "cpu" });
    return { version: engine.libraryVersion, devices: engine.devices().map(({ kind }) => kind) };
  },
  memory: () => {
    const { totalBytes, availableBytes, processBytes } = engine.memory();
    return { available: availableBytes > 0 && availableBytes <= totalBytes, process: processBytes > 2 ** 20 };
  },
  "the battery": () => typeof engine.savesEnergy(),
  "the model": async () => {
    model = await load(engine, path);
    return { samePath: model.info.path === path, description: model.info.description, layers: model.info.layers };
  },
  tokens: () => Promise.all(texts.map(async (text) => [...(await tokensOf(model, text))])),
  "text of the tokens": async () => {
    const back = await Promise.all(texts.map(async (text) => model.detokenize(await tokensOf(model, text))));
    return back.filter((text, index) => text !== texts[index]);
  },
  answers: () => Promise.all(prompts.map((prompt) => answer(model, prompt))),
  "a saved session": async () => {
    const [one, other] = await Promise.all([
      model.createSession({ contextLength: 256, threads: 1 }),
      model.createSession({ contextLength: 256, threads: 1 }),
    ]);
    const tokens = await tokensOf(model, prompts[0] ?? "");
    await one.prefill({ tokens, priority: "warm" });
    const snapshot = await one.save({ priority: "chat" });
    if (!snapshot) throw new Error("There is no snapshot of a session that holds a prompt.");
    await other.restore(snapshot, { priority: "chat" });
    const { reusedTokens, text } = await other.generate({ tokens, priority: "chat", maxTokens: 8 });
    return { promptTokens: tokens.length, reusedTokens, text };
  },
  "a cancelled answer": async () => {
    const session = await model.createSession({ contextLength: 256, threads: 1 });
    const cancellation = new loaded.addon.Cancellation();
    const tokens = await tokensOf(model, "Once");
    const { finish } = await session.generate({ ...endless, tokens, priority: "chat", cancellation }, () => {
      cancellation.cancel();
    });
    return finish;
  },
  "a cancelled load": () => {
    const cancellation = new loaded.addon.Cancellation();
    const loading = engine.loadModel({ path, contextLength: 512, gpu: "off", cancellation });
    cancellation.cancel();
    return loading;
  },
  ...bad,
  "a model with a long path": async () => {
    const distant = await load(engine, distantModel);
    return { samePath: distant.info.path === distantModel, ...(await answer(distant, prompts[0] ?? "")) };
  },
  "a cancelled quantisation": () => quantise(modelsDirectory, true),
  "a quantised model": () => quantise(modelsDirectory, false),
  "a model behind a link": async () => {
    const linked = await load(engine, linkedModel);
    return { samePath: linked.info.path === linkedModel, ...(await answer(linked, prompts[0] ?? "")) };
  },
  "every backend": async () => {
    const { addon, libraryDirectory } = loaded;
    const all = new addon.Engine({ libraryDirectory, backends: "all" });
    const devices = all.devices().map(({ kind }) => kind);
    await all.close();
    return devices;
  },
  libraries: () =>
    loadedLibraries().filter((library) => /nmos\.node$|(llama|ggml|msvcp140|vcruntime140)[\w.-]*$/i.test(library)),
  "a pack": async () => {
    const { addon, libraryDirectory } = loaded;
    const packs = [{ backend: distantBackend, libraries: [] }];
    const packed = new addon.Engine({ libraryDirectory, backends: "all", packs });
    const state = packed.backends().find(({ name }) => name === "distant");
    await packed.close();
    return { usable: state?.usable, reason: state?.reason };
  },
  "a kept pipe": () => keptPipe(loaded.addon),
  "a pipe that nobody has": () => loaded.addon.keepPipeToUser({ name: pipeOf("missing") }),
  "the end": () => engine.close(),
});
