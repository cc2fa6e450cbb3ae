"""What is new in a reply: mail programs' quotations go, the writer's own words never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.quotes import strip_reply

NEW = "Nobody called me back.\nI want my money."
REPLIES = {
    "gmail": f"{NEW}\n\nOn Mon, 2 Mar 2026 at 09:12, Care Team <care@shop.example> wrote:\n\n> We will call you.\n> Today.\n",
    "gmail, folded": f"{NEW}\n\nOn Mon, 2 Mar 2026 at 09:12, A Very Long Care Team Name\n<care@shop.example> wrote:\n> We will call you.\n",
    "apple, German": f"{NEW}\n\n> Am 02.03.2026 um 09:12 schrieb Care <care@shop.example>:\n> \n> Wir rufen an.\n",
    "thunderbird, German": f"{NEW}\n\nAm 02.03.26 um 09:12 schrieb Care:\n> Wir rufen an.\n",
    "French": f"{NEW}\n\nLe lun. 2 mars 2026 à 09:12, Service <care@shop.example> a écrit :\n\n> Nous vous appelons.\n",
    "Spanish": f"{NEW}\n\nEl lun, 2 mar 2026 a las 9:12, Atención (<care@shop.example>) escribió:\n\n> Le llamaremos.\n",
    "Dutch, no marks": f"{NEW}\n\nOp ma 2 mrt 2026 om 09:12 schreef Care <care@shop.example>:\n\nWij bellen u.\n",
    "Polish": f"{NEW}\n\npon., 2 mar 2026 o 09:12 Care <care@shop.example> napisał(a):\n\n> Zadzwonimy.\n",
    "a language that nobody listed": f"{NEW}\n\n02.03.2026 09:12 Care <care@shop.example> zxcvb:\n> qwerty\n",
    "outlook": f"{NEW}\n\n________________________________\nFrom: Care <care@shop.example>\nSent: Monday, March 2, 2026 9:12 AM\n"
    "To: Ada\nSubject: Your order\n\nWe will call you.\n",
    "outlook, German": f"{NEW}\n\n"
    "Von: Care <care@shop.example>\nGesendet: Montag, 2. März 2026 09:12\nAn: Ada\nBetreff: Bestellung\n\nWir rufen an.",
    "outlook, bold": f"{NEW}\n\n*From:* Care\n*Sent:* Monday\n*To:* Ada\n*Subject:* Order\n\nWe will call you.\n",
    "original message": f"{NEW}\n\n-----Original Message-----\nFrom: Care\nSent: Monday\n\nWe will call you.\n",
    "Nachricht": f"{NEW}\n\n-----Ursprüngliche Nachricht-----\nVon: Care\n\nWir rufen an.\n",
    "marker": f"{NEW}\n\n##- Please type your reply above this line -##\n\nYour request (1234) was updated.\n",
    "signature": f"{NEW}\n\n-- \nAda Lovelace\nMathematician\n",
    "phone": f"{NEW}\n\nSent from my iPhone\n",
    "phone and quote": f"{NEW}\n\n"
    "Von meinem iPhone gesendet\n\n> Am 02.03.2026 um 09:12 schrieb Care <care@shop.example>:\n> \n> Wir rufen an.\n",
    "below the quote": f"On Mon, 2 Mar 2026 at 09:12, Care <care@shop.example> wrote:\n> We will call you.\n> Today.\n\n{NEW}\n",
}
WHOLE = {
    "a list with fields": "Name: Ada\nEmail: ada@example.org\nDate: 2026-03-02\nTo: you\nProblem: it leaks",
    "a form that begins with From": "From: Ada\nDate: 2 March 2026\nTo: Complaints\nSubject: Leak\nMessage: It leaks.",
    "a sentence ending in a colon": "I told you on 2 March, and these are my reasons:\n- it leaks\n- it is loud",
    "one greater-than sign": "Bills have gone up.\n> 3 weeks without heating!\nI am tired of it.",
    "a dashed title": "--- My complaint ---\nIt leaks.",
    "what somebody wrote": "Your agent wrote on 3 March that I am a liar.\nHe wrote:\nYou are a liar.",
    "what somebody wrote on a day": "It broke.\nOn 3 March your agent wrote:\n\"we will call\". You did not.",
    "what somebody wrote at a time": "It broke.\nOn 3 March at 10:30 he wrote:\nwe will call\nYou did not.",
    "what somebody wrote, in German": "Kaputt.\nAm 3.3.2026 um 10:30 Uhr hat Ihre Mitarbeiterin geschrieben:\nWir rufen an.\nNichts kam.",
    "a divider of two dashes and a long letter": "Dear all\n--\n" + "\n".join(f"Point {n}: it leaks." for n in range(20)),
    "forwarded": "See below.\n\n"
    "---------- Forwarded message ---------\nFrom: Care <care@shop.example>\nDate: Mon\nSubject: Re\nTo: Ada\n\nWe refuse.\n"
    "\nOn Mon, 2 Mar 2026, Ada wrote:\n> It leaks.\n> It leaks.",
    "nothing but a quotation": "> It leaks.\n> It is loud.",
    "empty": "",
}


@pytest.mark.parametrize("text", REPLIES.values(), ids=REPLIES)
def test_only_what_is_new_is_left(text: str) -> None:
    assert strip_reply(text) == (NEW, True)


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_what_may_be_the_writers_own_stays_whole(text: str) -> None:
    assert strip_reply(text) == (text, False)


def test_answers_between_quoted_lines_are_kept() -> None:
    text = (
        "On Mon, 2 Mar 2026, Care <care@shop.example> wrote:\n> Did you get it?\n> Please tell us.\nNo.\n\n> Do you want another?\n"
        "> Or money?\nMoney."
    )
    assert strip_reply(text).text.split() == ["No.", "Money."]


@given(st.lists(st.sampled_from([*"\n".join(REPLIES.values()).split("\n"), "", "Own words.", "> q"]), max_size=30))
def test_every_line_that_is_left_was_there_and_never_nothing(lines: list[str]) -> None:
    text = "\n".join(lines)
    new, changed = strip_reply(text)
    assert set(new.split("\n")) <= {line.rstrip() for line in lines} | set(lines) | {""}
    assert bool(new.strip()) == bool(text.strip())
    assert changed == (new.split() != text.split())
