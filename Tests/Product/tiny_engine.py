"""A real inference engine, llama.cpp, that serves a tiny model with random weights. `python3 tiny_engine.py PORT` runs until it is told to end.

The model is made here: one layer, 32 numbers wide, whose vocabulary is a few hundred words. It says nonsense, always the same, and its tokens, its
counts, its stop words and its grammar are the engine's own."""
import pathlib, sys, tempfile, time

SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "ay", "er", "in", "on", "ull")]
WORDS = [f"\u2581{s}" for s in SYLLABLES] + [f"\u2581{s}{t}" for s, t in zip(SYLLABLES, SYLLABLES[37:] + SYLLABLES[:37])]
TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>assistant:"


def write(path, seed=1, width=32, heads=2, inner=64):
    import gguf, numpy
    random = numpy.random.default_rng(seed)
    tokens, kinds = ["<unk>", "<s>", "</s>"], [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    kinds += [gguf.TokenType.BYTE] * 256
    tokens += WORDS
    kinds += [gguf.TokenType.NORMAL] * len(WORDS)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    def matrix(rows, columns, scale=1.0):
        return (random.standard_normal((rows, columns)) * scale).astype(numpy.float32)

    said = matrix(len(tokens), width)
    said[:-len(WORDS)] = 0  # never a single byte, and never an end, unless a grammar asks for it
    writer.add_tensor("token_embd.weight", matrix(len(tokens), width))
    writer.add_tensor("output.weight", said)
    writer.add_tensor("output_norm.weight", numpy.ones(width, dtype=numpy.float32))
    for name, shape in (("attn_q", (width, width)), ("attn_k", (width, width)), ("attn_v", (width, width)), ("attn_output", (width, width)),
                        ("ffn_gate", (inner, width)), ("ffn_up", (inner, width)), ("ffn_down", (width, inner))):
        writer.add_tensor(f"blk.0.{name}.weight", matrix(*shape, 0.3))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", numpy.ones(width, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(port):
    import xllamacpp
    path = pathlib.Path(tempfile.mkdtemp()) / "tiny.gguf"
    write(str(path))
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_ctx, params.n_parallel, params.use_jinja = 512, 2, True
    params.cpuparams.n_threads = 1
    params.n_predict, params.ctx_shift = -1, True  # it ends where a request says so, and otherwise never
    params.warmup = params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
