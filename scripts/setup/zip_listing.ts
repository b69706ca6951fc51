import yauzl from "yauzl";

/** Paths of the files in a zip archive. */
export function listZip(path: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    yauzl.open(path, { lazyEntries: true }, (error, archive) => {
      if (error) {
        reject(error);
        return;
      }
      const files: string[] = [];
      archive.on("entry", ({ fileName }: yauzl.Entry) => {
        if (!fileName.endsWith("/")) files.push(fileName);
        archive.readEntry();
      });
      archive.on("end", () => {
        resolve(files);
      });
      archive.on("error", reject);
      archive.readEntry();
    });
  });
}
