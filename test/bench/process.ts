/** `mandate verify` as a process, built, with a warm cache. Filled in with the command. */
import type { Result } from './result.ts';

export async function processBench(): Promise<Result[]> {
  return [];
}
