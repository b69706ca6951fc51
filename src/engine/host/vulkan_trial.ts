import type { LoadedModel } from "../../shared/protocol";
import type { NativeDevice } from "../native/addon";
import type { BackendTrial } from "../packs/backend_trial";

/** As the native engine names it. */
export const vulkanBackend = "vulkan";

/** Devices of a backend by what their names begin with. */
export type DevicePrefix = "CUDA" | "Vulkan";

/** Whether a model has weights on a card of the backend, also where other cards have more of it. */
export function liesOn({ placement }: LoadedModel, prefix: DevicePrefix): boolean {
  return placement.cards.some(({ device, bytes }) => bytes > 0 && device.startsWith(prefix));
}

/** Whether a model has computed on a card of the backend. */
export function hasComputed(models: readonly LoadedModel[], prefix: DevicePrefix): boolean {
  return models.some((model) => model.activity.passes > 0 && liesOn(model, prefix));
}

/**
 * Whether the package's own backend for cards is loaded: not when the host has twice ended unexpectedly with it. One backend
 * is suspected at a time: Vulkan is on trial only where no pack is, or once that has proved itself.
 */
export class VulkanTrial {
  private isOpen = false;
  private isLeftOut = false;
  private hasCard = false;

  constructor(private readonly trial: BackendTrial) {}

  /** For the native engine that is about to be made: whether Vulkan is kept from it. */
  leaveOut({ isSuspect }: { isSuspect: boolean }): boolean {
    this.isOpen = isSuspect && this.trial.begin();
    this.isLeftOut = isSuspect ? !this.isOpen : this.trial.hasFailed();
    return this.isLeftOut;
  }

  /** The native engine was made. Where nothing will compute over Vulkan, nothing more can come of it. */
  made(devices: readonly NativeDevice[], { isUsed }: { isUsed: boolean }): void {
    this.hasCard = isUsed && devices.some(({ name }) => name.startsWith("Vulkan"));
    if (!this.hasCard) this.end();
  }

  /** The pack has proved itself: what crashes from now on is a card of Vulkan's, if there is one. */
  suspect(): void {
    if (this.hasCard && !this.isLeftOut && !this.isOpen) this.isOpen = this.trial.begin();
  }

  settle(models: readonly LoadedModel[]): void {
    if (this.isOpen && hasComputed(models, "Vulkan")) this.end();
  }

  /** The engine ends in an orderly way: that says nothing against it. */
  end(): void {
    if (this.isOpen) this.trial.passed();
    this.isOpen = false;
  }

  /** The user has the engine started anew. */
  tryAgain(): void {
    if (this.isLeftOut) this.trial.passed();
  }

  /** Why Vulkan is kept from the engine; null: it is not. */
  get refusal(): string | null {
    if (!this.isLeftOut) return null;
    return "the engine ended unexpectedly twice when it used it. Update the driver, then run NMOS: Restart Engine to have it tried again";
  }
}
