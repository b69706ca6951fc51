import type { Socket } from "node:net";
import {
  AbstractMessageWriter,
  CancellationTokenSource,
  ErrorCodes,
  ProgressType,
  ResponseError,
  SocketMessageReader,
  createMessageConnection,
  type CancellationToken,
  type DataCallback,
  type Disposable,
  type Message,
  type MessageConnection,
  type MessageWriter,
} from "vscode-jsonrpc/node";
import { EngineError, isErrorCode, toEngineError } from "../../shared/errors";
import type { EngineNotifications, ErrorData, Method, ParamsOf, ProgressOf, ResultOf } from "../../shared/protocol";

/**
 * JSON-RPC with the types of the protocol, for both ends of a socket. Cancellation tokens of the library become
 * AbortSignals here, and errors become EngineErrors.
 */

/** JSON-RPC reserves this range for errors of the application; the real code travels in `data`. */
const applicationError = -32000;

const progressType = new ProgressType();

export interface HandlerContext<M extends Method> {
  signal: AbortSignal;
  /** Sends a streamed value; does nothing when the client asked for none. */
  progress: (value: ProgressOf<M>) => void;
}

export type Handler<M extends Method> = (params: ParamsOf<M>, context: HandlerContext<M>) => Promise<ResultOf<M>>;

export type Handlers = { [M in Method]: Handler<M> };

/**
 * Writes header and body of a message at once, which the library's own writer does in two system calls: with a message
 * for every token that is time the model could compute in. A write that fails means that the peer has gone, which the
 * close of the connection tells; the library rejects a failed write of a request to nobody, which would end this process.
 */
class PeerWriter extends AbstractMessageWriter implements MessageWriter {
  constructor(private readonly peer: Socket) {
    super();
  }

  write(message: Message): Promise<void> {
    const body = JSON.stringify(message);
    const frame = `Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`;
    return new Promise((resolve) => {
      this.peer.write(frame, (error) => {
        if (error) this.peer.destroy();
        resolve();
      });
    });
  }

  end(): void {
    this.peer.end();
  }
}

/**
 * Tells that the peer has gone only after everything it said before has been handled: the library handles one message in
 * every turn of the event loop, and drops what it has not handled when it learns of the end.
 */
class PeerReader extends SocketMessageReader {
  private unhandled = 0;
  private closed = false;

  override listen(callback: DataCallback): Disposable {
    return super.listen((message) => {
      callback(message);
      if (this.unhandled++ === 0) setImmediate(this.handled);
    });
  }

  protected override fireClose(): void {
    this.closed = true;
    if (this.unhandled === 0) super.fireClose();
  }

  /** Runs right behind the library's own turn. */
  private readonly handled = (): void => {
    this.unhandled -= 1;
    if (this.unhandled > 0) setImmediate(this.handled);
    else if (this.closed) super.fireClose();
  };
}

/** A connection that rejects its pending requests when the socket has closed. */
export function connect(socket: Socket): MessageConnection {
  const connection = createMessageConnection(new PeerReader(socket), new PeerWriter(socket));
  connection.onClose(() => {
    connection.dispose();
  });
  return connection;
}

/** Serves every method of the protocol on a connection. When it closes, what still runs for it is aborted. */
export function serve(connection: MessageConnection, handlers: Handlers): void {
  const running = new Set<AbortController>();
  connection.onClose(() => {
    for (const controller of running) controller.abort();
  });
  for (const method of Object.keys(handlers) as Method[]) {
    // Each handler takes what the client sends under its own method; the union of all of them takes nothing.
    serveMethod(connection, method, handlers[method] as Handler<Method>, running);
  }
}

function serveMethod<M extends Method>(
  connection: MessageConnection,
  method: M,
  handler: Handler<M>,
  running: Set<AbortController>,
): void {
  connection.onRequest(method, async (params: ParamsOf<M>, token: CancellationToken) => {
    const progressToken = (params as { progressToken?: string } | null)?.progressToken;
    const progress = (value: ProgressOf<M>) => {
      if (progressToken !== undefined) void tell(() => connection.sendProgress(progressType, progressToken, value));
    };
    const controller = new AbortController();
    running.add(controller);
    if (token.isCancellationRequested) controller.abort();
    token.onCancellationRequested(() => {
      controller.abort();
    });
    try {
      return await handler(params, { signal: controller.signal, progress });
    } catch (thrown) {
      const { code, message } = toEngineError(thrown);
      return new ResponseError<ErrorData>(applicationError, message, { code });
    } finally {
      running.delete(controller);
    }
  });
}

let lastProgressToken = 0;

/** Sends a request. Rejects with the host's EngineError, or with `died` when the connection ends first. */
export async function call<M extends Method>(
  connection: MessageConnection,
  method: M,
  params: ParamsOf<M>,
  options: {
    signal?: AbortSignal | undefined;
    onProgress?: ((value: ProgressOf<M>) => void) | undefined;
    died: () => EngineError;
  },
): Promise<ResultOf<M>> {
  const source = new CancellationTokenSource();
  const cancel = () => {
    source.cancel();
  };
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });
  const progressToken = options.onProgress && `${String(process.pid)}-${String(++lastProgressToken)}`;
  const progress =
    progressToken &&
    connection.onProgress(progressType, progressToken, (value) => options.onProgress?.(value as ProgressOf<M>));
  try {
    const sent = progressToken ? { ...params, progressToken } : params;
    return await connection.sendRequest<ResultOf<M>>(method, sent, source.token);
  } catch (thrown) {
    throw fromRpc(thrown, options.died);
  } finally {
    options.signal?.removeEventListener("abort", cancel);
    if (progress) progress.dispose();
    source.dispose();
  }
}

/** Resolves when the notification is on its way, or cannot be sent any more. */
export function notify<N extends keyof EngineNotifications>(
  connection: MessageConnection,
  notification: N,
  value: EngineNotifications[N],
): Promise<void> {
  return tell(() => connection.sendNotification(notification, value));
}

function fromRpc(thrown: unknown, died: () => EngineError): EngineError {
  if (!(thrown instanceof ResponseError)) return died();
  const code = (thrown.data as Partial<ErrorData> | undefined)?.code;
  if (isErrorCode(code)) return new EngineError(code, thrown.message);
  if (thrown.code === ErrorCodes.MethodNotFound) {
    return new EngineError(
      "PROTOCOL_MISMATCH",
      `The engine host is of another version: ${thrown.message}. Reload all windows so that they use the same version of NMOS.`,
    );
  }
  if (thrown.code === ErrorCodes.PendingResponseRejected || thrown.code === ErrorCodes.MessageWriteError) return died();
  return new EngineError("INTERNAL", thrown.message);
}

/** Sends what needs no answer. A peer that went away is noticed by the connection's close event and by nothing else. */
async function tell(send: () => Promise<void>): Promise<void> {
  try {
    await send();
  } catch {
    // Also when the library refuses a closed connection at once.
  }
}
