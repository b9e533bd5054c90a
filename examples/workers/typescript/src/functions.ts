// What this worker can do. Put your own functions here: they get the arguments, and return text or anything that JSON
// can hold. Hand the signal to all that waits: it ends the work when the caller gives up.
import { setTimeout as sleep } from "node:timers/promises";

export type Arguments = Record<string, unknown>;
export type Function = (of: Arguments, signal: AbortSignal) => unknown;

/** The caller is told this sentence. The model reads it, so say what to do better. */
export class Refused extends Error {
  constructor(sentence: string, readonly code = 400) {
    super(sentence);
  }
}

export const functions: Record<string, Function> = {
  get_weather({ city }) {
    if (typeof city !== "string" || city.trim() === "") {
      throw new Refused("city must be the name of a city, such as Oslo");
    }
    return { city, celsius: 21, sky: "clear" };
  },

  add({ a, b }) {
    if (typeof a !== "number" || typeof b !== "number") {
      throw new Refused("a and b must be numbers");
    }
    if (!Number.isFinite(a + b)) {
      throw new Refused("the sum is too large");
    }
    return String(a + b);
  },

  echo({ text, repeat = 1 }) {
    if (typeof text !== "string" || text === "") {
      throw new Refused("text must be a text that is not empty");
    }
    if (!isWhole(repeat, 1, 1000)) {
      throw new Refused("repeat must be a whole number from 1 to 1000");
    }
    if (Buffer.byteLength(text) * repeat > 1_000_000) {
      throw new Refused("the answer would be longer than 1,000,000 bytes");
    }
    return text.repeat(repeat);
  },

  async wait({ milliseconds }, signal) {
    if (!isWhole(milliseconds, 0, 60_000)) {
      throw new Refused("milliseconds must be a whole number from 0 to 60000");
    }
    await sleep(milliseconds, undefined, { signal });
    return "waited";
  },

  fail() {
    throw new Refused("the function failed on purpose", 500);
  },
};

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}
