"""Sending to the world outside: e-mail, signed webhooks, chat. What is to be sent comes with a decision (`Message`)."""
