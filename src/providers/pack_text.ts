import type { PackReport, PackState } from "../shared/packs";
import { formatBytes } from "./model_text";

/** What can be done about CUDA on this machine. */
export type PackOffer =
  | { kind: "none"; text: string }
  | { kind: "installed"; text: string }
  /** Nobody says where to download it from. */
  | { kind: "file only"; text: string; pack: PackState }
  | { kind: "download"; text: string; detail: string; pack: PackState };

const licence = "It contains NVIDIA's CUDA libraries under NVIDIA's end user licence.";

/** What the user is told who asks for CUDA. */
export function packOffer({ packs, suitable, reason }: PackReport): PackOffer {
  const pack = packs.find(({ id }) => id === suitable);
  if (!pack) return { kind: "none", text: `CUDA support is not for this machine. ${reason}` };
  if (pack.installed) return { kind: "installed", text: `CUDA support is installed. ${reason}` };
  if (!pack.downloadable) {
    const text = `This build of NMOS names no address to download ${pack.title} from: install it from a file, or set nmos.download.packMirror.`;
    return { kind: "file only", text, pack };
  }
  const text = `${changeOf(pack, packs)} (a download of ${formatBytes(pack.sizeBytes)})?`;
  const rest = pack.partialBytes > 0 ? ` ${formatBytes(pack.partialBytes)} are downloaded already.` : "";
  const detail = `${reason}${rest} It takes ${formatBytes(pack.unpackedBytes)} of disk. ${licence}`;
  return { kind: "download", text, detail, pack };
}

/** What installing a pack would change, as an order. */
export function changeOf(pack: PackState, packs: readonly PackState[]): string {
  const other = packs.find(({ id, installed }) => installed && id !== pack.id);
  if (other) return `Replace ${other.title} by ${pack.title}`;
  return `${pack.outdated ? "Update" : "Install"} CUDA support`;
}

/** The first offer, made without being asked; undefined when there is nothing to offer. */
export function firstOffer(report: PackReport, hasDeclined: boolean): string | undefined {
  const offer = packOffer(report);
  if (offer.kind !== "download") return undefined;
  const size = formatBytes(offer.pack.sizeBytes);
  if (offer.pack.outdated) return `This version of NMOS needs another CUDA support (a download of ${size}).`;
  // One for an older driver goes on to work when the driver is updated.
  if (hasDeclined || report.packs.some(({ installed }) => installed)) return undefined;
  const card = report.cards[0]?.name ?? "Your card";
  return `${card} can compute with CUDA instead of Vulkan (a download of ${size}).`;
}
