import { createConnection } from "node:net";
import { newNonce, type Nonces } from "../../../src/engine/ipc/mutual_proof";
import { call, connect } from "../../../src/engine/ipc/rpc";
import { EngineError } from "../../../src/shared/errors";
import { PROTOCOL_VERSION, type Method, type ParamsOf, type ResultOf } from "../../../src/shared/protocol";

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

type Request = Awaited<ReturnType<typeof rawConnection>>["request"];

/** The first half of the introduction. Resolves with the nonces of both sides and with what the host says proves it. */
export async function sayHello(request: Request): Promise<{ nonces: Nonces; hostProof: string }> {
  const client = newNonce();
  const { nonce: host, proof } = await request("hello", { protocolVersion: PROTOCOL_VERSION, nonce: client });
  return { nonces: { host, client }, hostProof: proof };
}
