/** A list of images in a file, or on standard input, read line by line: a line that never ends takes no memory. */
import { createReadStream } from 'node:fs';
import { CliError } from '../error.ts';
import { isFault, maxLineLength, parseLine, type LineFault, type ListedImage } from './line.ts';

/** A line as it was understood, or why it was not. */
export type ReadLine = { readonly line: number; readonly image: ListedImage } | LineFault;

/** Lines without their ends; one that is too long is cut just behind the limit. */
async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let open = '';
  for await (const chunk of chunks) {
    const lines = chunk.split('\n');
    for (const [at, piece] of lines.entries()) {
      if (open.length <= maxLineLength) open += piece.slice(0, maxLineLength + 2 - open.length);
      if (at === lines.length - 1) continue;
      yield open.endsWith('\r') ? open.slice(0, -1) : open;
      open = '';
    }
  }
  if (open !== '') yield open;
}

/** @param path `-` for standard input @param needsSize as `parseLine` has it @throws CliError FILE */
export async function* readList(path: string, needsSize: boolean): AsyncGenerator<ReadLine> {
  const stream = path === '-' ? process.stdin : createReadStream(path);
  stream.setEncoding('utf8');
  let line = 0;
  try {
    for await (const text of linesOf(stream as AsyncIterable<string>)) {
      line += 1;
      const parsed = parseLine(line === 1 ? text.replace(/^\uFEFF/, '') : text, needsSize);
      if (parsed !== undefined) yield isFault(parsed) ? { line, ...parsed } : { line, image: parsed };
    }
  } catch (cause) {
    if (!(cause instanceof Error && 'errno' in cause)) throw cause;
    throw new CliError('FILE', `${path} cannot be read`, {
      cause,
      next: 'name a list of images, or - for standard input; docs/cli.md says what a line looks like',
    });
  }
}
