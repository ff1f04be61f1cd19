// The shapes that the tests' helpers take and give; those of the API are generated from its OpenAPI document.
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ServerOptions } from "node:https";
import type { Request, Response as MiniflareResponse } from "miniflare";
import type { components } from "../../examples/relay.d.ts";
import type { startRelay } from "./relay.js";

type Schemas = components["schemas"];
export type CreatedWebhook = Schemas["CreatedWebhook"];
export type Webhook = Schemas["Webhook"];
export type AcceptedDelivery = Schemas["AcceptedDelivery"];
export type AcceptedEvent = Schemas["AcceptedEvent"];
export type Delivery = Schemas["Delivery"];
export type DeliverySummary = Schemas["DeliverySummary"];
export type CreatedKey = Schemas["CreatedKey"];
export type Resend = Schemas["Resend"];

export type Relay = Awaited<ReturnType<typeof startRelay>>;
export type RelayAnswer = Awaited<ReturnType<Relay["fetch"]>>;

/** A webhook and its workspace: what a path of the API names. */
export type Scene = { workspace: string; webhook: { id: string } };

/** A posted event; tests also post invalid ones. */
export type Event = { type?: unknown; data?: unknown; event_id?: unknown; timestamp?: unknown };

/** Requests that are refused: by their name, the body, the status, and the field and code of the error. */
export type Refusals<Field = string> = Record<
  string,
  [body: unknown, status: number | number[], field?: Field, code?: string]
>;

/** A request as an endpoint received it. */
export type Received = {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  /** Each name with its value, as they arrived. */
  rawHeaders: string[][];
  body: Buffer;
  text: string;
  arrivedAt: number;
  arrivedOn: number;
};

/** What an endpoint answers, or a function that does it by hand. */
export type Reply =
  | { status: number; headers?: OutgoingHttpHeaders; body?: string | Uint8Array }
  | ((response: ServerResponse) => void);
export type Answer = (request?: Received, number?: number) => Reply;

export type ReceiverOptions = { ping?: Answer; tls?: ServerOptions };

/** Members of a webhook, and how its endpoint is made. */
export type WebhookOptions = ReceiverOptions & { workspace?: string; [member: string]: unknown };

type Reached = Response | MiniflareResponse;
type Version = "current" | "previous";
/** Of which version the Worker and the objects are. */
export type Versions = { worker: Version; objects: Version };

export type RelayOptions = {
  vars?: Record<string, string | object>;
  hooks?: boolean;
  isolated?: boolean;
  outbound?: (request: Request) => Reached | Promise<Reached>;
  dataset?: boolean;
  tail?: boolean;
  limits?: Record<string, { namespace_id: string; simple: { limit: number; period: 10 | 60 } } | undefined>;
  /** How many subrequests an invocation may make before `fetch` throws. */
  subrequests?: number;
  /** The only jurisdiction in which an object is reached. */
  jurisdiction?: string;
  versions?: Versions;
  /** The folder of the unpacked release before this one. */
  previous?: string;
  persist?: string;
  port?: number;
  state?: string;
  onLog?: (line: string) => void;
};

export type RequestOptions = {
  method?: string;
  token?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
};
