"""The chat template of models made from scratch: ChatML-like roles, one token each, and a stop token that ends every turn.

The space after a role keeps a turn's first word the same token as that word inside a sentence.
"""

PAD = "<|pad|>"
STOP = "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
SPECIAL_TOKENS = (PAD, STOP, *ROLES)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant', 'tool'] -%}
{{- raise_exception('unknown role ' ~ message['role']) -}}
{%- endif -%}
{{- '<|' ~ message['role'] ~ '|>' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- ' ' ~ message['content'] ~ '<|end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- ' ' ~ message['content'] ~ '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}"""
