// The shapes that the tests' helpers take and give; those of the API are generated from its OpenAPI document.
import type { ServerOptions } from "node:https";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { components } from "../../examples/relay.d.ts";

export type Webhook = components["schemas"]["Webhook"];

/** A posted event; tests also post what is no event. */
export type Event = { type: any; data: any; event_id?: any; timestamp?: any };

/** A request as an endpoint received it. */
export type Received = {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  headerNames: string[];
  body: Buffer;
  text: string;
  arrivedAt: number;
  arrivedOn: number;
};

/** What an endpoint answers, or a function that does it by hand. */
export type Reply = { status: number; headers?: any; body?: any } | ((response: ServerResponse) => void);
export type Answer = (request?: Received, number?: number) => Reply;

export type ReceiverOptions = { ping?: Answer; tls?: ServerOptions };

/** Members of a webhook, and how its endpoint is made. */
export type WebhookOptions = ReceiverOptions & { workspace?: string; [member: string]: any };

export type RelayOptions = {
  vars?: Record<string, string>;
  hooks?: boolean;
  isolated?: boolean;
  outbound?: (request: any) => any;
  dataset?: boolean;
  persist?: string;
  port?: number;
  state?: string;
  onLog?: (line: string) => void;
};

export type RequestOptions = { method?: string; token?: string | null; body?: any; headers?: any };
