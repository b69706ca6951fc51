import type { LoadedModel } from "../../shared/engine_status";
import type { NativeDevice } from "../native/addon";

/** Cards of a backend by what their names begin with. */
export type DevicePrefix = "CUDA" | "Vulkan";

/** Whether a card of the backend is among the devices. */
export function hasCardOf(devices: readonly NativeDevice[], prefix: DevicePrefix): boolean {
  return devices.some(({ name }) => name.startsWith(prefix));
}

/** Whether a model has weights on a card of the backend, also where other cards have more of it. */
export function liesOn({ placement }: LoadedModel, prefix: DevicePrefix): boolean {
  return placement.cards.some(({ device, bytes }) => bytes > 0 && device.startsWith(prefix));
}

/** Whether a model has computed on a card of the backend. */
export function hasComputed(models: readonly LoadedModel[], prefix: DevicePrefix): boolean {
  return models.some((model) => model.activity.passes > 0 && liesOn(model, prefix));
}
