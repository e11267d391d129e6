#!/usr/bin/perl
# relays.pl [OPTION=VALUE ...] <messages: what SpamAssassin's own parser makes of the Received fields of each.
#
# Messages end in NUL. The options are Mail::SpamAssassin's, such as site_rules_filename=/etc/spamassassin. One line of JSON
# for each message: trusted and untrusted relays, the newest first, and how many fields could not be parsed.
use strict;
use warnings;
use JSON::PP;
use Mail::SpamAssassin;
use Mail::SpamAssassin::PerMsgStatus;

my %options = map { split /=/, $_, 2 } @ARGV;
my $assassin = Mail::SpamAssassin->new({ dont_copy_prefs => 1, local_tests_only => 1, %options });
$assassin->init(1);

my $json = JSON::PP->new->canonical->latin1;
my @parts = qw(ip rdns helo by ident envfrom auth);
local $/ = "\0";
while (defined(my $text = <STDIN>)) {
    chomp $text;
    my $message = $assassin->parse($text, 1);
    my $status = Mail::SpamAssassin::PerMsgStatus->new($assassin, $message);
    $message->extract_message_metadata($status);
    my $known = $message->{metadata};
    my %said = (unparseable => $known->{num_relays_unparseable});
    for my $kind (qw(trusted untrusted)) {
        $said{$kind} = [map { my $relay = $_; +{ map { $_ => $relay->{$_} // '' } @parts } } @{ $known->{"relays_$kind"} }];
    }
    print $json->encode(\%said), "\n";
    $status->finish;
    $message->finish;
}
