import { existsSync, readFileSync } from "node:fs";
import { runProgram } from "../harness/run_program";
import type { Stops } from "../harness/stops";

/** Versions of the drivers of this machine's cards, by name; what nobody tells is left out. */
export async function driverVersions(stops: Stops): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  const kernelModule = "/sys/module/nvidia/version";
  if (existsSync(kernelModule)) versions["nvidia kernel module"] = readFileSync(kernelModule, "utf8").trim();
  const query = ["--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader"];
  const nvidia = await outputOf("nvidia-smi", query, stops);
  if (nvidia) versions["nvidia-smi"] = nvidia.split("\n").join("; ");
  const cuda = /CUDA Version:\s*([\d.]+)/.exec(await outputOf("nvidia-smi", [], stops))?.[1];
  if (cuda) versions["CUDA of the driver"] = cuda;
  const vulkan = await outputOf("vulkaninfo", ["--summary"], stops);
  const drivers = [...vulkan.matchAll(/^\s*(?:deviceName|driverInfo)\s*=\s*(.*)$/gm)].map(([, value = ""]) =>
    value.trim(),
  );
  if (drivers.length > 0) versions["Vulkan drivers"] = drivers.join("; ");
  return versions;
}

/** Empty where the program is not there or fails. */
async function outputOf(program: string, args: readonly string[], stops: Stops): Promise<string> {
  try {
    const { status, output } = await runProgram(program, args, stops);
    return status === 0 ? output.trim() : "";
  } catch {
    return "";
  }
}
