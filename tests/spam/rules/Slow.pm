# For tests: a rule that takes as many seconds of a processor as the Subject asks for.
package Slow;
use strict;
use warnings;
use Mail::SpamAssassin::Plugin;
our @ISA = qw(Mail::SpamAssassin::Plugin);

sub new {
    my ($class, $main) = @_;
    my $self = $class->SUPER::new($main);
    bless $self, $class;
    $self->register_eval_rule('takes_time');
    return $self;
}

sub takes_time {
    my ($self, $status) = @_;
    my ($seconds) = $status->get('Subject') =~ /\bslow ([0-9]+)\b/ or return 0;
    my $end = time + $seconds;
    1 while time < $end;
    return 0;
}

1;
