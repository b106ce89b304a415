import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { addressClass, guardedAgent, isLoopbackHost, OciError, redirectTargets } from '@mandate/oci';
import type { AddressClass } from '@mandate/oci';

describe('network addresses', () => {
  const table: [AddressClass, string[]][] = [
    [
      'loopback',
      [
        '127.0.0.1',
        '127.255.255.254',
        '::1',
        '::ffff:127.0.0.1',
        '::ffff:7f00:1',
        '64:ff9b::7f00:1',
        '2002:7f00:1::',
      ],
    ],
    [
      'link-local',
      ['169.254.169.254', 'fe80::1', 'fe80::1%eth0', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe'],
    ],
    [
      'private',
      [
        '10.0.0.1',
        '172.16.0.1',
        '172.31.255.255',
        '192.168.1.1',
        '100.64.0.1',
        'fd00:ec2::254',
        'fec0::1',
        '64:ff9b:1::1',
      ],
    ],
    [
      'reserved',
      [
        '0.0.0.0',
        '::',
        '224.0.0.1',
        '255.255.255.255',
        '192.0.2.1',
        'ff02::1',
        '2001:db8::1',
        'localhost',
        '',
        '127.1',
      ],
    ],
    [
      'public',
      [
        '8.8.8.8',
        '172.32.0.1',
        '172.15.255.255',
        '100.128.0.1',
        '2606:4700::1111',
        '64:ff9b::808:808',
        '::ffff:8.8.8.8',
      ],
    ],
  ];
  for (const [expected, addresses] of table) {
    for (const address of addresses) {
      it(`${JSON.stringify(address)} is ${expected}`, () => assert.equal(addressClass(address), expected));
    }
  }

  it('knows loopback hosts by name and by address', () => {
    for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]'])
      assert.ok(isLoopbackHost(host), host);
    for (const host of ['localhost.example', '127.example', '128.0.0.1', '[::2]', '127.0.0.1.example'])
      assert.ok(!isLoopbackHost(host), host);
  });

  it('lets no server send a client to a more internal place', () => {
    const reach = (from: AddressClass): string[] => [...redirectTargets(from)].sort();
    assert.deepEqual(reach('public'), ['public']);
    assert.deepEqual(reach('reserved'), ['public']);
    assert.deepEqual(reach('private'), ['private', 'public']);
    assert.deepEqual(reach('loopback'), ['loopback', 'private', 'public']);
    assert.deepEqual(reach('link-local'), ['link-local', 'public']);
  });

  describe('a guarded agent', () => {
    const server = createServer((_request, response) => response.end('reached'));
    before((done) => void server.listen(0, '127.0.0.1', () => done()));
    after(() => server.close());

    for (const host of ['127.0.0.1', 'localhost']) {
      it(`does not connect to ${host} when only public addresses are allowed`, async () => {
        const origin = `http://${host}:${(server.address() as AddressInfo).port}`;
        const closed = guardedAgent({ allowed: new Set(['public']) });
        await assert.rejects(
          closed.request({ origin, path: '/', method: 'GET' }),
          (error) => error instanceof OciError && error.code === 'REDIRECT_REFUSED',
        );
        const reached: string[] = [];
        const open = guardedAgent({
          allowed: new Set(['loopback']),
          onConnect: (_origin, kind) => reached.push(kind),
        });
        assert.equal(await (await open.request({ origin, path: '/', method: 'GET' })).body.text(), 'reached');
        assert.deepEqual(reached, ['loopback']);
        await Promise.all([closed.destroy(), open.destroy()]);
      });
    }
  });
});
