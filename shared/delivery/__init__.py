"""Sending to the world outside: e-mail, signed webhooks, chat, contact centres. What is to be sent comes with a decision (`Message`)."""
