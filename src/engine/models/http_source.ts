import type { Readable } from "node:stream";
import { EnvHttpProxyAgent, ProxyAgent, request, type Dispatcher } from "undici";
import { EngineError } from "../../shared/errors";

/** A failure that may pass: the download is tried again after a pause. */
export class TransientFailure extends Error {
  override readonly name = "TransientFailure";

  constructor(
    message: string,
    /** What the server asked to wait, if it did. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

export interface SourceRequest {
  url: string;
  /** Bytes that are on disk already; the rest is asked for. */
  from: number;
  /** Validator of those bytes: when the file has changed since, the server sends all of it. */
  etag: string | null;
  dispatcher: Dispatcher;
  /** Without a byte for so long the connection counts as dead. */
  stallTimeoutMs: number;
  signal: AbortSignal;
}

/** An answer that carries bytes of the file. */
export interface Source {
  /** Position of the first byte of `body`: `from`, or 0 when the server starts over. */
  start: number;
  totalBytes: number;
  etag: string | null;
  /** SHA-256 the hub publishes with a large file. */
  sha256: string | null;
  body: Readable;
}

const mostRedirects = 5;
const permanentStatus = new Set([400, 401, 403, 404, 410, 451]);

/** A dispatcher for the proxy of the setting, else for the one of the environment (HTTPS_PROXY, NO_PROXY). */
export function proxyDispatcher(proxy: string): Dispatcher {
  if (!proxy) return new EnvHttpProxyAgent();
  try {
    return new ProxyAgent(proxy);
  } catch {
    throw new EngineError("DOWNLOAD_FAILED", `Expected the proxy setting to be a URL, got ${JSON.stringify(proxy)}.`);
  }
}

/** Null: the server says that nothing follows `from`. Throws TransientFailure, or DOWNLOAD_FAILED for good. */
export async function openSource(asked: SourceRequest): Promise<Source | null> {
  let url = asked.url;
  let sha256: string | null = null;
  for (let redirects = 0; redirects <= mostRedirects; ++redirects) {
    const response = await send(url, asked);
    const { statusCode, headers, body } = response;
    sha256 ??= publishedChecksum(headers);
    if (statusCode === 200 || statusCode === 206) return bytesOf(response, asked, sha256);
    body.destroy();
    const location = text(headers["location"]);
    if (statusCode >= 300 && statusCode < 400 && location) {
      url = new URL(location, url).href;
      continue;
    }
    if (statusCode === 416) return null;
    throw refusal(statusCode, asked.url, text(headers["retry-after"]));
  }
  throw new EngineError("DOWNLOAD_FAILED", `${asked.url} redirects more than ${String(mostRedirects)} times.`);
}

async function send(url: string, { from, etag, dispatcher, stallTimeoutMs, signal }: SourceRequest) {
  const headers: Record<string, string> = { "user-agent": "nmos", "accept-encoding": "identity" };
  if (from > 0) headers["range"] = `bytes=${String(from)}-`;
  if (from > 0 && etag) headers["if-range"] = etag;
  try {
    return await request(url, {
      headers,
      dispatcher,
      signal,
      headersTimeout: stallTimeoutMs,
      bodyTimeout: stallTimeoutMs,
    });
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new TransientFailure(`${new URL(url).host} cannot be reached: ${reason(thrown)}`);
  }
}

function bytesOf(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  asked: SourceRequest,
  sha256: string | null,
): Source {
  const common = { etag: text(headers["etag"]), sha256, body };
  if (statusCode === 200)
    return { ...common, start: 0, totalBytes: Number(text(headers["content-length"]) ?? Number.NaN) };
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(text(headers["content-range"]) ?? "");
  const start = Number(range?.[1]);
  if (!range || start !== asked.from) {
    body.destroy();
    throw new TransientFailure(
      `the server was asked for the bytes from ${String(asked.from)} on and answered ${text(headers["content-range"]) ?? "without a range"}`,
    );
  }
  return { ...common, start, totalBytes: Number(range[2]) };
}

function refusal(status: number, url: string, retryAfter: string | null): Error {
  if (permanentStatus.has(status)) {
    return new EngineError(
      "DOWNLOAD_FAILED",
      `${url} answers ${String(status)}. Check the mirror setting (nmos.download.mirror), or download the file yourself and choose it by its path.`,
    );
  }
  const seconds = Number(retryAfter);
  return new TransientFailure(
    `the server answers ${String(status)}`,
    retryAfter !== null && Number.isFinite(seconds) ? seconds * 1000 : null,
  );
}

/** The hub names the SHA-256 of a large file in the first answer, before it redirects to the storage. */
function publishedChecksum(headers: Dispatcher.ResponseData["headers"]): string | null {
  const tag = text(headers["x-linked-etag"])?.replaceAll('"', "");
  return tag && /^[0-9a-f]{64}$/.test(tag) ? tag : null;
}

function text(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}

export function reason(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
}
