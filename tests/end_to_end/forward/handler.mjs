// A handler as Vapi's pages write it with Express, listening on a free port that it prints.
import express from "express";

const app = express();
app.use(express.json());

app.post("/webhook", (req, res) => {
  const { message } = req.body;
  switch (message.type) {
    case "tool-calls": {
      const results = message.toolCallList.map((toolCall) => {
        const { name, arguments: args } = toolCall.function;
        if (name !== "get_weather") return { toolCallId: toolCall.id, error: `there is no ${name}` };
        return { toolCallId: toolCall.id, result: `It is sunny in ${args.city}.` };
      });
      return res.json({ results });
    }
    case "assistant-request":
      return res.json({ assistantId: "a-1" });
    default:
      return res.status(200).json({});
  }
});

const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
