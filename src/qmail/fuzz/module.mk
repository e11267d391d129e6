FUZZ_TARGETS += smtp_command smtp_data authors pop3_command pop3_transmit
fuzz_smtp_command_SOURCES := smtpd/command.c smtpd/path.c smtpd/plain.c
fuzz_smtp_data_SOURCES := smtpd/data.c
fuzz_authors_SOURCES := smtpd/authors.c inject/rewrite.c inject/lexer.c
fuzz_pop3_command_SOURCES := pop3/command.c
fuzz_pop3_transmit_SOURCES := pop3/transmit.c

FUZZ_TARGETS += dotqmail rewrite compose mbox control
fuzz_dotqmail_SOURCES := local/dotqmail.c
fuzz_rewrite_SOURCES := inject/rewrite.c inject/lexer.c
fuzz_compose_SOURCES := inject/compose.c inject/header.c inject/lexer.c inject/rewrite.c inject/settings.c
fuzz_mbox_SOURCES := local/mbox.c local/limit.c local/message.c local/outcome.c

FUZZ_TARGETS += maildirsize

FUZZ_TARGETS += listmail
fuzz_listmail_SOURCES := local/listmail.c inject/header.c

FUZZ_TARGETS += complete
fuzz_complete_SOURCES := smtpd/complete.c

FUZZ_TARGETS += results
fuzz_results_SOURCES := smtpd/results.c

FUZZ_TARGETS += dns_packet
fuzz_dns_packet_SOURCES := smtpd/dnspacket.c
