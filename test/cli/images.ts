/** Lists of images for `mandate import`, as a person writes them. */
import { createHash } from 'node:crypto';

const imageType = 'application/vnd.oci.image.manifest.v1+json';

export interface SampleImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly size: number;
}

export function digestOf(content: string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** @param salt another one makes other digests */
export function images(repositories: number, tags: number, salt = ''): SampleImage[] {
  return Array.from({ length: repositories * tags }, (_, i) => {
    const number = Math.floor(i / tags);
    const repository = `team${number % 7}/app-${number}`;
    const tag = `v${i % tags}`;
    return { repository, tag, digest: digestOf(`${repository}:${tag}${salt}`), size: 1_000 + i };
  });
}

export function listOf(all: readonly SampleImage[]): string {
  return all
    .map(({ repository, tag, digest, size }) => `${repository}:${tag}@${digest} ${size} ${imageType}\n`)
    .join('');
}

/** What `--json` prints. */
export interface ImportSummary {
  readonly repositories: number;
  readonly images: number;
  readonly added: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly skipped?: number;
  readonly waiting?: number;
  readonly leftOut: readonly { readonly name: string; readonly code: string }[];
  readonly publications: readonly string[];
  readonly proposals: readonly number[];
}
