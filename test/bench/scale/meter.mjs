/**
 * Loaded into a command before anything of its own: counts what it asks over HTTP, and when it ends writes that with its
 * processor time and the most memory that it had to the file that `BENCH_METER` names. Plain JavaScript: what makes
 * TypeScript readable would count as the command's memory.
 */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';

const paths = [];
const sockets = new Set();

// Both clients that commands have: Node's own for files, `fetch` for the API.
subscribe('http.client.request.start', ({ request }) => paths.push(request.path));
subscribe('undici:request:create', ({ request }) => paths.push(request.path));
subscribe('net.client.socket', ({ socket }) => sockets.add(socket));

/** The parent's own peak is inherited by `getrusage`; this is of this program alone. */
function peakBytes() {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return Number(kilobytes) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

process.once('exit', () => {
  const sum = (of) => [...sockets].reduce((total, socket) => total + of(socket), 0);
  const { user, system } = process.cpuUsage();
  const cost = {
    paths,
    fetched: sum(({ bytesRead }) => bytesRead),
    sent: sum(({ bytesWritten }) => bytesWritten),
    processorMs: (user + system) / 1000,
    peakBytes: peakBytes(),
  };
  writeFileSync(process.env.BENCH_METER, JSON.stringify(cost));
});
