"""What other domains ask for in SMTP over TLS: their MTA-STS policies (RFC 8461), and reports (RFC 8460)."""
