import type { DownloadProgress } from "../shared/download_progress";
import type { EngineStatus } from "../shared/engine_status";
import type { ModelState } from "../shared/models";

const units = ["B", "KB", "MB", "GB", "TB"];

/** `4.7 GB`, in powers of 1000 as disks and downloads are sold. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 99.5 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? "B"}`;
}

const roleNames = { fast: "ghost text", main: "chat" } as const;

/** One line under a model's name: size, purpose, licence. */
export function modelDetail(model: ModelState): string {
  const roles = model.roles.map((role) => roleNames[role]).join(" and ");
  return [formatBytes(model.sizeBytes), roles, model.license].filter((part) => part !== "").join(" · ");
}

/** Beside a model's name: where it stands on this machine. */
export function modelNote(model: ModelState): string {
  const notes = [];
  if (model.installed) notes.push("installed");
  else if (model.downloading) notes.push("downloading");
  else if (model.partialBytes > 0) notes.push(`${formatBytes(model.partialBytes)} downloaded`);
  if (model.recommendedFor.length > 0) {
    notes.push(`recommended for ${model.recommendedFor.map((role) => roleNames[role]).join(" and ")}`);
  }
  if (!model.fits) notes.push(`needs ${formatBytes(model.requiredBytes)} of memory`);
  return notes.join(", ");
}

/** Installed and recommended models first, those that do not fit last, else by size. */
export function byUsefulness(a: ModelState, b: ModelState): number {
  const rank = (model: ModelState): number =>
    (model.fits ? 0 : 4) + (model.installed ? 0 : 2) + (model.recommendedFor.length > 0 ? 0 : 1);
  return rank(a) - rank(b) || a.sizeBytes - b.sizeBytes;
}

/** What can be removed because it can be downloaded again. A file of the user's own goes by its path and is left alone. */
export function removable(models: readonly ModelState[]): ModelState[] {
  return models.filter(({ ref, path, installed, partialBytes }) => ref !== path && (installed || partialBytes > 0));
}

/** The model to begin with: ghost text first, as it is what works without being asked for. */
export function recommendedModel(models: readonly ModelState[]): ModelState | undefined {
  return (
    models.find((model) => model.recommendedFor.includes("fast")) ??
    models.find((model) => model.recommendedFor.includes("main"))
  );
}

/** The model that is being loaded and how much of it; undefined when none is. */
export function loadingText(status: EngineStatus | undefined): string | undefined {
  const loading = status?.loading[0];
  // A model that is no catalogue entry has its path for a name.
  return loading && `Loading ${loading.ref.split(/[\\/]/).at(-1)}, ${Math.floor(100 * loading.fraction)}%`;
}

/** What the download's notification says. */
export function progressMessage(progress: DownloadProgress): string {
  switch (progress.phase) {
    case "connecting":
      return "connecting";
    case "verifying":
      return "checking the file";
    case "unpacking":
      return "unpacking";
    case "waiting":
      return progress.message ?? "waiting for the network";
    case "copying":
      return `${progress.ref}: ${amountText(progress)}`;
    case "downloading":
      return amountText(progress);
  }
}

function amountText({ receivedBytes, totalBytes, bytesPerSecond }: DownloadProgress): string {
  const amount = `${formatBytes(receivedBytes)} of ${formatBytes(totalBytes)}`;
  if (bytesPerSecond <= 0) return amount;
  const seconds = (totalBytes - receivedBytes) / bytesPerSecond;
  return `${amount}, ${formatBytes(bytesPerSecond)}/s, ${formatDuration(seconds)} left`;
}

function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
