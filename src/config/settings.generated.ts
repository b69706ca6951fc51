// Generated from package.json by scripts/generate_settings.ts; change it there and run `npm run generate`.
import * as vscode from "vscode";
import { booleanMap, booleanValue, choiceValue, numberValue, stringList, stringValue } from "./setting_values";
import { remembered } from "./settings_memory";

export interface CompletionSettings {
  /** Suggest code as ghost text while you type. */
  enabled: boolean;
  /** Languages with ghost text, by language identifier. `*` stands for every language that is not listed. */
  languages: Record<string, boolean>;
  /** Model for ghost text: a name from the catalogue, the absolute path of a GGUF file, or `auto` for the one recommended for this machine if it is installed, else another installed one, else a GGUF file in the models folder. */
  model: string;
  /** Whether suggestions span several lines. */
  multiline: "auto" | "always" | "never";
  /** Longest suggestion, in tokens (a token is about four characters). Where the model writes slowly, no further line is begun after a second. */
  maxTokens: number;
  /** Milliseconds to wait after a keystroke at least before the model is asked. While you type faster than it answers, it waits for a pause by the rhythm of your typing. */
  debounce: number;
  /** Whether ghost text is hidden that is probably wrong, by how confident the model is and how often you accept suggestions. What you ask for with _Trigger Inline Suggestion_ is always shown. */
  hideUnlikely: "off" | "low" | "normal" | "high";
  /** Have the model for chat check ghost text in pauses while it is in memory: what it would write instead replaces the suggestion, once, before you have begun to accept it. Takes several times the computing of ghost text alone. */
  checkWithMainModel: boolean;
  /** How many short extracts from files you looked at lately go into the prompt. */
  recentFiles: number;
}

/** Reads `nmos.completion` as it holds for `scope`. */
export const readCompletionSettings = remembered((scope): Readonly<CompletionSettings> => {
  const configuration = vscode.workspace.getConfiguration("nmos", scope);
  return {
    enabled: booleanValue(configuration.get("completion.enabled"), true),
    languages: booleanMap(configuration.get("completion.languages"), { "*": true, plaintext: false, scminput: false }),
    model: stringValue(configuration.get("completion.model"), "auto"),
    multiline: choiceValue(configuration.get("completion.multiline"), ["auto", "always", "never"], "auto"),
    maxTokens: numberValue(configuration.get("completion.maxTokens"), 96, { minimum: 8, maximum: 512, integer: true }),
    debounce: numberValue(configuration.get("completion.debounce"), 20, { minimum: 0, maximum: 2000, integer: true }),
    hideUnlikely: choiceValue(configuration.get("completion.hideUnlikely"), ["off", "low", "normal", "high"], "normal"),
    checkWithMainModel: booleanValue(configuration.get("completion.checkWithMainModel"), false),
    recentFiles: numberValue(configuration.get("completion.recentFiles"), 4, {
      minimum: 0,
      maximum: 16,
      integer: true,
    }),
  };
});

export interface PrivacySettings {
  /** Files (glob patterns) that never go into a prompt. A workspace can add patterns to those of your user settings, not take them away. */
  exclude: string[];
}

/** Reads `nmos.privacy` as it holds for `scope`. */
export const readPrivacySettings = remembered((scope): Readonly<PrivacySettings> => {
  const configuration = vscode.workspace.getConfiguration("nmos", scope);
  return {
    exclude: stringList(configuration.get("privacy.exclude"), [
      "**/.env",
      "**/.env.*",
      "**/*.pem",
      "**/*.key",
      "**/*.p12",
      "**/*.pfx",
      "**/*.kdbx",
      "**/id_rsa*",
      "**/id_ecdsa*",
      "**/id_ed25519*",
      "**/.ssh/**",
      "**/.gnupg/**",
      "**/.aws/**",
      "**/.netrc",
      "**/.npmrc",
      "**/.pypirc",
      "**/secrets.*",
      "**/credentials*",
    ]),
  };
});

export interface ChatSettings {
  /** Model for chat and commands: a name from the catalogue, the absolute path of a GGUF file, or `auto` for the one recommended for this machine if it is installed, else another installed one, else a GGUF file in the models folder. */
  model: string;
  /** Instruction at the beginning of every chat. */
  systemPrompt: string;
  /** How much chance there is in answers: 0 always takes the likeliest word. */
  temperature: number;
  /** Longest answer, in tokens. */
  maxTokens: number;
}

