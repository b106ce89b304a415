/**
 * Kinds of network addresses, and which kind may send a client to which. A registry on the internet must not be able to
 * make a client talk to services that only the client's own network can reach.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** `reserved`: multicast, unspecified, documentation and everything else that no server answers on. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'link-local' | 'reserved';

const blocks: readonly { class: AddressClass; list: BlockList }[] = [
  block('loopback', ['127.0.0.0/8'], ['::1/128']),
  block('link-local', ['169.254.0.0/16'], ['fe80::/10']),
  block(
    'private',
    ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'],
    ['fc00::/7', 'fec0::/10', '64:ff9b:1::/48'],
  ),
  block(
    'reserved',
    [
      '0.0.0.0/8',
      '192.0.0.0/24',
      '192.0.2.0/24',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '224.0.0.0/4',
      '240.0.0.0/4',
    ],
    // Below ::/96 are forms without a meaning today; Teredo and discard-only carry nothing for us.
    ['::/96', '100::/64', '2001::/32', '2001:db8::/32', 'ff00::/8'],
  ),
];

/** IPv6 ranges that carry an IPv4 address, and where it starts, counted in 16-bit groups. */
const embedding: readonly { list: BlockList; group: number }[] = [
  { list: block('public', [], ['::ffff:0:0/96']).list, group: 6 },
  { list: block('public', [], ['64:ff9b::/96']).list, group: 6 },
  { list: block('public', [], ['2002::/16']).list, group: 1 },
];

/** The class of an IP address in text form; anything else is `reserved`. */
export function addressClass(address: string): AddressClass {
  const ip = address.split('%', 1)[0] ?? '';
  if (isIPv4(ip)) return blocks.find(({ list }) => list.check(ip, 'ipv4'))?.class ?? 'public';
  if (!isIPv6(ip)) return 'reserved';
  const inner = embedding.find(({ list }) => list.check(ip, 'ipv6'));
  if (inner !== undefined) return addressClass(embeddedIPv4(ip, inner.group));
  return blocks.find(({ list }) => list.check(ip, 'ipv6'))?.class ?? 'public';
}

/**
 * Where a server that was reached at `from` may send a client: never to a place that is more internal than itself. Link-local
 * addresses (cloud metadata services) are open to link-local servers alone.
 */
export function redirectTargets(from: AddressClass): ReadonlySet<AddressClass> {
  switch (from) {
    case 'loopback':
      return new Set<AddressClass>(['public', 'private', 'loopback']);
    case 'private':
      return new Set<AddressClass>(['public', 'private']);
    case 'link-local':
      return new Set<AddressClass>(['public', 'link-local']);
    default:
      return new Set<AddressClass>(['public']);
  }
}

function block(
  name: AddressClass,
  ipv4: readonly string[],
  ipv6: readonly string[],
): { class: AddressClass; list: BlockList } {
  const list = new BlockList();
  for (const [family, subnets] of [['ipv4', ipv4] as const, ['ipv6', ipv6] as const]) {
    for (const subnet of subnets) {
      const [net = '', bits = ''] = subnet.split('/');
      list.addSubnet(net, Number(bits), family);
    }
  }
  return { class: name, list };
}

/** Two 16-bit groups of an IPv6 address, written as IPv4. */
function embeddedIPv4(ipv6: string, group: number): string {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/u.exec(ipv6);
  const hex =
    dotted === null ? ipv6 : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`;
  const [head = '', tail] = hex.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  return groups
    .slice(group, group + 2)
    .map((text) => Number.parseInt(text, 16))
    .map((value) => `${value >> 8}.${value & 255}`)
    .join('.');
}

function pair(high: string | undefined, low: string | undefined): string {
  return ((Number(high) << 8) | Number(low)).toString(16);
}
