/** What we and a signer program say to each other: version 1, one JSON object each way (docs/signers.md). Pure. */
import {
  isObject,
  member,
  parseJson,
  parsePublicKey,
  type JsonObject,
  type KeyId,
  type PublicKey,
} from '@mandate/metadata';
import { SigningError } from './error.ts';
import { failed } from './exec-process.ts';
import type { ExecUri } from './exec-uri.ts';

const version = 1;
const maxKeys = 64;

export function describeRequest(): string {
  return `${JSON.stringify({ mandateSigner: version, operation: 'describe' })}\n`;
}

export function signRequest(keyId: KeyId, message: Uint8Array): string {
  const base64 = Buffer.from(message).toString('base64');
  return `${JSON.stringify({ mandateSigner: version, operation: 'sign', keyid: keyId, message: base64 })}\n`;
}

/** @throws SigningError `SIGNER_FAILED`, or the code of the refusal */
export function parseDescription(uri: ExecUri, answer: string): readonly PublicKey[] {
  const keys = member(parseAnswer(uri, answer), 'keys');
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > maxKeys)
    throw failed(uri, `answers describe without "keys", a list of 1 to ${maxKeys}`);
  try {
    return keys.map(parsePublicKey);
  } catch (cause) {
    throw failed(uri, 'describes a key that is not one in TUF form', { cause });
  }
}

/** @throws SigningError `SIGNER_FAILED`, or the code of the refusal */
export function parseSignature(uri: ExecUri, answer: string): Uint8Array {
  const text = member(parseAnswer(uri, answer), 'signature');
  const bytes = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined;
  if (bytes === undefined || bytes.length === 0 || bytes.toString('base64') !== text)
    throw failed(uri, 'answers sign without "signature" in base64');
  return bytes;
}

function parseAnswer(uri: ExecUri, text: string): JsonObject {
  let answer;
  try {
    answer = parseJson(text).value;
  } catch (cause) {
    throw failed(uri, 'answers with something that is not one JSON object', { cause });
  }
  if (!isObject(answer) || member(answer, 'mandateSigner') !== version)
    throw failed(uri, `does not speak version ${version} of the protocol in docs/signers.md`);
  const error = member(answer, 'error');
  if (error === undefined) return answer;
  if (!isObject(error)) throw failed(uri, 'answers with an error that is not an object');
  throw refusal(uri, error);
}

/** The program chose these words for people; they still reach a terminal only as printable ASCII, and not many. */
function refusal(uri: ExecUri, error: JsonObject): SigningError {
  const said = member(error, 'message');
  const words = typeof said === 'string' ? said.replaceAll(/[^ -~]/g, '?').slice(0, 200) : 'no reason given';
  switch (member(error, 'code')) {
    case 'DENIED':
      return new SigningError('SIGNER_REFUSED', `${uri.text} refuses: ${words}`);
    case 'KEY_NOT_FOUND':
      return new SigningError('KEY_NOT_FOUND', `${uri.text} does not hold this key: ${words}`);
    case 'TOO_LARGE':
      return new SigningError('TOO_LARGE', `${uri.text} cannot sign so much: ${words}`);
    case 'UNAVAILABLE':
      return new SigningError('SIGNER_UNREACHABLE', `${uri.text} cannot reach its key: ${words}`);
    default:
      return failed(uri, `reports an error: ${words}`);
  }
}
