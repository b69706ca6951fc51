import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CtestResult, runCtest } from "./ctest";
import { installDebianPackages } from "./debian_packages";
import { MissingTool } from "./missing_tool";
import type { StepResult } from "./steps";

/** Errors that the validation layer reports of ggml's own code and that mean no harm. Any other one fails the tests. */
const harmless = [
  // ggml passes VkLayerSettingsCreateInfoEXT to every Vulkan; layers from before that extension do not know it.
  /\[ VUID-VkInstanceCreateInfo-pNext-pNext \]/,
  // For a product with experts ggml calls a shader once for each token, every time with the whole result as what it may write; each
  // call writes rows of its own.
  /\[ SYNC-HAZARD-[A-Z-]+ \].* vkCmdDispatch: .* VkPipeline \w+\[mul_mat_vec_id_/,
];

const manifests = ["/usr/share/vulkan", "/usr/local/share/vulkan", "/etc/vulkan"];

const layerSettings = Object.entries({
  debug_action: "VK_DBG_LAYER_ACTION_LOG_MSG",
  report_flags: "error,info",
  // Every test would begin a file anew.
  log_filename: "stdout",
  enables: "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
})
  .map(([name, value]) => `khronos_validation.${name} = ${value}\n`)
  .join("");

/**
 * Runs the core's tests over Vulkan, on Mesa's driver for the processor and with the Khronos validation layer, which
 * checks the use of Vulkan against its specification. Throws MissingTool where these are not and cannot be installed.
 */
export async function runVulkanTests(directory: string, model: string): Promise<StepResult> {
  const driver = await ensureDriver();
  const scratch = mkdtempSync(join(tmpdir(), "nmos-vulkan-"));
  const settings = join(scratch, "vk_layer_settings.txt");
  writeFileSync(settings, layerSettings);
  try {
    const env = {
      NMOS_TEST_CARD: "Vulkan",
      // ggml takes a processor for a graphics card only when told to.
      GGML_VK_VISIBLE_DEVICES: "0",
      // Names the shaders in what the layer says.
      GGML_VK_DEBUG_MARKERS: "1",
      VK_DRIVER_FILES: driver,
      VK_ICD_FILENAMES: driver, // The same for loaders before 1.3.207.
      VK_INSTANCE_LAYERS: "VK_LAYER_KHRONOS_validation",
      VK_LAYER_SETTINGS_PATH: settings,
    };
    const result = await runCtest(directory, model, { only: "over Vulkan", parallel: 1, verbose: true, env });
    checkReports(result);
    return result;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Throws when the layer reported an error, and also when it did not take part in every test. */
function checkReports({ output, passed, failed }: CtestResult): void {
  const watched = output.split("Khronos Validation Layer Active").length - 1;
  if (watched < passed + failed) {
    throw new Error(`Expected the Vulkan validation layer to watch ${passed + failed} tests, but it did ${watched}.`);
  }
  const errors = output
    .split("\n")
    .filter((line) => line.includes("Validation Error"))
    .filter((line) => !harmless.some((known) => known.test(line)));
  if (errors.length > 0) throw new Error(`The Vulkan validation layer reports:\n${errors.join("\n")}`);
}

/** The driver's manifest; the validation layer is there, too. */
async function ensureDriver(): Promise<string> {
  const found = findDriver();
  if (found !== undefined) return found;
  await installDebianPackages(["mesa-vulkan-drivers", "vulkan-validationlayers"], "the tests over Vulkan");
  const installed = findDriver();
  if (installed === undefined) {
    throw new MissingTool(`Mesa's Vulkan driver was installed, but no manifest of it is in ${manifests.join(", ")}`);
  }
  return installed;
}

function findDriver(): string | undefined {
  const find = (folder: string, name: RegExp): string | undefined =>
    manifests
      .map((root) => join(root, folder))
      .filter((path) => existsSync(path))
      .flatMap((path) => readdirSync(path).map((file) => join(path, file)))
      .find((path) => name.test(path));
  const layer = find("explicit_layer.d", /VkLayer_khronos_validation\.json$/);
  const driver = find("icd.d", /lvp_icd(\.x86_64)?\.json$/);
  return layer === undefined ? undefined : driver;
}
