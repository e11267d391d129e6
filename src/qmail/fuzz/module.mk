FUZZ_TARGETS += smtp_command smtp_data pop3_command pop3_transmit
fuzz_smtp_command_SOURCES := smtpd/command.c smtpd/path.c smtpd/plain.c
fuzz_smtp_data_SOURCES := smtpd/data.c
fuzz_pop3_command_SOURCES := pop3/command.c
fuzz_pop3_transmit_SOURCES := pop3/transmit.c
