/**
 * The images of an organisation in a registry: listed, asked for their digests, and before one is signed fetched, so that
 * digest, size and media type are computed here as `mandate sign` does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pMap from 'p-map';
import { parseRepository, type Digest, type Repository } from '@mandate/metadata';
import {
  OciError,
  type AnnouncedManifest,
  type ImageReference,
  type RegistryClient,
  type RegistryHost,
  type Tag,
} from '@mandate/oci';
import { CliError } from '../error.ts';
import type { WantedImage, WantedTarget } from './wanted.ts';

/** Repositories that are looked at together, and images of each: their product is the number of requests at a time. */
const parallelRepositories = 8;
const parallelImages = 4;
/** How often a registry that fails or is away is asked in all, and the first pause between, which doubles. */
const attempts = 4;
const firstPauseMs = 500;

/** Where an organisation's images are: `registry.example/acme`. */
export interface RegistryFolder {
  readonly host: RegistryHost;
  /** The first part of the names of its repositories; empty: all of the registry. */
  readonly path: string;
}

/** An image that cannot be imported as it is. */
export interface LeftOut {
  /** As it is called in the tenant. */
  readonly name: string;
  readonly code: string;
}

/** What says nothing of other images: this one is left out, and the rest go on. */
const ofOneImage: ReadonlySet<string> = new Set([
  'DIGEST_MISMATCH',
  'MALFORMED',
  'NOT_FOUND',
  'SIZE_MISMATCH',
  'TOO_LARGE',
  'UNSUPPORTED_DIGEST',
  'UNSUPPORTED_MEDIA_TYPE',
]);

async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      const isAway = error instanceof OciError && ['UNREACHABLE', 'TIMEOUT'].includes(error.code);
      if (!isAway || attempt >= attempts) throw error;
    }
    await sleep(firstPauseMs * 2 ** (attempt - 1));
  }
}

export class RegistryImages {
  readonly #client: RegistryClient;
  readonly #folder: RegistryFolder;
  /** What was fetched and found to be as announced. */
  readonly #proven = new Set<string>();
  readonly leftOut: LeftOut[] = [];

  constructor(client: RegistryClient, folder: RegistryFolder) {
    this.#client = client;
    this.#folder = folder;
  }

  /** As people write it. */
  get name(): string {
    const { host, path } = this.#folder;
    return path === '' ? host : `${host}/${path}`;
  }

