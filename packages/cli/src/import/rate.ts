/** How far an import is, how fast it goes and how long it will still take, in one line. Pure. */

const barWidth = 24;

/** `3 min 20 s`, rounded up. @param ms milliseconds */
export function spanText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Three digits are enough for a rate. */
export function rateText(perSecond: number): string {
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toPrecision(2);
}

export interface Advance {
  readonly done: number;
  readonly total: number;
  /** What `total` amounts to in repositories. */
  readonly repositories: number;
  readonly elapsedMs: number;
}

/** `[######------] 50 %, 100000 of 200000 entries, 190 repositories/s, 26 s left` */
export function advanceText({ done, total, repositories, elapsedMs }: Advance): string {
  const share = total === 0 ? 1 : done / total;
  const filled = Math.floor(share * barWidth);
  const bar = '#'.repeat(filled) + '-'.repeat(barWidth - filled);
  const head = `[${bar}] ${Math.floor(share * 100)} %, ${done} of ${total} entries`;
  if (done === 0 || elapsedMs <= 0) return head;
  const perSecond = (share * repositories * 1000) / elapsedMs;
  const leftMs = (elapsedMs * (total - done)) / done;
  return `${head}, ${rateText(perSecond)} repositories/s, ${spanText(leftMs)} left`;
}
