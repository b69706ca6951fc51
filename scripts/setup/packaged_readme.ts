/** What vsce ships under another name. */
const renamed = new Map([["LICENSE", "LICENSE.txt"]]);

/** A link of Markdown, but no picture, and its target. */
const markdownLink = /(?<!!)\[([^\]]*)\]\(([^)\s]+)\)/g;

/** An address of its own, or a place in the same document. */
const leadsAnywhere = /^(?:[a-z][a-z+.-]*:|#)/i;

/** Targets of links that only lead somewhere from the folder of the sources. */
export function relativeLinks(markdown: string): string[] {
  return [...markdown.matchAll(markdownLink)]
    .map(([, , target = ""]) => target)
    .filter((one) => !leadsAnywhere.test(one));
}

/**
 * The README as it is shipped while package.json names no repository whose address links could get: VS Code opens no relative
 * links on an extension's page, so what they lead to is named instead. `isShipped`: a file of the sources is in the package.
 */
export function packagedReadme(markdown: string, isShipped: (path: string) => boolean): string {
  return markdown.replace(markdownLink, (link: string, label: string, target: string) => {
    if (leadsAnywhere.test(target)) return link;
    const name = renamed.get(target) ?? target;
    const named = label === target ? `\`${name}\`` : `${label} (\`${name}\`)`;
    return `${named} in ${isShipped(target) ? "the extension's folder" : "the sources"}`;
  });
}
