/** Something that holds a resource until told to let go. Structurally equal to `vscode.Disposable`. */
export interface Disposable {
  dispose(): void;
}

/** Owns several disposables and disposes them in reverse order, once. */
export class DisposableStack implements Disposable {
  private items: Disposable[] = [];
  private disposed = false;

  /** Takes ownership of `item`; disposes it at once when the stack is already disposed. */
  add<T extends Disposable>(item: T): T {
    if (this.disposed) item.dispose();
    else this.items.push(item);
    return item;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const item of this.items.reverse()) item.dispose();
    this.items = [];
  }
}
