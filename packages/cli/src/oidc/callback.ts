/**
 * Where the issuer sends the browser back to: a server on loopback, on a port of the system's choice, for one login
 * (RFC 8252, section 7.3). What does not carry the login's own `state` did not come from it, and ends nothing.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from '../error.ts';

export interface Callback {
  readonly redirectUri: string;
  /** The whole address that the browser came with, once. @throws CliError LOGIN_TIMEOUT */
  answer(signal: AbortSignal): Promise<URL>;
  /** Tells the person at the browser, and closes. */
  end(text: string): Promise<void>;
}

const path = '/callback';

function say(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'content-security-policy': "default-src 'none'",
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    })
    .end(`${text}\n`);
}

/** @param state known to the issuer and us alone */
export async function openCallback(state: string): Promise<Callback> {
  const { promise, resolve } = Promise.withResolvers<URL>();
  let browser: ServerResponse | undefined;
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? '', origin);
    if (request.method !== 'GET' || request.headers.host !== new URL(origin).host || url?.pathname !== path)
      return say(response, 404, 'There is nothing here.');
    const states = url.searchParams.getAll('state');
    if (states.length !== 1 || states[0] !== state)
      return say(response, 400, 'This is not the login that was begun here. Nothing was done.');
    if (browser !== undefined) return say(response, 409, 'This login was answered before.');
    browser = response;
    return resolve(url);
  });
  await new Promise<void>((done, failed) => {
    server.once('error', (cause) =>
      failed(new CliError('LOGIN_FAILED', 'no port on this machine to log in by', { cause })),
    );
    server.listen(0, '127.0.0.1', done);
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    redirectUri: `${origin}${path}`,
    async answer(signal) {
      const late = Promise.withResolvers<never>();
      const stop = (): void =>
        late.reject(
          new CliError('LOGIN_TIMEOUT', 'nobody came back from the browser in time', {
            next: 'run the command again; --timeout <time> waits longer, --device needs no browser here',
          }),
        );
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      return Promise.race([promise, late.promise]).finally(() => signal.removeEventListener('abort', stop));
    },
    async end(text) {
      if (browser !== undefined) say(browser, 200, text);
      await new Promise<void>((done) => {
        server.close(() => done());
        server.closeIdleConnections();
        // Whoever holds a connection open holds nobody up.
        setTimeout(() => server.closeAllConnections(), 500).unref();
      });
    },
  };
}
