"""bin/dns: the DNS records that a site needs, held against what the name servers say."""
