/** Something on the page that is made once and then shows one value after the other. */
export interface Part<T> {
  readonly root: HTMLElement;
  show(value: T): void;
}

/** As many parts as there are values. What has not changed is left alone, so that nothing flickers or loses its focus. */
export class Parts<T> {
  private readonly parts: Part<T>[] = [];

  constructor(
    readonly root: HTMLElement,
    private readonly make: () => Part<T>,
  ) {}

  show(values: readonly T[]): void {
    for (const part of this.parts.splice(values.length)) part.root.remove();
    for (const [index, value] of values.entries()) (this.parts[index] ?? this.add()).show(value);
  }

  private add(): Part<T> {
    const part = this.make();
    this.parts.push(part);
    this.root.append(part.root);
    return part;
  }
}

export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node: HTMLElement, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** The part of its row or column that the node takes, from 0 to 1. */
export function setShare(node: HTMLElement, share: number): void {
  const grow = String(share);
  if (node.style.flexGrow !== grow) node.style.flexGrow = grow;
  setHidden(node, share <= 0);
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}
