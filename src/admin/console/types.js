// What the admin listener answers with, as far as the page reads it. Nothing of this runs.

/**
 * @typedef {{function?: string, outcome?: string, milliseconds?: number, worker?: string, reused?: boolean}} Question
 * @typedef {{
 *   time: string, endpoint: string, id?: string, kind?: 'event' | 'question', type?: string, key?: string,
 *   questions?: Question[], request?: string, destinations?: string[], outcome: string, reason?: string, error?: string,
 *   status?: number, milliseconds: number, bytes: number, body?: string, authenticated_milliseconds?: number,
 *   received_milliseconds?: number, trace_id?: string,
 *   asked?: {function?: string, subject: string, headers?: Record<string, string>, payload: string}[],
 *   receipts?: {destination: string, outcome: string, milliseconds: number}[],
 * }} Webhook
 * @typedef {{p50: number, p99: number}} Latency
 * @typedef {{
 *   number: number, time: string, seconds: number, webhooks: Record<string, number>, questions: Record<string, number>,
 *   unauthorized: Record<string, number>, latency: Record<string, Latency>, in_flight: Record<string, number>,
 *   in_flight_max: Record<string, number>, in_flight_bytes: number, in_flight_bytes_max: number,
 *   brokers: Record<string, number>, queued: number, dead_letters: number,
 * }} Step
 * @typedef {{
 *   service: string, version: string, id: string, subject: string, requests?: number, errors?: number,
 *   average_milliseconds?: number, last_error?: string,
 * }} Worker
 * @typedef {{endpoint: string, function?: string, type?: string, subject: string, workers: Worker[], warning?: string}} Answering
 * @typedef {{endpoint: string, type: string, function: string, latency: Latency | null, outcomes: Record<string, number>}} Asked
 * @typedef {{
 *   position: number, dead_lettered: string, id: string, endpoint: string, type: string, key?: string, destination: string,
 *   name: string, reason: string, detail: string, bytes: number,
 * }} DeadLetter
 * @typedef {{matched?: number, dead_letters?: number, end?: number, next?: number}} Summary
 * @typedef {{destination: string, records: number, apart: number, bytes: number, oldest?: string, is_configured: boolean}} Queue
 * @typedef {{patterns: string[], to: string[], subject?: string, timeout?: number, has_fallback: boolean}} Rule
 * @typedef {{
 *   name: string, path: string, source: string, auth: string[], events: Rule[], questions: Rule[], functions: Rule[],
 * }} Endpoint
 * @typedef {{
 *   path: string, auth: string[], signed: boolean, name: string, about: string, content_type: string, query: string,
 *   headers: Record<string, string>, body: string,
 * }} Sample
 */
export {};
