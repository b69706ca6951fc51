/** How ggml is made to see one card alone. */
const backends = { CUDA: "CUDA_VISIBLE_DEVICES", Vulkan: "GGML_VK_VISIBLE_DEVICES" } as const;

export interface OnlyCard {
  env: NodeJS.ProcessEnv;
  /** What ggml calls the card there. */
  device: string;
}

/**
 * The environment in which ggml sees no other card than `device`, such as `CUDA1`, which it names so in `env`. CUDA counts
 * the cards of its variable, or all; Vulkan's own numbers are not ggml's, so without its variable all its cards stay visible.
 */
export function onlyCard(device: string, env: NodeJS.ProcessEnv): OnlyCard {
  const [, backend = "", index = ""] = /^(CUDA|Vulkan)(\d+)$/.exec(device) ?? [];
  if (backend !== "CUDA" && backend !== "Vulkan") return { env, device };
  const variable = backends[backend];
  const listed = env[variable];
  const card = listed === undefined && backend === "CUDA" ? index : listed?.split(",")[Number(index)]?.trim();
  if (!card) return { env, device };
  // The same cards are Vulkan's, too.
  const others = backend === "CUDA" ? { [backends.Vulkan]: "" } : {};
  return { env: { ...env, ...others, [variable]: card }, device: `${backend}0` };
}
