import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { downloadFile, type DownloadOptions, type FileProgress } from "../../../src/engine/models/downloader";
import type { DownloadTiming } from "../../../src/engine/models/retry";
import { toEngineError } from "../../../src/shared/errors";
import { startFileServer, type Behaviour } from "./file_server";
import { temporaryDirectories } from "./temporary_directory";

/** The file of the tests; many times as large as what a client loses when a connection breaks. */
export const bytes = randomBytes(1_000_000);
export const sha256 = sha256Hex(bytes);

export const timing: DownloadTiming = {
  stallTimeoutMs: 200,
  firstPauseMs: 1,
  longestPauseMs: 2,
  longestAskedPauseMs: 5,
  mostFailures: 4,
};

/** Nothing stalls with it but on purpose. */
export const patient: DownloadTiming = { ...timing, stallTimeoutMs: 20_000 };

const directory = temporaryDirectories();

export interface Outcome {
  /** `done`, or the code of the failure. */
  ends: string;
  message: string;
  /** First byte asked for by each request. */
  asked: number[];
  ifRange: (string | null)[];
  target: string;
  url: string;
  progress: FileProgress[];
}

/** Downloads the file of the tests once from a server that behaves as told. */
export async function download(script: readonly Behaviour[], changes: Partial<DownloadOptions> = {}): Promise<Outcome> {
  const { url: base, seen, close } = await startFileServer(script);
  const target = changes.target ?? join(directory(), "model.gguf");
  const url = changes.url ?? `${base}/model.gguf`;
  const progress: FileProgress[] = [];
  const options: DownloadOptions = {
    url,
    target,
    sha256,
    sizeBytes: bytes.length,
    proxy: "",
    noProxy: "",
    signal: new AbortController().signal,
    onProgress: (one) => progress.push(one),
    timing,
    ...changes,
  };
  const failure = await downloadFile(options).then(() => null, toEngineError);
  await close();
  return {
    ends: failure?.code ?? "done",
    message: failure?.message ?? "",
    asked: seen.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0])),
    ifRange: seen.map(({ ifRange }) => ifRange),
    target,
    url,
    progress,
  };
}

export function sha256Hex(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
