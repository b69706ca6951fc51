import { createConnection } from "node:net";
import { call, connect } from "../../../src/engine/ipc/rpc";
import { EngineError } from "../../../src/shared/errors";
import type { Method, ParamsOf, ResultOf } from "../../../src/shared/protocol";

/** Requests on a connection of their own, without the client's introduction. */
export async function rawConnection(endpoint: string) {
  const socket = createConnection(endpoint);
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const connection = connect(socket);
  connection.listen();
  const died = () => new EngineError("ENGINE_DIED", "the connection ended");
  return {
    request: <M extends Method>(method: M, params: ParamsOf<M>): Promise<ResultOf<M>> =>
      call(connection, method, params, { died }),
    closed: new Promise<void>((resolve) => socket.once("close", resolve)),
    write: (text: string) => socket.write(text),
    destroy: () => socket.destroy(),
  };
}
