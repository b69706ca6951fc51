/** Engine packs, and the cards that they are for. Sizes in bytes. */

/** A card of NVIDIA's as its driver tells it; null is what the driver does not tell. */
export interface NvidiaCard {
  name: string;
  /** Version of the driver, such as `591.44`. */
  driver: string;
  /** Compute capability, such as `7.5`. */
  capability: string | null;
  /** What CUDA calls it, such as `GPU-` and hexadecimal digits. */
  uuid: string | null;
  memoryBytes: number | null;
  freeBytes: number | null;
}

/** An engine pack, a backend that is not in the package, with its state on this machine. */
export interface PackState {
  /** Such as `cuda13`. */
  id: string;
  title: string;
  /** Of the download. */
  sizeBytes: number;
  /** Of disk when installed. */
  unpackedBytes: number;
  installed: boolean;
  /** There is one of another version of NMOS, which this engine cannot use. */
  outdated: boolean;
  /** Bytes of a download that was not finished, or not unpacked; 0 when there is none. */
  partialBytes: number;
  downloading: boolean;
  /** False when neither this build nor the settings name an address. */
  downloadable: boolean;
}

/** The packs for this platform and which of them suits the machine. */
export interface PackReport {
  cards: NvidiaCard[];
  packs: PackState[];
  /** Id of the pack for this machine; null: none. */
  suitable: string | null;
  /** Why that one, or why none; a sentence or two. */
  reason: string;
  /** None is for it now, but one would be with a newer driver. */
  needsDriver: boolean;
}

/** What came of installing or removing a pack. */
export interface PackInstalled {
  /** An engine is running that was made before: it has to start anew. */
  needsRestart: boolean;
}
