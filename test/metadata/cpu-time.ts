/** Processor time, so that a busy machine fails no test: milliseconds that this process worked for `action`. */
export function cpuMs(action: () => unknown): number {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
