/** Serving `timestamp.json` against bare Koa with the same headers, nginx beside both. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import { benchTenant } from './publish.ts';
import type { Result } from './result.ts';
import { startScript, startService } from './service.ts';

async function requestsPerSecond(url: string, seconds: number): Promise<number> {
  const { requests, errors, non2xx } = await autocannon({ url, connections: 32, duration: seconds });
  if (errors > 0 || non2xx > 0) throw new Error(`${url}: ${errors} errors, ${non2xx} refusals`);
  return requests.average;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** nginx with the file in a folder; undefined where it is not installed. */
async function startNginx(body: string): Promise<{ url: string; stop: () => void } | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-nginx-'));
  const port = await freePort();
  mkdirSync(join(folder, 'html'));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'html', 'timestamp.json'), body);
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; error_log stderr; pid ${folder}/pid; worker_processes 1;
events { worker_connections 256; }
http { access_log off; default_type application/json; keepalive_requests 1000000;
client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
server { listen 127.0.0.1:${port}; root ${folder}/html; } }
`,
  );
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
  const failed = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(true));
    child.once('exit', () => resolve(true));
  });
  const stop = (): void => {
    child.kill('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  const isDown = await Promise.race([failed, sleep(500).then(() => false)]);
  if (isDown) {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  return { url: `http://127.0.0.1:${port}/timestamp.json`, stop };
}

export async function serveBench(_now: number, quick: boolean): Promise<Result[]> {
  const seconds = quick ? 2 : 5;
  const service = await startService();
  try {
    const slug = await benchTenant(service);
    const url = `${service.url}/tuf/${slug}/metadata/timestamp.json`;
    const answer = await fetch(url);
    const body = await answer.text();
    const skipped = new Set(['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding']);
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !skipped.has(name)));
    const koa = await startScript('koa-process.ts', {
      BENCH_BODY: body,
      BENCH_HEADERS: JSON.stringify(headers),
    });
    const nginx = await startNginx(body);
    // In turns, so that what else the machine does falls on all alike.
    const rates = { ours: [] as number[], koa: [] as number[], nginx: [] as number[] };
    for (let turn = 0; turn < 3; turn += 1) {
      rates.koa.push(await requestsPerSecond(`${koa.line}/`, seconds));
      rates.ours.push(await requestsPerSecond(url, seconds));
      if (nginx !== undefined) rates.nginx.push(await requestsPerSecond(nginx.url, seconds));
    }
    await koa.stop();
    nginx?.stop();
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[1] ?? Number.NaN;
    const [value, reference] = [median(rates.ours), median(rates.koa)];
    const ratio = value / reference;
    return [
      {
        name: 'serving timestamp.json',
        value,
        unit: '/s',
        reference: { name: 'bare Koa, same headers', value: reference },
        ratio,
        budget: '>= 0.8x',
        ok: ratio >= 0.8,
      },
      ...(nginx === undefined
        ? []
        : [
            {
              name: 'nginx serving the same file, one worker',
              value: median(rates.nginx),
              unit: '/s' as const,
            },
          ]),
    ];
  } finally {
    await service.stop();
  }
}
