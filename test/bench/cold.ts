/** Cold verification over HTTP on loopback: requests per metadata file, and time against raw fetches plus signature checks. */
import { verify as verifySignature } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpSource, MemoryStore, Updater, verify } from '@mandate/client';
import { parseEnvelope, sha256Of, servedName } from '@mandate/metadata';
import { inTurns } from './measure.ts';
import { tenantOfOrgs } from './orgs.ts';
import { atMost, type Result } from './result.ts';

/** A static mirror that counts what it is asked for. */
async function mirror(files: ReadonlyMap<string, Uint8Array>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    asked.push(name);
    const bytes = files.get(name);
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.length ?? 0 });
    response.end(bytes);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export async function coldBench(now: number): Promise<Result[]> {
  const tenant = tenantOfOrgs(100, now);
  const { url, asked, close } = await mirror(tenant.files);
  const role = 'repo~org7~app';
  const names = [
    'timestamp.json',
    servedName('snapshot', now),
    servedName('targets', 1),
    servedName(role, 1),
  ];
  const ours = async () => {
    const updater = new Updater({
      source: new HttpSource(url),
      store: new MemoryStore(),
      pin: { root: tenant.files.get('1.root.json') as Uint8Array },
    });
    const presented = { digest: sha256Of('org7/app/v1') };
    const verdict = await verify(
      { tenant: updater, repository: 'org7/app', reference: 'v1', presented },
      {},
      now,
    );
    if (verdict.code !== 'VERIFIED') throw new Error(`${verdict.code}: ${verdict.message}`);
  };
  const raw = async () => {
    for (const name of ['2.root.json', ...names]) {
      const response = await fetch(url + name);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) continue;
      const { signedBytes, signatures } = parseEnvelope(bytes, 5_000_000);
      verifySignature(null, signedBytes, tenant.key.keyObject, signatures[0]?.sig ?? new Uint8Array());
    }
  };
  try {
    await ours();
    asked.length = 0;
    await ours();
    const requests = asked.length;
    const repeated = requests - new Set(asked).size;
    const times = await inTurns(ours, raw, 15);
    return [
      {
        name: 'requests of a cold verification over HTTP (root probe, timestamp, snapshot, targets, role)',
        value: requests,
        unit: 'requests',
        reference: { name: 'files on the way, and the probe', value: names.length + 1 },
        budget: 'one a file',
        ok: repeated === 0 && requests <= names.length + 1,
      },
      atMost(1.5, {
        name: 'cold verification over HTTP on loopback',
        value: times.ours,
        unit: 'ms',
        reference: { name: 'raw fetches and signature checks', value: times.reference },
      }),
    ];
  } finally {
    close();
  }
}