  #reference(repository: Repository, more: { tag?: Tag; digest?: Digest }): ImageReference {
    const { host, path } = this.#folder;
    return {
      registry: host,
      repository: path === '' ? repository : parseRepository(`${path}/${repository}`),
      ...more,
    };
  }

  /** Every repository of the folder, by its name in the tenant. @throws CliError NOT_FOUND; OciError */
  async repositories(): Promise<readonly Repository[]> {
    const { host, path } = this.#folder;
    const start = path === '' ? '' : `${path}/`;
    const found: Repository[] = [];
    try {
      for await (const name of this.#client.repositories(host))
        if (name.startsWith(start)) found.push(parseRepository(name.slice(start.length)));
    } catch (error) {
      const refuses = ['NOT_FOUND', 'UNAUTHORIZED', 'FORBIDDEN', 'REFUSED'];
      if (!(error instanceof OciError) || !refuses.includes(error.code)) throw error;
      throw new CliError('NOT_FOUND', `${host} does not list its repositories: ${error.message}`, {
        cause: error,
        next: 'many hosted registries never do; name the images in a list: --from <file> --registry <host/path>',
      });
    }
    if (found.length > 0) return found;
    throw new CliError('NOT_FOUND', `${host} lists no repository below ${this.name}/`, {
      next: 'name the host and the path that the repositories begin with: --registry <host/path>',
    });
  }

  /** Looks up every tag of these repositories; each image as soon as the registry has said what it is. */
  async look(repositories: readonly Repository[], found: (image: WantedImage) => void): Promise<void> {
    await pMap(
      repositories,
      async (repository) => {
        const tags = await this.#tagsOf(repository);
        await pMap(tags, async (tag) => this.#lookAt({ repository, tag }, found), {
          concurrency: parallelImages,
        });
      },
      { concurrency: parallelRepositories },
    );
  }

  /** What the registry has under these digests. */
  async describe<Image extends Pick<WantedImage, 'repository' | 'tag' | 'digest'>>(
    images: readonly Image[],
    found: (image: WantedImage, asked: Image) => void,
  ): Promise<void> {
    const concurrency = parallelRepositories * parallelImages;
    await pMap(images, (image) => this.#lookAt(image, (what) => found(what, image)), { concurrency });
  }

  /** A repository without tags may be unknown to the registry: its last tag was deleted. */
  async #tagsOf(repository: Repository): Promise<readonly Tag[]> {
    return patiently(async () => {
      const tags: Tag[] = [];
      try {
        for await (const tag of this.#client.tags(this.#reference(repository, {}))) tags.push(tag);
      } catch (error) {
        if (!(error instanceof OciError) || error.code !== 'NOT_FOUND') throw error;
      }
      return tags;
    });
  }

  async #lookAt(
    { repository, tag, digest }: { repository: Repository; tag: string | undefined; digest?: Digest },
    found: (image: WantedImage) => void,
  ): Promise<void> {
    const reference = this.#reference(repository, digest === undefined ? { tag: tag as Tag } : { digest });
    try {
      const announced = await patiently(() => this.#announced(reference));
      found({ repository, tag, ...announced });
    } catch (error) {
      if (!(error instanceof OciError) || !ofOneImage.has(error.code)) throw error;
      // A tag that was listed and is gone was deleted meanwhile: there is nothing to import.
      if (digest === undefined && error.code === 'NOT_FOUND') return;
      const name = tag === undefined ? `${repository}@${digest}` : `${repository}:${tag}`;
      this.leftOut.push({ name, code: error.code });
    }
  }

  /** Registries may leave the digest out of the answer to HEAD; then the manifest itself says it. */
  async #announced(reference: ImageReference): Promise<AnnouncedManifest> {
    try {
      return await this.#client.head(reference);
    } catch (error) {
      if (!(error instanceof OciError) || error.code !== 'MALFORMED') throw error;
      return this.#client.resolve(reference);
    }
  }

  /**
   * Fetches manifests that are about to be signed, each once.
   *
   * @returns those that are not what was announced, or gone; they are left out
   */
  async prove(
    wanted: readonly { readonly repository: Repository; readonly target: WantedTarget }[],
  ): Promise<ReadonlySet<WantedTarget>> {
    const keyOf = ({ digest, length, custom }: WantedTarget): string =>
      `${digest} ${length} ${custom.mediaType}`;
    const open = new Map<string, { repository: Repository; target: WantedTarget }>();
    for (const one of wanted) if (!this.#proven.has(keyOf(one.target))) open.set(keyOf(one.target), one);
    const bad = new Set<string>();
    const concurrency = parallelRepositories * parallelImages;
    await pMap(
      open,
      async ([key, { repository, target }]) => {
        const { digest } = target;
        try {
          const fetched = await patiently(() =>
            this.#client.resolve(this.#reference(repository, { digest })),
          );
          if (fetched.size !== target.length || fetched.mediaType !== target.custom.mediaType)
            throw new OciError('MALFORMED', `${repository}@${digest} is not what was announced`);
          this.#proven.add(key);
        } catch (error) {
          if (!(error instanceof OciError) || !ofOneImage.has(error.code)) throw error;
          this.leftOut.push({ name: `${repository}@${digest}`, code: error.code });
          bad.add(key);
        }
      },
      { concurrency },
    );
    if (bad.size === 0) return new Set();
    return new Set(wanted.flatMap(({ target }) => (bad.has(keyOf(target)) ? [target] : [])));
  }
}
