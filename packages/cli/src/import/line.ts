/**
 * One line of a list of images (docs/cli.md, "Import"): plain, `team/app:v1@sha256:<hex> 1234 <media type>`, or a JSON
 * object. Pure.
 */
import {
  isObject,
  parseDigest,
  parseJson,
  parseReferencePart,
  parseRepository,
  type Digest,
  type JsonObject,
  type Repository,
} from '@mandate/metadata';

/** Why a line is not taken. */
type LineFaultCode =
  | 'SYNTAX' // not `name[:tag]@digest [size [media type]]`, nor a JSON object
  | 'MEMBER' // a JSON member that is unknown, missing or of another type
  | 'REPOSITORY' // not a repository name
  | 'TAG' // not a tag
  | 'DIGEST' // not sha256:<64 lower-case hex digits>
  | 'SIZE' // not a number of bytes
  | 'MEDIA_TYPE' // not a media type
  | 'NO_SIZE' // no size, and no registry to ask
  | 'CONTRADICTION' // an earlier line says otherwise
  | 'TOO_LONG'; // longer than a line may be

/** Where a list is wrong. Lines and columns count from 1. */
export interface LineFault {
  readonly line: number;
  readonly column: number;
  readonly code: LineFaultCode;
  readonly message: string;
}

export type Fault = Omit<LineFault, 'line'>;

/** What a list says of one image. */
export interface ListedImage {
  readonly repository: Repository;
  readonly tag: string | undefined;
  readonly digest: Digest;
  /** Bytes of the manifest; undefined where the registry is to say it. */
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
}

/** Characters. */
export const maxLineLength = 4_096;

const sizeForm = /^(?:0|[1-9][0-9]{0,15})$/;
/** RFC 6838, section 4.2. */
const mediaTypeForm = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

/**
 * @param needsSize whether nothing but the line says the size
 * @returns undefined for an empty line and a comment
 */
export function parseLine(text: string, needsSize: boolean): ListedImage | Fault | undefined {
  if (text.length > maxLineLength)
    return fault(maxLineLength + 1, 'TOO_LONG', `a line has at most ${maxLineLength} characters`);
  const start = text.search(/\S/);
  if (start < 0 || text[start] === '#') return undefined;
  const parsed = text[start] === '{' ? parseObject(text) : parsePlain(text);
  if (isFault(parsed) || parsed.size !== undefined || !needsSize) return parsed;
  return fault(
    text.trimEnd().length + 1,
    'NO_SIZE',
    'the size of the manifest is missing; or say --registry',
  );
}

export function isFault(parsed: ListedImage | Fault): parsed is Fault {
  return 'code' in parsed;
}

function fault(column: number, code: LineFaultCode, message: string): Fault {
  return { column, code, message };
}

/** A part of a line, and where it begins. */
interface Part {
  readonly text: string;
  readonly column: number;
}

function parsePlain(line: string): ListedImage | Fault {
  const words = [...line.matchAll(/\S+/g)].map((word): Part => ({ text: word[0], column: word.index + 1 }));
  const [name, size, mediaType, more] = words as [Part, ...(Part | undefined)[]];
  if (more !== undefined) return fault(more.column, 'SYNTAX', 'a line is name:tag@digest, size, media type');
  const at = name.text.indexOf('@');
  if (at < 0)
    return fault(
      name.column + name.text.length,
      'SYNTAX',
      'an image is named with its digest: name:tag@digest',
    );
  const colon = name.text.slice(0, at).indexOf(':');
  const part = (from: number, to: number): Part => ({
    text: name.text.slice(from, to),
    column: name.column + from,
  });
  return imageOf({
    repository: part(0, colon < 0 ? at : colon),
    tag: colon < 0 ? undefined : part(colon + 1, at),
    digest: part(at + 1, name.text.length),
    size,
    mediaType,
  });
}

type Parts = { readonly [member in keyof ListedImage]: Part | undefined };

function imageOf(parts: Parts & { repository: Part; digest: Part }): ListedImage | Fault {
  const { size, mediaType } = parts;
  const repository = tried(() => parseRepository(parts.repository.text));
  if (repository === undefined)
    return fault(parts.repository.column, 'REPOSITORY', 'a repository is lower-case words joined by "/"');
  const tag = parts.tag && tried(() => parseReferencePart(parts.tag?.text ?? ''));
  if (parts.tag !== undefined && (tag === undefined || tag.includes(':')))
    return fault(parts.tag.column, 'TAG', 'a tag is 1 to 128 letters, digits, "_", "." and "-"');
  const digest = tried(() => parseDigest(parts.digest.text));
  if (digest === undefined)
    return fault(parts.digest.column, 'DIGEST', 'a digest is sha256: and 64 lower-case hex digits');
  if (size !== undefined && !(sizeForm.test(size.text) && Number.isSafeInteger(Number(size.text))))
    return fault(size.column, 'SIZE', 'a size is a number of bytes');
  if (mediaType !== undefined && !mediaTypeForm.test(mediaType.text))
    return fault(mediaType.column, 'MEDIA_TYPE', 'a media type is type/subtype');
  return {
    repository,
    tag,
    digest,
    size: size === undefined ? undefined : Number(size.text),
    mediaType: mediaType?.text,
  };
}

function tried<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

const memberTypes = {
  repository: 'string',
  tag: 'string',
  digest: 'string',
  size: 'number',
  mediaType: 'string',
} as const;

function parseObject(line: string): ListedImage | Fault {
  const object = strictObject(line);
  if ('code' in object) return object.code;
  const { value } = object;
  const columnOf = (name: string): number => Math.max(0, line.indexOf(JSON.stringify(name))) + 1;
  for (const [name, given] of Object.entries(value)) {
    const type = Object.hasOwn(memberTypes, name) ? memberTypes[name as keyof typeof memberTypes] : undefined;
    if (type === undefined)
      return fault(columnOf(name), 'MEMBER', `there is no member ${JSON.stringify(name)}`);
    if (typeof given !== type) return fault(columnOf(name), 'MEMBER', `"${name}" is a ${type}`);
  }
  const part = (name: keyof Parts): Part | undefined =>
    Object.hasOwn(value, name)
      ? { text: `${value[name] as string | number}`, column: columnOf(name) }
      : undefined;
  const [repository, digest] = [part('repository'), part('digest')];
  if (repository === undefined || digest === undefined)
    return fault(1, 'MEMBER', `"${repository === undefined ? 'repository' : 'digest'}" is missing`);
  return imageOf({ repository, digest, tag: part('tag'), size: part('size'), mediaType: part('mediaType') });
}

/** Duplicate members are refused: another reader of the list might take the other one. */
function strictObject(line: string): { readonly value: JsonObject } | { readonly code: Fault } {
  try {
    const { value } = parseJson(line);
    if (isObject(value)) return { value };
  } catch (error) {
    const { message } = ((error as Error).cause ?? error) as Error;
    const position = Number(/ at position (\d+)/.exec(message)?.[1] ?? 0);
    return { code: fault(position + 1, 'SYNTAX', 'the line is not one JSON object, each member once') };
  }
  return { code: fault(1, 'SYNTAX', 'the line is not a JSON object') };
}
