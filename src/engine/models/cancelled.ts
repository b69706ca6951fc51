import { EngineError } from "../../shared/errors";

/** How a download ends that somebody stops. */
export function cancelledDownload(cause?: unknown): EngineError {
  return new EngineError("CANCELLED", "The download was paused; what is there is kept.", { cause });
}
