/** The functions of a PKCS #11 library, taken from its function list (PKCS #11 v2.40, section 3.4) and called on other threads. */
import type { LibraryHandle, TypeObject } from 'koffi';
import { SigningError } from './error.ts';

/** A library answered with a return value other than CKR_OK. Never leaves this package: `explain` turns it into a `SigningError`. */
export class CryptokiError extends Error {
  override readonly name = 'CryptokiError';
  readonly call: string;
  /** CK_RV */
  readonly value: number;

  constructor(call: string, value: number) {
    super(`${call} answered 0x${value.toString(16)}`);
    this.call = call;
    this.value = value;
  }
}

/** CK_ULONG and the handles made of it. */
export type Ulong = number | bigint;

export interface FunctionList {
  /** CK_RV. Structures are objects, memory is a `Uint8Array`, what comes back through a pointer is written to an array of one. */
  readonly value: (name: FunctionName, ...args: readonly unknown[]) => Promise<number>;
  /** @throws CryptokiError for anything but CKR_OK */
  readonly call: (name: FunctionName, ...args: readonly unknown[]) => Promise<void>;
  /** Bytes of a CK_ULONG. */
  readonly ulongBytes: number;
}

/** Places in CK_FUNCTION_LIST, after its version. */
const places = {
  C_Initialize: 0,
  C_Finalize: 1,
  C_GetSlotList: 4,
  C_GetTokenInfo: 6,
  C_OpenSession: 12,
  C_CloseSession: 13,
  C_GetSessionInfo: 15,
  C_Login: 18,
  C_GetAttributeValue: 24,
  C_FindObjectsInit: 26,
  C_FindObjects: 27,
  C_FindObjectsFinal: 28,
  C_SignInit: 42,
  C_Sign: 43,
  C_GenerateKeyPair: 59,
} as const;
type FunctionName = keyof typeof places;

const functionCount = 60;
/** Stays for as long as the process: koffi unloads a library that nothing refers to, whatever still points into it. */
const loaded = new Map<string, LibraryHandle>();

/** @throws SigningError `UNSUPPORTED_BACKEND`, `SIGNER_UNREACHABLE` */
export async function loadFunctionList(path: string): Promise<FunctionList> {
  const koffi = await import('koffi').catch((cause: unknown) => {
    throw new SigningError(
      'UNSUPPORTED_BACKEND',
      'keys on tokens need the package koffi, which is not installed or not made for this machine; npm install koffi@3',
      { cause },
    );
  });
  // On Windows the structures of PKCS #11 are packed (section 2.1).
  const struct = process.platform === 'win32' ? koffi.pack : koffi.struct;
  const attribute = struct({ type: 'ulong', value: 'void *', length: 'ulong' });
  const mechanism = struct({ mechanism: 'ulong', parameter: 'void *', length: 'ulong' });
  const initializeArgs = struct({
    createMutex: 'void *',
    destroyMutex: 'void *',
    lockMutex: 'void *',
    unlockMutex: 'void *',
    flags: 'ulong',
    reserved: 'void *',
  });
  const functionList = struct({
    version: koffi.struct({ major: 'uchar', minor: 'uchar' }),
    functions: koffi.array('void *', functionCount),
  });
  const ulongOut = koffi.out(koffi.pointer('ulong'));
  const ulongInOut = koffi.inout(koffi.pointer('ulong'));
  const argumentsOf = {
    C_Initialize: [koffi.pointer(initializeArgs)],
    C_Finalize: ['void *'],
    C_GetSlotList: ['uchar', 'void *', ulongInOut],
    C_GetTokenInfo: ['ulong', 'void *'],
    C_OpenSession: ['ulong', 'ulong', 'void *', 'void *', ulongOut],
    C_CloseSession: ['ulong'],
    C_GetSessionInfo: ['ulong', 'void *'],
    C_Login: ['ulong', 'ulong', 'void *', 'ulong'],
    C_GetAttributeValue: ['ulong', 'ulong', koffi.inout(koffi.pointer(attribute)), 'ulong'],
    C_FindObjectsInit: ['ulong', koffi.pointer(attribute), 'ulong'],
    C_FindObjects: ['ulong', 'void *', 'ulong', ulongOut],
    C_FindObjectsFinal: ['ulong'],
    C_SignInit: ['ulong', koffi.pointer(mechanism), 'ulong'],
    C_Sign: ['ulong', 'void *', 'ulong', 'void *', ulongInOut],
    C_GenerateKeyPair: [
      'ulong',
      koffi.pointer(mechanism),
      koffi.pointer(attribute),
      'ulong',
      koffi.pointer(attribute),
      'ulong',
      ulongOut,
      ulongOut,
    ],
  } satisfies Record<FunctionName, ArgumentTypes>;

  const pointers = readFunctionList(koffi, path, functionList);
  const functions = new Map(
    (Object.keys(places) as FunctionName[]).map((name) => [
      name,
      koffi.decode(pointers[places[name]], koffi.proto('ulong', argumentsOf[name])) as NativeFunction,
    ]),
  );

  /** Arguments whose memory a library is using on another thread must not be collected. */
  const inUse = new Set<readonly unknown[]>();
  async function value(name: FunctionName, ...args: readonly unknown[]): Promise<number> {
    inUse.add(args);
    try {
      return await new Promise<number>((resolve, reject) => {
        functions.get(name)?.async(...args, (error: unknown, result: Ulong) => {
          if (error) reject(error instanceof Error ? error : new Error(`${name} cannot be called`));
          else resolve(Number(result));
        });
      });
    } finally {
      inUse.delete(args);
    }
  }
  async function call(name: FunctionName, ...args: readonly unknown[]): Promise<void> {
    const result = await value(name, ...args);
    if (result !== 0) throw new CryptokiError(name, result);
  }

  return { value, call, ulongBytes: koffi.sizeof('ulong') };
}

type ArgumentTypes = Parameters<LibraryHandle['func']>[3];

interface NativeFunction {
  async(...args: readonly unknown[]): void;
}

function readFunctionList(
  koffi: typeof import('koffi'),
  path: string,
  functionList: TypeObject,
): readonly unknown[] {
  try {
    const list: unknown[] = [null];
    const library = loaded.get(path) ?? koffi.load(path);
    loaded.set(path, library);
    const get = library.func('C_GetFunctionList', 'ulong', [koffi.out(koffi.pointer('void *'))]);
    const result = Number(get(list));
    if (result !== 0) throw new CryptokiError('C_GetFunctionList', result);
    return (koffi.decode(list[0], functionList) as { functions: unknown[] }).functions;
  } catch (cause) {
    throw new SigningError(
      'SIGNER_UNREACHABLE',
      `${path} cannot be loaded as a PKCS #11 library; is it installed, and made for this kind of machine?`,
      { cause },
    );
  }
}
