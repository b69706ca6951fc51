import type { Placement } from "../shared/placement";

/** `CUDA0`, `CUDA0 and CUDA1`, `CUDA0, CUDA1 and Vulkan0`: the cards that hold a model, in the order of its layers. */
export function cardNames({ cards }: Pick<Placement, "cards">): string {
  const names = cards.map(({ device }) => device);
  const last = names.pop() ?? "";
  return names.length > 0 ? `${names.join(", ")} and ${last}` : last;
}
