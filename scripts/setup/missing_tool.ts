/**
 * Something that is not on this machine and cannot be put there by the set-up: a browser without the right to
 * install one, a compiler for another system, a download the network refuses. `npm test` skips what needs it and
 * prints the message, unless skips are forbidden.
 */
export class MissingTool extends Error {
  override readonly name = "MissingTool";
}
