import type { LoadedModel } from "../../shared/engine_status";
import type { NativeDevice } from "../native/addon";
import type { BackendTrial } from "../packs/backend_trial";
import { hasCardOf, hasComputed } from "./computed_on";

/** As the native engine names it. */
export const vulkanBackend = "vulkan";

/**
 * Whether the package's own backend for cards is loaded: not when the host has twice ended unexpectedly with it. One backend
 * is suspected at a time: Vulkan is on trial only where no pack is, or once that has proved itself.
 */
export class VulkanTrial {
  private isOpen = false;
  private isLeftOut = false;
  private hasCard = false;
  /** It has computed in this host: a card that is lost later says nothing against it. */
  private hasProved = false;

  constructor(private readonly trial: BackendTrial) {}

  /** For the native engine that is about to be made: whether Vulkan is kept from it. */
  leaveOut({ isSuspect }: { isSuspect: boolean }): boolean {
    this.isOpen = isSuspect && this.trial.begin();
    this.isLeftOut = isSuspect ? !this.isOpen : this.trial.hasFailed();
    return this.isLeftOut;
  }

  /** The native engine was made. Where nothing will compute over Vulkan, nothing more can come of it. */
  made(devices: readonly NativeDevice[], { isUsed }: { isUsed: boolean }): void {
    this.hasCard = isUsed && hasCardOf(devices, "Vulkan");
    if (!this.hasCard) this.end();
  }

  /** The pack has proved itself: what crashes from now on is a card of Vulkan's, if there is one. */
  suspect(): void {
    if (this.hasCard && !this.isLeftOut && !this.isOpen && !this.hasProved) this.isOpen = this.trial.begin();
  }

  /** To be called now and then: also while another backend is suspected, it may prove itself. */
  settle(models: readonly LoadedModel[]): void {
    if (this.hasProved || !hasComputed(models, "Vulkan")) return;
    this.hasProved = true;
    this.isOpen = false;
    this.trial.passed();
  }

  /** The engine ends in an orderly way: that says nothing against it. */
  end(): void {
    if (this.isOpen) this.trial.passed();
    this.isOpen = false;
  }

  /** The user has the engine started anew, maybe before this host has made one. What is tried now is not forgotten. */
  tryAgain(): void {
    if (!this.isOpen) this.trial.passed();
  }

  /** Why Vulkan is kept from the engine; null: it is not. */
  get refusal(): string | null {
    if (!this.isLeftOut) return null;
    return "the engine ended unexpectedly twice when it used it. Update the driver, then run NMOS: Restart Engine to have it tried again";
  }
}
