/** What docs/access.md tells operators to configure and people to type, at a real issuer. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { World } from '../cli/world.ts';
import { issuersOf } from '../server/issuers.ts';
import { OidcIssuer } from '../support/oidc-issuer.ts';
import { freePort } from '../support/port.ts';
import { Visitor } from '../support/visitor.ts';

const page = readFileSync(new URL('../../docs/access.md', import.meta.url), 'utf8');

/** Fenced blocks of a kind, also indented ones. */
function blocks(kind: string): string[] {
  return [...page.matchAll(new RegExp(`^( *)\`\`\`${kind}\\n([\\s\\S]*?)^\\1\`\`\`$`, 'gm'))].map(
    ([, , body = '']) => body,
  );
}

describe('docs: access', () => {
  it('has people logged in with the configuration and the commands as printed', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const issuer = await OidcIssuer.start(url, [{ id: 'ann', claims: { groups: ['mandate-operators'] } }]);
    const here = (text: string): string =>
      text.replaceAll('https://login.example', issuer.url).replaceAll('https://mandate.example', url);
    const [configuration = ''] = blocks('json issuers');
    const file = JSON.parse(here(configuration)) as object;
    const world = await World.start({
      port: Number(new URL(url).port),
      issuers: issuersOf({ ...file, allowLoopback: true }),
    });
    try {
      await world.tenant('acme');
      const ann = world.person({ DISPLAY: ':0' });
      ann.browse = (address) => void new Visitor({ answers: { login: 'ann', agree: 'yes' } }).open(address);
      const lines = blocks('sh login').flatMap((body) => here(body).trim().split(/\n\s*/));
      assert.equal(lines.length, 5);
      for (const line of lines) {
        const [program, ...args] = line.split(' ');
        assert.equal(program, 'mandate');
        const { code, stderr } = await ann.try(args, true);
        assert.equal(code, 0, `${line}\n${stderr}`);
      }
    } finally {
      await world.stop();
      await issuer.stop();
    }
  });
});
