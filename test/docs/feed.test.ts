/** The receiver's code in docs/feed.md, as printed, on what the service sends. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { CreatedWebhook, WebhookTest } from '@mandate/api';
import { startReceiver, type Delivery } from '../server/receiver.ts';
import { describeService } from '../server/service.ts';

interface Printed {
  isGenuine: (headers: IncomingHttpHeaders, body: string, secret: string, now?: number) => boolean;
}

const page = fileURLToPath(new URL('../../docs/feed.md', import.meta.url));

describeService(
  "docs: a receiver's check",
  (current) => {
    it('knows what the service sent from what it did not', async () => {
      const code = /^```js receiver\n([\s\S]*?)^```$/m.exec(readFileSync(page, 'utf8'))?.[1] ?? '';
      const folder = mkdtempSync(join(tmpdir(), 'mandate-receiver-'));
      const file = join(folder, 'receiver.mjs');
      writeFileSync(file, code);
      const { isGenuine } = (await import(pathToFileURL(file).href)) as Printed;
      const receiver = await startReceiver();
      const { operator } = current();
      const { body: made } = await operator.call<CreatedWebhook>('POST', '/v1/webhooks', {
        url: receiver.url,
      });
      const test = (): Promise<unknown> =>
        operator.call<WebhookTest>('POST', `/v1/webhooks/${made.id}/test`, {});
      await test();
      const { body: next } = await operator.call<CreatedWebhook>(
        'POST',
        `/v1/webhooks/${made.id}/secret`,
        {},
      );
      await test();
      const [first, second] = receiver.deliveries as [Delivery, Delivery];
      assert.ok(isGenuine(first.headers, first.body, made.secret));
      assert.ok(!isGenuine(first.headers, first.body, next.secret));
      for (const secret of [made.secret, next.secret])
        assert.ok(isGenuine(second.headers, second.body, secret));
      assert.ok(!isGenuine(second.headers, `${second.body} `, made.secret));
      assert.ok(!isGenuine(second.headers, second.body, made.secret, Date.now() + 301_000));
      assert.ok(!isGenuine({ ...second.headers, 'webhook-id': 'msg_other' }, second.body, made.secret));
      assert.ok(
        !isGenuine({ ...second.headers, 'webhook-signature': 'v1,é v1, v1' }, second.body, made.secret),
      );
      assert.ok(!isGenuine({}, second.body, made.secret));
      await receiver.close();
      rmSync(folder, { recursive: true });
    });
  },
  { webhookInternal: true, stopTimeoutMs: 1_000, logLevel: 'silent' },
);
