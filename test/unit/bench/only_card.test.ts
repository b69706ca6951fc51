import { describe, expect, test } from "vitest";
import { onlyCard } from "../../../bench/gpu/only_card";

describe("one card alone is visible to ggml", () => {
  function check(what: string, device: string, env: NodeJS.ProcessEnv, expected: unknown): void {
    test(what, () => {
      expect(onlyCard(device, env)).toEqual(expected);
    });
  }
  check(
    "CUDA's second",
    "CUDA1",
    { HOME: "/h" },
    {
      env: { HOME: "/h", CUDA_VISIBLE_DEVICES: "1", GGML_VK_VISIBLE_DEVICES: "" },
      device: "CUDA0",
    },
  );
  check(
    "CUDA's second of those that were visible",
    "CUDA1",
    { CUDA_VISIBLE_DEVICES: "3,GPU-5e" },
    {
      env: { CUDA_VISIBLE_DEVICES: "GPU-5e", GGML_VK_VISIBLE_DEVICES: "" },
      device: "CUDA0",
    },
  );
  check(
    "Vulkan's second of those that were visible",
    "Vulkan1",
    { GGML_VK_VISIBLE_DEVICES: "0, 2" },
    {
      env: { GGML_VK_VISIBLE_DEVICES: "2" },
      device: "Vulkan0",
    },
  );
  const nobodyTells = { HOME: "/h" };
  check("not Vulkan's where nobody tells its number", "Vulkan1", nobodyTells, { env: nobodyTells, device: "Vulkan1" });
  check("not that of another backend", "Metal0", nobodyTells, { env: nobodyTells, device: "Metal0" });
});
