"""A handler as teams write it with FastAPI and the models of vapi-server-sdk, on a free port that it prints."""
import socket

import uvicorn
from fastapi import FastAPI, Request
from vapi.core.unchecked_base_model import construct_type
from vapi.types import ServerMessageToolCalls, ToolCallResult

app = FastAPI()


@app.post("/webhook")
async def webhook(request: Request):
    message = (await request.json())["message"]
    if message["type"] == "tool-calls":
        calls = construct_type(type_=ServerMessageToolCalls, object_=message)
        results = []
        for call in calls.tool_call_list:
            if call.function.name == "get_weather":
                answer = {"result": f"It is sunny in {call.function.arguments['city']}."}
            else:
                answer = {"error": f"there is no {call.function.name}"}
            result = ToolCallResult(name=call.function.name, tool_call_id=call.id, **answer)
            results.append(result.model_dump(by_alias=True, exclude_none=True))
        return {"results": results}
    if message["type"] == "assistant-request":
        return {"assistantId": "a-1"}
    return {}


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    server.run(sockets=[listener])
