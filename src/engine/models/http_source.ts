import type { Readable } from "node:stream";
import { request, type Dispatcher } from "undici";
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
  /** Size of the whole file; null when the server does not tell. */
  totalBytes: number | null;
  etag: string | null;
  /** To be read to the end or destroyed. */
  body: Readable;
}

const mostRedirects = 5;
const redirects = new Set([301, 302, 303, 307, 308]);
const permanentStatus = new Set([400, 401, 403, 404, 405, 407, 410, 451]);

/**
 * Asks for the rest of a file (RFC 9110, section 14). Throws TransientFailure, DOWNLOAD_FAILED when trying again is of
 * no use, or the reason of the abort.
 */
export async function openSource(asked: SourceRequest): Promise<Source> {
  let url = httpAddress(asked.url, "is no address. Check the mirror setting (nmos.download)");
  for (let redirected = 0; redirected <= mostRedirects; ++redirected) {
    const response = await send(url, asked);
    const { statusCode, headers, body } = response;
    if (statusCode === 200 || statusCode === 206) return sourceOf(response, asked);
    // Read, so that the connection can serve the next request.
    await body.dump().catch(() => undefined);
    const location = text(headers["location"]);
    if (!redirects.has(statusCode) || location === null) {
      throw refusal(statusCode, asked.url, text(headers["retry-after"]));
    }
    url = httpAddress(location, `is no address to be redirected to by ${url}`, url);
  }
  throw new EngineError(
    "DOWNLOAD_FAILED",
    `${asked.url} redirects more than ${String(mostRedirects)} times. Check the mirror setting (nmos.download).`,
  );
}

async function send(url: string, { from, etag, dispatcher, stallTimeoutMs, signal }: SourceRequest) {
  const headers: Record<string, string> = { "user-agent": "nmos", "accept-encoding": "identity" };
  if (from > 0) headers["range"] = `bytes=${String(from)}-`;
  // RFC 9110, section 13.1.5: a weak validator must not be sent.
  if (from > 0 && etag && !etag.startsWith("W/")) headers["if-range"] = etag;
  const timeouts = { headersTimeout: stallTimeoutMs, bodyTimeout: stallTimeoutMs };
  try {
    return await request(url, { headers, dispatcher, signal, ...timeouts });
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new TransientFailure(`${new URL(url).host} cannot be reached: ${reason(thrown)}`);
  }
}

function sourceOf({ statusCode, headers, body }: Dispatcher.ResponseData, asked: SourceRequest): Source {
  const etag = text(headers["etag"]);
  if (statusCode === 200) return { start: 0, totalBytes: count(text(headers["content-length"])), etag, body };
  const answered = text(headers["content-range"]);
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answered ?? "");
  if (Number(range?.[1]) === asked.from && sameFile(asked.etag, etag)) {
    return { start: asked.from, totalBytes: count(range?.[2] ?? null), etag, body };
  }
  abandon(body);
  throw new WrongRange(
    sameFile(asked.etag, etag)
      ? `the server was asked for the bytes from ${String(asked.from)} on and sent ${answered ?? "no range"}`
      : "the file on the server has changed",
  );
}

/** The server's bytes do not continue those on disk, so the next try has to start from the beginning. */
export class WrongRange extends TransientFailure {}

/** Whether two validators may mean the same bytes; a server without validators is believed. */
function sameFile(known: string | null, now: string | null): boolean {
  return known === null || now === null || known === now;
}

function refusal(status: number, url: string, retryAfter: string | null): Error {
  if (status === 416) return new WrongRange("the server holds less than what was downloaded before");
  if (permanentStatus.has(status)) {
    return new EngineError(
      "DOWNLOAD_FAILED",
      `${url} answers ${String(status)}. Check the mirror and proxy settings (nmos.download, http.proxy), or download the file yourself and install it from there.`,
    );
  }
  return new TransientFailure(`the server answers ${String(status)}`, waitOf(retryAfter));
}

/** `Retry-After` is a number of seconds or a date. */
function waitOf(retryAfter: string | null): number | null {
  if (retryAfter === null) return null;
  const milliseconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : null;
}

/** Closes the connection of an answer nobody reads; the error that this raises on the stream is its own. */
export function abandon(body: Readable): void {
  body.on("error", () => undefined);
  body.destroy();
}

function httpAddress(address: string, otherwise: string, base?: string): string {
  const url = URL.canParse(address, base) ? new URL(address, base) : null;
  if (url && (url.protocol === "http:" || url.protocol === "https:")) return url.href;
  throw new EngineError("DOWNLOAD_FAILED", `${address} ${otherwise}.`);
}

function text(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}

function count(digits: string | null): number | null {
  return digits !== null && /^\d+$/.test(digits) ? Number(digits) : null;
}

/** What a person is told about something thrown; errors of sockets often carry only a code or a cause. */
export function reason(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return reason(thrown.errors[0]);
  return thrown.message || ((thrown as NodeJS.ErrnoException).code ?? thrown.name);
}
