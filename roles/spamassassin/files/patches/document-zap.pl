#!/usr/bin/perl
# document-zap.pl FILE: describe -Y at the end of the list of options in spamc's manual page (POD).
use strict;
use warnings;

my ($file) = @ARGV or die "usage: document-zap.pl FILE\n";
my $item = <<'POD';
=item B<-Y> I<points>, B<--zap>=I<points>

Tell three zones apart by the exit code: B<0> for a message that is not spam, B<1> for spam, and B<2> for spam whose score
is at least I<points> above the threshold. Without this option nothing changes; with it B<-E> need not be given.

POD

open my $in, '<', $file or die "$file: $!\n";
my @lines = <$in>;
close $in;
my ($in_options, $depth, $done) = (0, 0, 0);
my @out;
for my $line (@lines) {
    $in_options = $line =~ /^=head1\s+OPTIONS\b/ if $line =~ /^=head1\b/;
    $depth++ if $in_options && $line =~ /^=over\b/;
    if ($in_options && $line =~ /^=back\b/ && --$depth == 0 && !$done++) {
        push @out, $item;
    }
    push @out, $line;
}
die "$file: no list of options below \"=head1 OPTIONS\"\n" if !$done;
open my $out, '>', "$file.new" or die "$file.new: $!\n";
print {$out} @out;
close $out or die "$file.new: $!\n";
rename "$file.new", $file or die "$file: $!\n";
