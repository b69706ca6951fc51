/** A promise that is resolved by a call. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Resolves when the work has ended or is cancelled. */
export async function endedOrCancelled(
  work: Promise<void>,
  cancellation: { readonly cancelled: boolean },
): Promise<void> {
  const state = { isOver: false };
  void work.then(() => (state.isOver = true));
  do await new Promise((resolve) => setImmediate(resolve));
  while (!state.isOver && !cancellation.cancelled);
}
