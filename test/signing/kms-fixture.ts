/** Servers that play AWS KMS on loopback: moto, a program of others, and a small one of our own for what moto does not do. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { constants, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { CreateAliasCommand, CreateKeyCommand, KMSClient, type KeySpec } from '@aws-sdk/client-kms';
import { openssl } from './key-fixture.ts';

/** Both take any credentials; nothing of the person who runs the tests is used. */
const settings = {
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_REGION: 'eu-west-1',
  AWS_CONFIG_FILE: '/nonexistent',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  AWS_EC2_METADATA_DISABLED: 'true',
  NO_PROXY: '127.0.0.1',
};

/** Until the returned function is called. */
export function useTestCredentials(changes: Readonly<Record<string, string | undefined>> = {}): () => void {
  const wanted = { ...settings, AWS_PROFILE: undefined, AWS_SESSION_TOKEN: undefined, ...changes };
  const before = new Map(Object.keys(wanted).map((name) => [name, process.env[name]]));
  const set = ([name, value]: readonly [string, string | undefined]): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(wanted).forEach(set);
  return () => [...before].forEach(set);
}

export interface Moto {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** The key's ARN. */
  createKey(spec: KeySpec, usage?: 'SIGN_VERIFY' | 'ENCRYPT_DECRYPT'): Promise<string>;
  alias(name: string, arn: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startMoto(program: string): Promise<Moto> {
  const child = spawn(program, ['-H', '127.0.0.1', '-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = createInterface({ input: child.stderr });
  let host: string | undefined;
  for await (const line of lines) {
    host = /Running on http:\/\/(127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (host !== undefined) break;
  }
  assert.ok(host, 'moto_server did not start');
  child.stderr.resume();
  const client = new KMSClient({
    endpoint: `http://${host}`,
    region: settings.AWS_REGION,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return {
    host,
    async createKey(KeySpec, KeyUsage = 'SIGN_VERIFY') {
      const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage }));
      assert.ok(KeyMetadata?.Arn);
      return KeyMetadata.Arn;
    },
    async alias(name, arn) {
      await client.send(new CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId: arn }));
    },
    async stop() {
      client.destroy();
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

export interface SignRequest {
  readonly KeyId: string;
  /** base64 */
  readonly Message: string;
  readonly MessageType: 'RAW' | 'DIGEST';
  readonly SigningAlgorithm: string;
}

export interface SmallKms {
  readonly host: string;
  /** What was asked to be signed, in order. */
  readonly signed: SignRequest[];
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: object;
}

/**
 * GetPublicKey and Sign for one key, as the API reference has them: messages of at most 4,096 bytes, RAW or DIGEST, Ed25519 only RAW. Node
 * cannot sign a digest that was made elsewhere; the program openssl can.
 */
export async function startSmallKms(
  key: KeyObject,
  algorithm: string,
  answerSign?: (request: SignRequest) => Answer,
): Promise<SmallKms> {
  const signed: SignRequest[] = [];
  const arn = 'arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000001';
  const refuse = (type: string, status = 400): Answer => ({ status, body: { __type: type, message: type } });
  const respond = async (request: IncomingMessage): Promise<Answer> => {
    const body = JSON.parse((await buffer(request)).toString('utf8'));
    if (request.headers['x-amz-target'] === 'TrentService.GetPublicKey') {
      const der = createPublicKey(key).export({ format: 'der', type: 'spki' });
      const PublicKey = der.toString('base64');
      return {
        status: 200,
        body: { KeyId: arn, KeyUsage: 'SIGN_VERIFY', SigningAlgorithms: [algorithm], PublicKey },
      };
    }
    const asked = body as SignRequest;
    signed.push(asked);
    if (answerSign) return answerSign(asked);
    const message = Buffer.from(asked.Message, 'base64');
    if (asked.SigningAlgorithm !== algorithm || message.length > 4096) return refuse('ValidationException');
    const isDigest = asked.MessageType === 'DIGEST';
    const digest = algorithm === 'ED25519_SHA_512' ? null : `sha${algorithm.slice(-3)}`;
    if (isDigest && message.length * 8 !== Number(algorithm.slice(-3))) return refuse('ValidationException');
    if (isDigest && digest === null) return refuse('ValidationException');
    const signature =
      isDigest && digest !== null
        ? await signDigest(key, digest, message)
        : sign(digest, message, { key, ...pss(key) });
    return {
      status: 200,
      body: { KeyId: arn, SigningAlgorithm: algorithm, Signature: signature.toString('base64') },
    };
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, body } = await respond(request);
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(body));
  };
  const server = createServer((request, response) => {
    void handle(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    signed,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function pss(key: KeyObject): object {
  return key.asymmetricKeyType === 'rsa'
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : {};
}

async function signDigest(key: KeyObject, digest: string, bytes: Buffer): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-kms-'));
  try {
    const file = (name: string): string => join(folder, name);
    await writeFile(file('key'), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    await writeFile(file('digest'), bytes);
    const rsa = ['-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'rsa_pss_saltlen:digest'];
    const options = ['-pkeyopt', `digest:${digest}`, ...(key.asymmetricKeyType === 'rsa' ? rsa : [])];
    const files = ['-inkey', file('key'), '-in', file('digest'), '-out', file('signature')];
    await openssl('pkeyutl', '-sign', ...files, ...options);
    return await readFile(file('signature'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
