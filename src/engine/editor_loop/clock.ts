/** Time, in milliseconds. */
export interface Clock {
  now(): number;
  /** Calls back once, not before so much time has passed by `now`; the function returned calls that off. */
  after(milliseconds: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, action) {
    const due = performance.now() + milliseconds;
    let timer: ReturnType<typeof setTimeout>;
    const wait = (): void => {
      // Timers count whole milliseconds and may end one too early.
      timer = setTimeout(
        () => {
          if (performance.now() < due) wait();
          else action();
        },
        Math.ceil(due - performance.now()),
      );
    };
    wait();
    return () => {
      clearTimeout(timer);
    };
  },
};
