// A signer program for tests, in the protocol of docs/signers.md. It makes a key for each name that it is asked for, and
// does what files in its folder say: `gate` holds signatures by keys with its content in their names until it is gone, `slow` takes as many milliseconds as it
// says, `down` answers UNAVAILABLE, `swap` shows other keys. `asked` is what it was asked, a line each.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const started = Date.now() - process.uptime() * 1000;
const [folder, ...words] = process.argv.slice(2);
const has = (name) => existsSync(join(folder, name));
const name = words.join('-') + (has('swap') ? '-swapped' : '');
const file = join(folder, `${name}.pem`);
if (!existsSync(file)) {
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}
const key = createPrivateKey(readFileSync(file));
const hex = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x, 'base64url').toString('hex');
const wire = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } };

function isHeld() {
  try {
    return name.includes(readFileSync(join(folder, 'gate'), 'utf8'));
  } catch {
    return false;
  }
}

async function answer({ operation, message, keyid }) {
  appendFileSync(join(folder, 'asked'), `${operation} ${name}\n`);
  if (has('down')) return { error: { code: 'UNAVAILABLE', message: 'gone fishing' } };
  if (operation === 'describe') return { keys: [wire] };
  const canonical = `{"keytype":"ed25519","keyval":{"public":"${hex}"},"scheme":"ed25519"}`;
  if (createHash('sha256').update(canonical).digest('hex') !== keyid)
    return { error: { code: 'KEY_NOT_FOUND', message: 'another key' } };
  while (isHeld()) await sleep(5);
  if (has('slow')) {
    // Counted from the start of the program: a signature takes this long altogether, not longer.
    const takesMs = Number(readFileSync(join(folder, 'slow'), 'utf8'));
    await sleep(Math.max(0, started + takesMs - Date.now()));
  }
  return { signature: sign(null, Buffer.from(message, 'base64'), key).toString('base64') };
}

const request = JSON.parse(await text(process.stdin));
process.stdout.write(`${JSON.stringify({ mandateSigner: 1, ...(await answer(request)) })}\n`);
