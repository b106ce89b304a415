/** A token in software for one test file, in a folder of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { softhsmLibrary } from '../support/needs.ts';

const run = promisify(execFile);

export interface SoftToken {
  readonly folder: string;
  readonly label: string;
  readonly pin: string;
  /** A URI of a key on this token. */
  uri(path: string, query?: string): string;
  /** One more token beside this one. */
  addToken(label: string): Promise<void>;
  /** Puts the private key of a PKCS#8 file on the token, with its public half. */
  importKey(pemFile: string, label: string, idHex: string): Promise<void>;
  /** Ends every session of this process, as when a device is unplugged and put back. */
  closeAllSessions(): Promise<void>;
  remove(): Promise<void>;
}

/** SoftHSM reads its configuration from an environment variable when its library is started; signers of older tokens must be closed. */
export async function startSoftToken(): Promise<SoftToken> {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-softhsm-'));
  const label = 'release token';
  const pin = '648219';
  const before = process.env['SOFTHSM2_CONF'];
  await mkdir(join(folder, 'tokens'));
  await writeFile(
    join(folder, 'softhsm2.conf'),
    `directories.tokendir = ${folder}/tokens\nlog.level = ERROR\n`,
  );
  process.env['SOFTHSM2_CONF'] = join(folder, 'softhsm2.conf');
  const util = async (...args: readonly string[]): Promise<unknown> => run('softhsm2-util', args);
  const addToken = async (name: string): Promise<void> => {
    await util('--init-token', '--free', '--label', name, '--pin', pin, '--so-pin', '99887766');
  };
  await addToken(label);
  const library = softhsmLibrary();
  assert.ok(library);
  return {
    folder,
    label,
    pin,
    uri: (path, query = '') => `pkcs11:token=release%20token;${path}?module-path=${library}${query}`,
    addToken,
    async importKey(pemFile, keyLabel, idHex) {
      await util('--import', pemFile, '--token', label, '--label', keyLabel, '--id', idHex, '--pin', pin);
    },
    async closeAllSessions() {
      const { load } = await import('koffi');
      const module = load(library);
      const count = [8];
      const slots = new BigUint64Array(8);
      module.func('ulong C_GetSlotList(uchar present, void *slots, _Inout_ ulong *count)')(1, slots, count);
      const close = module.func('ulong C_CloseAllSessions(ulong slot)');
      for (const slot of slots.subarray(0, count[0])) close(slot);
    },
    async remove() {
      if (before === undefined) delete process.env['SOFTHSM2_CONF'];
      else process.env['SOFTHSM2_CONF'] = before;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
