"""What reaches a provider, field by field beside what its own client sends for the same call."""
import importlib.util, json, pathlib, subprocess, tempfile, unittest

from harness import DEADLINE, Model, binary

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say \"hi\" – é 😀"},
            {"role": "assistant", "content": "hi"}, {"role": "user", "content": "Again."}]
TALK = [m for m in MESSAGES if m["role"] != "system"]
TOOLS = [{"role": "user", "content": "Weather?"},
         {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}]},
         {"role": "tool", "tool_call_id": "c1", "content": "rain"}]
SEEN = [{"role": "user", "content": [{"type": "text", "text": "What is it?"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                                     {"type": "image_url", "image_url": {"url": "https://pictures.test/cat.png", "detail": "low"}}]}]

PROGRAM = '''
import std/ai/streaming (callStream)
import std/env (getEnvOr)

export func main() -> unit ! {AI, Stream, Net, IO, Env} {
  match callStream("upstream", "model-1", getEnvOr("MESSAGES", "[]")) {
    Ok(text) => println(text),
    Err(e) => println("failed: " ++ e.code ++ " " ++ e.message)
  }
}
'''


def client(name):
    return importlib.util.find_spec(name) is not None


def sse(*events):
    def script(exchange):
        exchange.head_ok()
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            named = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
            exchange.piece(f"{named}data: {data}\n\n")
        exchange.end()
    return script


CHAT = sse({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "fine"}, "finish_reason": "stop"}]}, "[DONE]")
ANTHROPIC = sse(
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "fine"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"})
RESPONSE = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
RESPONSES = sse(
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress"}},
    {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", "output_index": 0, "content_index": 0, "delta": "fine", "logprobs": []},
    {"type": "response.completed", "sequence_number": 2, "response": RESPONSE})


def ours(port, path, shape, messages, auth):
    """The request that `weir run` makes of a configured provider, and what it printed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
    (folder / "app.weir").write_text(PROGRAM)
    delta = 'delta_path = "$.delta.text"\n' if shape == "anthropic_messages" else ""
    (folder / "weir.toml").write_text(
        f'[[ai_provider]]\nschema_version = 1\nname = "upstream"\nendpoint = "http://127.0.0.1:{port}{path}"\nrequest_shape = "{shape}"\n{auth}\n'
        f'[ai_provider.streaming]\nenabled = true\n{delta}')
    done = subprocess.run([str(binary()), "run", "--caps", "all", str(folder / "app.weir")], capture_output=True, text=True, timeout=DEADLINE,
                          env={"KEY": "sk-test", "MESSAGES": json.dumps(messages), "HOME": str(folder), "PATH": "/usr/bin:/bin"})
    return done.stdout + done.stderr


class Upstream(unittest.TestCase):
    def compare(self, script, path, shape, messages, auth, call, headers, more=None):
        with Model(script) as model:
            call(f"http://127.0.0.1:{model.port}")
            theirs = model.requests[-1]
            said = ours(model.port, path, shape, messages, auth)
            self.assertEqual(said, "fine\n")
            mine = model.requests[-1]
        self.assertEqual(mine.request_line, theirs.request_line)
        self.assertEqual({**theirs.json, **(more or {})}, mine.json)
        for name in headers:
            self.assertEqual(mine.headers.get(name), theirs.headers.get(name), name)

    @unittest.skipUnless(client("openai"), "the openai client is not installed: make peers")
    def test_openai_chat(self):
        import openai
        for messages in (MESSAGES, TOOLS, SEEN):
            def call(base):
                stream = openai.OpenAI(base_url=base + "/v1", api_key="sk-test", max_retries=0).chat.completions.create(
                    model="model-1", messages=messages, stream=True, stream_options={"include_usage": True})
                self.assertEqual("".join(c.choices[0].delta.content or "" for c in stream), "fine")
            self.compare(CHAT, "/v1/chat/completions", "openai_chat", messages, 'auth = { type = "bearer", env = "KEY" }', call,
                         ["authorization", "content-type"])

    @unittest.skipUnless(client("openai"), "the openai client is not installed: make peers")
    def test_openai_responses(self):
        import openai
        items = [TOOLS[0], {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{\"city\":\"Bern\"}"},
                 {"type": "function_call_output", "call_id": "c1", "output": "rain"}]
        seen = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
                                             {"type": "input_image", "image_url": "https://pictures.test/cat.png", "detail": "low"}]}]
        for messages, written in ((MESSAGES, MESSAGES), (TOOLS, items), (SEEN, seen)):
            def call(base):
                stream = openai.OpenAI(base_url=base + "/v1", api_key="sk-test", max_retries=0).responses.create(
                    model="model-1", input=written, stream=True)
                self.assertEqual("".join(e.delta for e in stream if e.type == "response.output_text.delta"), "fine")
            self.compare(RESPONSES, "/v1/responses", "openai_responses", messages, 'auth = { type = "bearer", env = "KEY" }', call,
                         ["authorization", "content-type"])

    @unittest.skipUnless(client("anthropic"), "the anthropic client is not installed: make peers")
    def test_anthropic_messages(self):
        import anthropic
        blocks = [TOOLS[0], {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}}]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]}]
        seen = [{"role": "user", "content": [{"type": "text", "text": "What is it?"},
                                             {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                                             {"type": "image", "source": {"type": "url", "url": "https://pictures.test/cat.png"}}]}]
        for messages, system, written in ((MESSAGES, "Be brief.", TALK), (TOOLS, None, blocks), (SEEN, None, seen)):
            def call(base):
                more = {"system": system} if system else {}
                stream = anthropic.Anthropic(base_url=base, api_key="sk-test", max_retries=0).messages.create(
                    model="model-1", max_tokens=4096, messages=written, stream=True, **more)
                self.assertEqual("".join(e.delta.text for e in stream if e.type == "content_block_delta"), "fine")
            self.compare(ANTHROPIC, "/v1/messages", "anthropic_messages", messages,
                         'auth = { type = "x-api-key", env = "KEY" }\nauth_headers = { anthropic-version = "2023-06-01" }', call,
                         ["content-type"])


class Types(unittest.TestCase):
    """Tools, images and schemas as Tests/WeirAITests/DialectBodyTests.swift writes them: what the clients' own types say of them."""

    def check(self, kind, shape, *path):
        import pydantic
        value = json.loads((pathlib.Path(__file__).parent / "bodies.json").read_text())[shape]
        for step in path:
            value = value[step]
        # What a type does not know is left out of what it gives back.
        self.assertEqual(pydantic.TypeAdapter(kind).validate_python(value), value)

    @unittest.skipUnless(client("openai"), "the openai client is not installed: make peers")
    def test_openai(self):
        from openai.types import chat, responses, shared_params
        self.check(chat.ChatCompletionFunctionToolParam, "openai_chat", "tools", 0)
        self.check(chat.ChatCompletionContentPartImageParam, "openai_chat", "messages", 1, "content", 1)
        self.check(shared_params.ResponseFormatJSONSchema, "openai_chat", "response_format")
        self.check(responses.ResponseInputImageParam, "openai_responses", "input", 1, "content", 1)
        self.check(responses.FunctionToolParam, "openai_responses", "tools", 0)
        self.check(responses.ResponseFormatTextJSONSchemaConfigParam, "openai_responses", "text", "format")

    @unittest.skipUnless(client("anthropic"), "the anthropic client is not installed: make peers")
    def test_anthropic(self):
        from anthropic import types
        self.check(types.ToolParam, "anthropic_messages", "tools", 0)
        self.check(types.ImageBlockParam, "anthropic_messages", "messages", 0, "content", 1)


if __name__ == "__main__":
    unittest.main()
