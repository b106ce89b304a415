/** A repository in a folder: a mirror, a checkout, what was carried across an air gap. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ClientError } from './error.ts';
import { requireSafeName, tooLarge, type Source } from './source.ts';

export class FolderSource implements Source {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    requireSafeName(name);
    try {
      await using file = await open(join(this.#folder, ...name.split('/')), 'r');
      const { size } = await file.stat();
      if (size > maxBytes) throw tooLarge(name, maxBytes);
      const bytes = Buffer.alloc(size);
      let length = 0;
      while (length < size) {
        const { bytesRead } = await file.read(bytes, length, size - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return bytes.subarray(0, length);
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
      throw new ClientError('UNREACHABLE', 'NETWORK', `${name} cannot be read from the folder`, { cause });
    }
  }
}
