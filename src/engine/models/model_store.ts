import type { Disposable } from "../../shared/disposable";
import type { DownloadProgress } from "../../shared/download_progress";
import type { ModelChoice, ModelRef, ModelRole, ModelState } from "../../shared/models";

/** A model whose file is on this machine and verified. */
export interface InstalledModel {
  ref: ModelRef;
  name: string;
  path: string;
  roles: ModelRole[];
  sizeBytes: number;
}

/** What the engine host asks of the models on disk. Fails with `MODEL_UNKNOWN`, `MODEL_NOT_INSTALLED` and the codes of downloads. */
export interface ModelStore {
  list(): Promise<ModelState[]>;
  /**
   * `auto` is the recommended model for the role when it is installed, else any installed one of the catalogue that serves
   * the role, else a GGUF file of the user's in the models folder; for ghost text one that can fill in the middle.
   */
  choose(choice: ModelChoice, role: ModelRole): Promise<InstalledModel>;
  /** Joins a download of the same model already under way; resolves with the path of the verified file. */
  download(
    ref: ModelRef,
    options: { signal?: AbortSignal; onProgress?: (progress: DownloadProgress) => void },
  ): Promise<string>;
  /** Stops the download for everyone and keeps the partial file. */
  pause(ref: ModelRef): Promise<void>;
  remove(ref: ModelRef): Promise<void>;
  /** Called after anything `list` reports has changed. */
  onChanged(handler: () => void): Disposable;
}
