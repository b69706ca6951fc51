/** Scenes of scenes.mjs that a process gets through; it says so and ends with status 0. */
export const survivedScenes = [
  "engines that nobody closes",
  "objects that nobody holds",
  "a result that nobody waits for",
  "an exit in the middle of a load",
  "an exit from a callback",
  "a worker that ends in the middle of an answer",
  "a worker that is left to itself",
];
