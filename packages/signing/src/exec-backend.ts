/** `exec:<program>`: keys behind a program that speaks the protocol in docs/signers.md; one process for each question. */
import { keyIdOf, type PublicKey } from '@mandate/metadata';
import type { Backend, KeyUri } from './backend.ts';
import { SigningError } from './error.ts';
import { runSigner } from './exec-process.ts';
import { describeRequest, parseDescription, parseSignature, signRequest } from './exec-protocol.ts';
import { parseExecUri, type ExecUri } from './exec-uri.ts';
import { verifyingSigner, type Signer } from './signer.ts';

export const execBackend: Backend = {
  async open(keyUri: KeyUri): Promise<Signer> {
    const uri = parseExecUri(keyUri);
    const publicKey = chosen(uri, parseDescription(uri, await runSigner(uri, describeRequest())));
    const keyId = keyIdOf(publicKey);
    return verifyingSigner({
      uri: uri.text,
      publicKey,
      sign: async (message) => parseSignature(uri, await runSigner(uri, signRequest(keyId, message))),
    });
  },
};

function chosen(uri: ExecUri, keys: readonly PublicKey[]): PublicKey {
  const { key } = uri;
  const matching = key === undefined ? keys : keys.filter((one) => keyIdOf(one).startsWith(key));
  const [first] = matching;
  if (first === undefined)
    throw new SigningError(
      'KEY_NOT_FOUND',
      `${uri.text} holds ${idsOf(keys)}, not the key that the URI names`,
    );
  if (matching.length > 1)
    throw new SigningError(
      'KEY_AMBIGUOUS',
      `${uri.text} holds ${idsOf(matching)}; say which with key=<key id>`,
    );
  return first;
}

function idsOf(keys: readonly PublicKey[]): string {
  return keys.map((key) => keyIdOf(key).slice(0, 16)).join(', ');
}
