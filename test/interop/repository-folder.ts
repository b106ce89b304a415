/** Simulated repositories as files in folders of one server, for clients that read over HTTP and for ours. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SimRepository } from '../support/repository.ts';
import { serveFolder, type FolderServer } from './folder-server.ts';

/** Where the files of a repository are. */
export interface Place {
  readonly metadataUrl: string;
  readonly targetsUrl: string;
  /** The folder of the metadata. */
  readonly folder: string;
}

export class RepositoryFolder implements AsyncDisposable {
  readonly #folder: string;
  readonly #server: FolderServer;

  private constructor(folder: string, server: FolderServer) {
    this.#folder = folder;
    this.#server = server;
  }

  static async create(): Promise<RepositoryFolder> {
    const folder = await mkdtemp(join(tmpdir(), 'mandate-interop-'));
    return new RepositoryFolder(folder, await serveFolder(pathToFileURL(`${folder}/`)));
  }

  /** Writes what the repository serves now; files that it took back stay. */
  async write(name: string, { files }: Pick<SimRepository, 'files'>): Promise<Place> {
    const folder = join(this.#folder, name, 'metadata');
    await mkdir(folder, { recursive: true });
    for (const [file, bytes] of files) await writeFile(join(folder, file), bytes);
    const url = `${this.#server.url}${name}/`;
    return { metadataUrl: `${url}metadata/`, targetsUrl: `${url}targets/`, folder };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}
