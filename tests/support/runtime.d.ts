// What workerd brings and the Workers of src/ and the bench use of it.
declare module "cloudflare:workers" {
  interface Storage {
    sql: { exec(query: string, ...parameters: unknown[]): Cursor };
    setAlarm(at: number): Promise<void>;
  }

  interface Cursor {
    rowsRead: number;
    rowsWritten: number;
    toArray(): Record<string, unknown>[];
  }

  export class DurableObject<Env = unknown> {
    constructor(ctx: { storage: Storage }, env: Env);
    ctx: { storage: Storage };
    env: Env;
  }

  export class WorkerEntrypoint<Env extends object = object> {
    constructor(ctx: object, env: Env);
    ctx: { waitUntil(promise: Promise<unknown>): void };
    env: Env;
  }
}

declare const scheduler: { wait(milliseconds: number): Promise<void> };

// What src/entry.js uses of worker-build's shim.
declare module "*/build/index.js" {
  export default class {
    constructor(ctx: object, env: object);
    ctx: object;
    env: object;
    fetch(this: { ctx: object; env: object }, request: Request): Promise<Response>;
    scheduled(event: object): Promise<void>;
    send_hired(hire: string, env: object): Promise<void>;
  }

  class RustObject {
    constructor(ctx: object, env: object);
    obey(command: string): Promise<string>;
    alarm(): Promise<void>;
  }
  export class WebhookObject extends RustObject {}
  export class WorkspaceObject extends RustObject {}
  export class CatalogueObject extends RustObject {}
}
