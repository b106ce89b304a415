/** The body of an answer, limited while it streams in. */
import { CliError } from './error.ts';

/** @throws CliError BAD_ANSWER */
export async function readLimited(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw new CliError('BAD_ANSWER', 'the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length).toString();
}
