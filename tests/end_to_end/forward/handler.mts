// A handler as teams write it with Express and the types of Vapi's server SDK, listening on a free port that it prints.
import type { AddressInfo } from "node:net";
import type { Vapi } from "@vapi-ai/server-sdk";
import express, { type Request } from "express";

type Answer = Vapi.ServerMessageResponseMessageResponse | Record<string, never>;

/** The types of the SDK say that it is text; what comes is an object. */
const cityOf = ({ function: { arguments: given } }: Vapi.ToolCall): string =>
  (typeof given === "string" ? JSON.parse(given) : given).city;

const resultOf = (call: Vapi.ToolCall): Vapi.ToolCallResult => {
  const { name } = call.function;
  const entry = { name, toolCallId: call.id };
  if (name !== "get_weather") return { ...entry, error: `there is no ${name}` };
  return { ...entry, result: `It is sunny in ${cityOf(call)}.` };
};

const answerTo = (message: Vapi.ServerMessageMessage): Answer => {
  switch (message.type) {
    case "tool-calls":
      return { results: message.toolCallList.map(resultOf) } satisfies Vapi.ServerMessageResponseToolCalls;
    case "assistant-request":
      return { assistantId: "a-1" } satisfies Vapi.ServerMessageResponseAssistantRequest;
    default:
      return {};
  }
};

const app = express();
app.use(express.json());
app.post("/webhook", (request: Request<object, Answer, Vapi.ServerMessage>, response) => {
  response.json(answerTo(request.body.message));
});

const server = app.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
