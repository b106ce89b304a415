/**
 * The few functions of a PKCS #11 library that signing needs (PKCS #11 v2.40, section 5). Everything here is bytes and numbers; what they mean is in the files that use it.
 */
import { CryptokiError, loadFunctionList, type Ulong } from './cryptoki-functions.ts';

export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface Mechanism {
  readonly type: number;
  readonly parameter?: Uint8Array;
}

export interface TokenInfo {
  readonly label: string;
  readonly serial: string;
  readonly flags: number;
}

export interface Cryptoki {
  /** Slots with a token in them. */
  slots(): Promise<readonly Ulong[]>;
  tokenInfo(slot: Ulong): Promise<TokenInfo>;
  openSession(slot: Ulong, options: { readonly write: boolean }): Promise<Ulong>;
  closeSession(session: Ulong): Promise<void>;
  /** CK_STATE */
  sessionState(session: Ulong): Promise<number>;
  /** Without a PIN the token asks for it on its own pad. */
  login(session: Ulong, user: number, pin?: Uint8Array): Promise<void>;
  findObjects(session: Ulong, template: readonly Attribute[]): Promise<readonly Ulong[]>;
  /** `undefined` where the object has no such attribute, or keeps it to itself. */
  attribute(session: Ulong, object: Ulong, type: number): Promise<Uint8Array | undefined>;
  signInit(session: Ulong, mechanism: Mechanism, key: Ulong): Promise<void>;
  sign(session: Ulong, data: Uint8Array): Promise<Uint8Array>;
  generateKeyPair(
    session: Ulong,
    mechanism: Mechanism,
    publicTemplate: readonly Attribute[],
    privateTemplate: readonly Attribute[],
  ): Promise<void>;
  /** As CK_ULONG, the way attributes and parameters hold it. */
  encodeUlong(...values: readonly number[]): Uint8Array;
  decodeUlong(bytes: Uint8Array): number;
  finalize(): Promise<void>;
}

const osLockingOk = 2;
const serialSession = 4;
const readWriteSession = 2;
const alreadyInitialized = 0x191;
/** Sensitive, not there, and too large for our buffer. */
const noAttribute = new Set([0x11, 0x12, 0x150]);
const maxSlots = 256;
const maxObjects = 64;
const maxAttributeBytes = 16 * 1024;
const maxSignatureBytes = 1024;

/** Loads a library and starts it. @throws SigningError `UNSUPPORTED_BACKEND`, `SIGNER_UNREACHABLE`; CryptokiError */
export async function loadCryptoki(path: string): Promise<Cryptoki> {
  const { value, call, ulongBytes: width } = await loadFunctionList(path);
  const decodeUlong = (bytes: Uint8Array, offset = 0): number => {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return width === 8 ? Number(view.readBigUInt64LE(offset)) : view.readUInt32LE(offset);
  };
  const encodeUlong = (...values: readonly number[]): Uint8Array => {
    const buffer = Buffer.alloc(width * values.length);
    values.forEach((one, index) => {
      if (width === 8) buffer.writeBigUInt64LE(BigInt(one), index * width);
      else buffer.writeUInt32LE(one, index * width);
    });
    return buffer;
  };
  const ulongsIn = (buffer: Buffer, count: number): readonly Ulong[] =>
    Array.from({ length: count }, (_, index) =>
      width === 8 ? buffer.readBigUInt64LE(index * width) : buffer.readUInt32LE(index * width),
    );
  const nativeTemplate = (template: readonly Attribute[]): object[] =>
    template.map(({ type, value }) => ({ type, value, length: value.length }));
  const nativeMechanism = ({ type, parameter }: Mechanism): object => ({
    mechanism: type,
    parameter: parameter ?? null,
    length: parameter?.length ?? 0,
  });

  const started = await value('C_Initialize', {
    createMutex: null,
    destroyMutex: null,
    lockMutex: null,
    unlockMutex: null,
    flags: osLockingOk,
    reserved: null,
  });
  if (started !== 0 && started !== alreadyInitialized) throw new CryptokiError('C_Initialize', started);

  return {
    async slots() {
      const buffer = Buffer.alloc(width * maxSlots);
      const count = [maxSlots];
      await call('C_GetSlotList', 1, buffer, count);
      return ulongsIn(buffer, Number(count[0]));
    },
    async tokenInfo(slot) {
      const info = Buffer.alloc(512);
      await call('C_GetTokenInfo', slot, info);
      const text = (from: number, to: number): string => info.toString('utf8', from, to).trimEnd();
      // label 32, manufacturer 32, model 16, serial number 16, flags
      return { label: text(0, 32), serial: text(80, 96), flags: decodeUlong(info, 96) };
    },
    async openSession(slot, { write }) {
      const session: Ulong[] = [0];
      await call('C_OpenSession', slot, serialSession | (write ? readWriteSession : 0), null, null, session);
      return session[0] ?? 0;
    },
    async closeSession(session) {
      await call('C_CloseSession', session);
    },
    async sessionState(session) {
      const info = Buffer.alloc(64);
      await call('C_GetSessionInfo', session, info);
      return decodeUlong(info, width);
    },
    async login(session, user, pin) {
      await call('C_Login', session, user, pin ?? null, pin?.length ?? 0);
    },
    async findObjects(session, template) {
      await call('C_FindObjectsInit', session, nativeTemplate(template), template.length);
      try {
        const buffer = Buffer.alloc(width * maxObjects);
        const count: Ulong[] = [0];
        await call('C_FindObjects', session, buffer, maxObjects, count);
        return ulongsIn(buffer, Number(count[0]));
      } finally {
        await value('C_FindObjectsFinal', session);
      }
    },
    async attribute(session, object, type) {
      const bytes = Buffer.alloc(maxAttributeBytes);
      const wanted = { type, value: bytes, length: bytes.length as Ulong };
      const result = await value('C_GetAttributeValue', session, object, wanted, 1);
      if (noAttribute.has(result)) return undefined;
      if (result !== 0) throw new CryptokiError('C_GetAttributeValue', result);
      const length = Number(wanted.length);
      return length <= bytes.length ? bytes.subarray(0, length) : undefined;
    },
    async signInit(session, mechanism, key) {
      await call('C_SignInit', session, nativeMechanism(mechanism), key);
    },
    async sign(session, data) {
      const signature = Buffer.alloc(maxSignatureBytes);
      const length: Ulong[] = [signature.length];
      await call('C_Sign', session, data, data.length, signature, length);
      return signature.subarray(0, Number(length[0]));
    },
    async generateKeyPair(session, mechanism, publicTemplate, privateTemplate) {
      await call(
        'C_GenerateKeyPair',
        session,
        nativeMechanism(mechanism),
        nativeTemplate(publicTemplate),
        publicTemplate.length,
        nativeTemplate(privateTemplate),
        privateTemplate.length,
        [0],
        [0],
      );
    },
    encodeUlong,
    decodeUlong,
    async finalize() {
      // Whoever else in this process started the library goes on using it.
      if (started !== alreadyInitialized) await call('C_Finalize', null);
    },
  };
}
