"""What a first message would pay for: libraries that import parts, and compile expressions, when they are needed.

The resident has it done before it forks. It is a self-test, too: a message of RFC 8463 is good.
"""

from __future__ import annotations

import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import spf
from qmail_dkim.stream import Message, lines_of
from qmail_dkim.verify import verify

KINDS = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT")
KEYS = {
    "brisbane": b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test": b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQ"
    b"iY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT"
    b"+l/K4w3QIDAQAB",
}
MESSAGE = b"""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""


class SelfTestError(Exception):
    """What must be good is not."""


def warm() -> None:
    """Go each way once, asking nobody. Raises SelfTestError."""
    for kind in KINDS:
        dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(kind))
    answer = dns.message.make_response(dns.message.make_query("example.org", "TXT"))
    answer.answer.append(dns.rrset.from_text("example.org.", 60, "IN", "TXT", '"text"'))
    dns.message.from_wire(answer.to_wire())
    found = verify(Message(lines_of([MESSAGE]), 65536), lambda name: [KEYS[name.partition(".")[0]]], 1528637909)
    if [each.result for each in found] != ["pass", "pass"]:
        raise SelfTestError(f"a good signature is taken for {', '.join(each.result for each in found)}")
    said = spf.query("192.0.2.1", "a@example.org", "example.org").check("v=spf1 ip4:192.0.2.1 -all")
    if said[0] != "pass":
        raise SelfTestError(f"a client that may send is taken for {said[0]}")
