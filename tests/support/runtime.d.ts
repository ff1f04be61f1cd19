// What workerd brings and the bench's Workers use of it.
declare module "cloudflare:workers" {
  export class DurableObject<Env = any> {
    constructor(ctx: any, env: Env);
    ctx: any;
    env: Env;
  }
}
