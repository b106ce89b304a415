/**
 * Files that a proposed role lists and the service stores, such as policy documents: whoever signs the entry signs for
 * their content, so it is shown, once it is what the entry says. Pure.
 */
import { hexOf, sha256Of, type Targets } from '@mandate/metadata';
import type { PublicationTarget } from '@mandate/api';
import { CliError } from '../error.ts';

export interface Document {
  readonly path: string;
  readonly bytes: Uint8Array;
}

function isListed({ path, bytes }: Document, files: readonly Targets[]): boolean {
  const sha256 = hexOf(sha256Of(bytes));
  return files.some(({ targets }) => {
    const entry = targets.get(path);
    return entry?.length === bytes.length && entry.hashes.sha256 === sha256;
  });
}

function documentOf({ path, content }: PublicationTarget): Document {
  return { path, bytes: Buffer.from(content, 'base64') };
}

/** @throws CliError WRONG_PROPOSAL for one that no proposed file lists with this content */
export function documentsOf(
  targets: readonly PublicationTarget[],
  files: readonly Targets[],
): readonly Document[] {
  const documents = targets.map(documentOf);
  const wrong = documents.find((document) => !isListed(document, files));
  if (wrong === undefined) return documents;
  throw new CliError('WRONG_PROPOSAL', `the document ${wrong.path} is not what the proposed entry says`, {
    next: 'it was changed on the way; ask who made the proposal',
  });
}

/** Those that still go with the files, for a change that is made anew. */
export function stillListed(
  targets: readonly PublicationTarget[],
  files: readonly Targets[],
): readonly PublicationTarget[] {
  return targets.filter((target) => isListed(documentOf(target), files));
}

/** The text of a document; undefined for bytes that are none. */
export function textOf({ bytes }: Document): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