/** Reads `nmos.chat` as it holds for `scope`. */
export const readChatSettings = remembered((scope): Readonly<ChatSettings> => {
  const configuration = vscode.workspace.getConfiguration("nmos", scope);
  return {
    model: stringValue(configuration.get("chat.model"), "auto"),
    systemPrompt: stringValue(
      configuration.get("chat.systemPrompt"),
      "You are a helpful programming assistant inside Visual Studio Code. Answer briefly and precisely. Use Markdown, and name the language of every code block.",
    ),
    temperature: numberValue(configuration.get("chat.temperature"), 0.2, { minimum: 0, maximum: 2, integer: false }),
    maxTokens: numberValue(configuration.get("chat.maxTokens"), 1024, { minimum: 16, maximum: 32768, integer: true }),
  };
});

export interface EngineSettings {
  /** Whether graphics cards are used. CUDA that was left out by `off` comes back with the next start of the engine (_NMOS: Restart Engine_). */
  gpu: "auto" | "off";
  /** Whether NVIDIA's cards compute with CUDA, which _NMOS: Install CUDA Support_ downloads. Holds from the next start of the engine on (_NMOS: Restart Engine_). */
  cuda: "auto" | "off";
  /** Largest amount of graphics memory to use, in MiB, of each card. 0: what is free, less a margin. */
  vramLimit: number;
  /** Processor threads to compute with. 0: one for each physical core. */
  threads: number;
  /** Context of the main model (chat and commands), in tokens. 0: 8192. It gets less when memory is short or the model was trained for less. */
  contextLength: number;
  /** Precision of the KV cache, the memory for the context, of every model. `q8_0` takes about half of it, at hardly any loss; `auto` chooses it where that makes a model faster that does not fit the card, or memory is short. */
  kvCacheType: "auto" | "f16" | "q8_0";
  /** Guess several tokens ahead, from the text at hand, from recent answers or with the model of ghost text, and check them in one pass where that is faster. Recent answers are remembered in RAM only, until the model is unloaded. */
  speculation: "auto" | "exact" | "off";
  /** Compute while you pause what a request will need next: the text around the cursor, the suggestion after the one on the screen, the conversation with the question you are writing, the code you have selected. At most a quarter of the time is spent on it. */
  computeAhead: "auto" | "always" | "off";
  /** Give most of the graphics memory of a model, that of its feed-forward networks, back to other programs after so many minutes without a request. The next request is served from RAM at once, more slowly, while the memory is filled again. 0: never. */
  idleReleaseMinutes: number;
  /** Give a model's memory back after so many minutes without a request. 0: never. */
  idleUnloadMinutes: number;
  /** Folder of downloaded models. Empty: a folder of NMOS in your user's application data. */
  modelsDirectory: string;
}

/** Reads `nmos.engine` as it holds for `scope`. */
export const readEngineSettings = remembered((scope): Readonly<EngineSettings> => {
  const configuration = vscode.workspace.getConfiguration("nmos", scope);
  return {
    gpu: choiceValue(configuration.get("engine.gpu"), ["auto", "off"], "auto"),
    cuda: choiceValue(configuration.get("engine.cuda"), ["auto", "off"], "auto"),
    vramLimit: numberValue(configuration.get("engine.vramLimit"), 0, { minimum: 0, integer: true }),
    threads: numberValue(configuration.get("engine.threads"), 0, { minimum: 0, maximum: 256, integer: true }),
    contextLength: numberValue(configuration.get("engine.contextLength"), 0, {
      minimum: 0,
      maximum: 1048576,
      integer: true,
    }),
    kvCacheType: choiceValue(configuration.get("engine.kvCacheType"), ["auto", "f16", "q8_0"], "auto"),
    speculation: choiceValue(configuration.get("engine.speculation"), ["auto", "exact", "off"], "auto"),
    computeAhead: choiceValue(configuration.get("engine.computeAhead"), ["auto", "always", "off"], "auto"),
    idleReleaseMinutes: numberValue(configuration.get("engine.idleReleaseMinutes"), 5, {
      minimum: 0,
      maximum: 1440,
      integer: true,
    }),
    idleUnloadMinutes: numberValue(configuration.get("engine.idleUnloadMinutes"), 15, {
      minimum: 0,
      maximum: 1440,
      integer: true,
    }),
    modelsDirectory: stringValue(configuration.get("engine.modelsDirectory"), ""),
  };
});

export interface DownloadSettings {
  /** Base address that replaces `https://huggingface.co` for model downloads, for example a mirror inside your company. Checksums are verified in any case. */
  mirror: string;
  /** Base address that replaces that of NMOS's releases for downloads of engine packs (CUDA), for example a mirror inside your company. Checksums are verified in any case. */
  packMirror: string;
}

/** Reads `nmos.download` as it holds for `scope`. */
export const readDownloadSettings = remembered((scope): Readonly<DownloadSettings> => {
  const configuration = vscode.workspace.getConfiguration("nmos", scope);
  return {
    mirror: stringValue(configuration.get("download.mirror"), ""),
    packMirror: stringValue(configuration.get("download.packMirror"), ""),
  };
});
