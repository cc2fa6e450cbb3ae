"""Reading rules: lexicons of phrases that say what a text shows, found in one Aho-Corasick pass.

`words.read_words` splits a text once; `lexicon.Lexicon.find` says which labels its phrases show, and where. The phrases
are policy data (see `patterns` for how they are written), so that they change without code.
"""
