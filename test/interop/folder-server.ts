/** Serves a folder over loopback HTTP, for the readers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

export interface FolderServer extends AsyncDisposable {
  /** Where the folder is, with a slash at the end. */
  readonly url: string;
}

/** @param folder - ends with a slash */
export async function serveFolder(folder: URL): Promise<FolderServer> {
  const server = createServer((request, response) => {
    // Resolving as a URL takes dot segments out, so nothing outside the folder is reachable.
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    readFile(new URL(`.${pathname}`, folder)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
