/**
 * The one error type that crosses NMOS's borders: native addon, engine host, extension, webview.
 *
 * `code` is stable and meant for programs; `message` is meant for people and says what was expected,
 * what came and what to do. Ordinary outcomes (a cancelled request, a cache miss) are return values.
 */
export const ERROR_CODES = [
  // Native core (native/core/runtime/engine_error.h lists the same codes).
  "MODEL_NOT_FOUND",
  "MODEL_INVALID",
  "MODEL_TRUNCATED",
  "MODEL_UNSUPPORTED",
  "CONTEXT_TOO_LONG",
  "OUT_OF_MEMORY",
  "INVALID_ARGUMENT",
  "SESSION_BUSY",
  "CLOSED",
  "BACKEND_UNAVAILABLE",
  "DEVICE_FAILED",
  "INTERNAL",
  // Engine host and its client.
  "CANCELLED",
  "ENGINE_DIED",
  "ENGINE_UNAVAILABLE",
  "PROTOCOL_MISMATCH",
  "UNAUTHORIZED",
  // Models and downloads.
  "MODEL_UNKNOWN",
  "MODEL_NOT_INSTALLED",
  "MODEL_IN_USE",
  "DOWNLOAD_FAILED",
  "CHECKSUM_MISMATCH",
  "DISK_FULL",
  "QUALITY_TOO_LOW",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export class EngineError extends Error {
  override readonly name = "EngineError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(value);
}

/** Turns anything thrown into an EngineError; unknown throwables become `INTERNAL`. */
export function toEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  if (thrown instanceof Error) {
    const code = (thrown as { code?: unknown }).code;
    return new EngineError(isErrorCode(code) ? code : "INTERNAL", thrown.message, { cause: thrown });
  }
  return new EngineError("INTERNAL", String(thrown));
}
