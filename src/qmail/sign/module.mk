PROGRAMS += qmail-sign
LEAN_PROGRAMS += qmail-sign
qmail-sign_SOURCES := $(addprefix sign/,qmail-sign.c answer.c signer.c spool.c) remote/encode.c queue/envelope.c

FUZZ_TARGETS += sign_answer
fuzz_sign_answer_SOURCES := sign/answer.c
