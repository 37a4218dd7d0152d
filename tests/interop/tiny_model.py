# SPDX-License-Identifier: Apache-2.0
"""tiny_model.py FOLDER: writes a tiny chat model with random weights, whose tokens are bytes."""
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder = sys.argv[1]
pieces = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
bytes_alone = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytes_alone.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=bytes_alone, bos_token="<s>", eos_token="</s>", pad_token="</s>"
)
tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
tokenizer.save_pretrained(folder)

torch.manual_seed(1)
LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
).save_pretrained(folder)
