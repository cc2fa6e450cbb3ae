"""Text as people send it: characters, encodings, HTML, quotes. Pure; nothing here knows a language's words beyond headings."""
