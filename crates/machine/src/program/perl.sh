# Perl: a hash of strings, a regular expression, a sum in floating point.
check perl '10000 1917 72.463463' "$(perl -e '
    my %h;
    $h{$_ * 7919 % 1009} .= chr(97 + $_ % 26) for 1 .. 10000;
    my $s = join "", map { $h{$_} } sort { $a <=> $b } keys %h;
    my $n = () = $s =~ /[aeiou]+[^aeiou]/g;
    my $x = 0;
    $x += sqrt($_) * sin($_) for 1 .. 10000;
    printf "%d %d %.6f", length $s, $n, $x')"
