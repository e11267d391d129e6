#!/usr/bin/perl
# verify-zap.pl SPAMC: does this spamc tell the three zones apart by its exit code? Asks it about scores that a stand-in for
# spamd answers with.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::UNIX;

my ($spamc) = @ARGV or die "usage: verify-zap.pl SPAMC\n";
my $where = tempdir(CLEANUP => 1) . '/spamd';
my $faults = 0;

sub serve_one {
    my ($listener, $score) = @_;
    my $client = $listener->accept or die "accept: $!\n";
    my ($length, $message) = (0, '');
    while (defined(my $line = <$client>)) {
        $line =~ s/\r?\n\z//;
        last if $line eq '';
        $length = $1 if $line =~ /^Content-length:\s*(\d+)/i;
    }
    read $client, $message, $length;
    my $spam = $score >= 5 ? 'True' : 'False';
    print {$client} "SPAMD/1.1 0 EX_OK\r\nContent-length: ", length $message,
        "\r\nSpam: $spam ; $score / 5.0\r\n\r\n", $message;
    close $client;
}

my $message = "From: a\@example.org\nSubject: x\n\nbody\n";
for my $case (
    ['4.9', 0, '-Y', '2.0'], ['5.0', 1, '-Y', '2.0'], ['6.9', 1, '-Y', '2.0'], ['7.0', 2, '-Y', '2.0'],
    ['999.9', 2, '--zap', '2'], ['6.8', 2, '-Y', '1.8'], ['7.0', 1, '-E'],
) {
    my ($score, $wanted, @options) = @$case;
    unlink $where;
    my $listener = IO::Socket::UNIX->new(Local => $where, Listen => 1) or die "$where: $!\n";
    my $server = fork // die "fork: $!\n";
    if (!$server) { alarm 20; serve_one($listener, $score); exit 0 }
    close $listener;
    open my $pipe, '|-', "exec '$spamc' -x -U '$where' @options >'$where.out'" or die "$spamc: $!\n";
    print {$pipe} $message;
    close $pipe;
    my $code = $? >> 8;
    waitpid $server, 0;
    open my $out, '<', "$where.out" or die "$where.out: $!\n";
    my $answer = do { local $/; <$out> };
    next if $code == $wanted && $answer eq $message;
    print "score $score with @options: exit code $code, not $wanted, or a changed message\n";
    $faults++;
}
if (`'$spamc' -h` !~ /--zap/) {
    print "spamc -h does not tell of --zap\n";
    $faults++;
}
exit !!$faults;
