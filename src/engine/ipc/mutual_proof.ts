import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * How both ends of a new connection prove that they know the user's token without telling it: each sends a number used once,
 * and the MAC of both numbers under the token (mutual authentication as in ISO/IEC 9798-4). Whoever has taken the name of the
 * host's endpoint, or asks the host, learns nothing that helps with another connection.
 */
export type Side = "host" | "client";

export interface Nonces {
  host: string;
  client: string;
}

const nonceBytes = 32;
const nonceForm = /^[0-9a-f]{64}$/;

/** Hexadecimal digits, new for every connection. */
export function newNonce(): string {
  return randomBytes(nonceBytes).toString("hex");
}

export function isNonce(value: unknown): value is string {
  return typeof value === "string" && nonceForm.test(value);
}

/** HMAC-SHA256 in hexadecimal digits. It names its side, so that no side can be answered with its own proof. */
export function proofOf(side: Side, token: string, { host, client }: Nonces): string {
  return createHmac("sha256", token).update(`nmos engine ${side}\n${host}\n${client}`).digest("hex");
}

/** Whether what the other side sent, which may be anything, is its proof. */
export function isProof(given: unknown, side: Side, token: string, nonces: Nonces): boolean {
  if (!isNonce(nonces.host) || !isNonce(nonces.client) || typeof given !== "string") return false;
  const [bytes, expected] = [Buffer.from(given), Buffer.from(proofOf(side, token, nonces))];
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}
