/** The two requests with which a connection begins: each end proves that it knows the user's token. */
import type { EngineSettings } from "./engine_settings";

export interface HelloParams {
  protocolVersion: number;
  /** 64 hexadecimal digits, new for every connection. */
  nonce: string;
}

export interface HelloResult {
  /** The host's own, as the client's. */
  nonce: string;
  /** That the host knows the token: a shared secret of this user, in a file only the user may read. */
  proof: string;
}

export interface InitializeParams {
  /** That the client knows the token, too. */
  proof: string;
  /** `pid`: of the process, without which a host that hangs is of no use. */
  client: { name: string; pid: number };
  /** What is not given stays as it is. */
  settings?: Partial<EngineSettings>;
}

export interface InitializeResult {
  protocolVersion: number;
  hostVersion: string;
  hostPid: number;
  logFile: string;
  /** Connected clients, this one included. */
  clients: number;
}
