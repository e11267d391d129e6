#!/bin/sh
# Set up Postfix with its filters on a host where they are installed and configured, and publish its keys.
set -eu
cd /etc/postfix
postconf -e 'myhostname = mail.gamma.example' 'mydestination = gamma.example, mail.gamma.example, delta.example, epsilon.example' \
    'inet_protocols = ipv4' 'mynetworks = 127.0.0.0/8' 'local_recipient_maps =' 'luser_relay = carol' 'home_mailbox = Maildir/' \
    'smtpd_tls_cert_file = /etc/postfix/server.pem' 'smtpd_tls_key_file = /etc/postfix/server.key' \
    'smtpd_tls_security_level = may' 'smtpd_tls_received_header = yes' 'smtpd_tls_loglevel = 1' \
    'smtp_tls_security_level = dane' 'smtp_dns_support_level = dnssec' 'smtp_tls_loglevel = 1' \
    'smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt' 'maillog_file = /var/log/mail.log' \
    'smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:8893' 'non_smtpd_milters = inet:127.0.0.1:8891' \
    'milter_default_action = tempfail' 'message_size_limit = 60000000' 'minimal_backoff_time = 2s' 'queue_run_delay = 2s'
id carol >/dev/null 2>&1 || useradd --create-home carol
[ -e /etc/dkimkeys/world.private ] || (cd /etc/dkimkeys && opendkim-genkey --bits=2048 --domain=gamma.example --selector=world)
chown opendkim:opendkim /etc/dkimkeys/world.private
printf 'nameserver 127.0.0.1\noptions trust-ad\n' >/etc/resolv.conf
for service in unbound opendkim opendmarc postfix; do
    systemctl restart "$service"
done
public() { openssl x509 -in server.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1; }
signs=$(tr -d '\n\t' </etc/dkimkeys/world.txt | sed 's/^[^(]*(//; s/).*$//')
nsupdate -k /root/update.key <<EOT
server 198.18.7.10
zone gamma.example.
update delete _25._tcp.mail.gamma.example. TLSA
update add _25._tcp.mail.gamma.example. 60 TLSA 3 1 1 $(public)
update delete world._domainkey.gamma.example. TXT
update add world._domainkey.gamma.example. 60 TXT $signs
send
EOT
