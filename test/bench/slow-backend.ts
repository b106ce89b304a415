/** `slow:<name>?<milliseconds>`: keys as behind a network, which take time and no processor of this machine. */
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { signerFromKeyObject, type Backend, type Signer } from '@mandate/signing';

const keys = new Map<string, Signer>();

export const slowBackend: Backend = {
  open({ text }) {
    const known = keys.get(text) ?? signerFromKeyObject(generateKeyPairSync('ed25519').privateKey, text);
    keys.set(text, known);
    const ms = Number(text.split('?')[1]);
    return Promise.resolve({
      ...known,
      sign: async (message) => {
        await sleep(ms);
        return known.sign(message);
      },
    });
  },
};
