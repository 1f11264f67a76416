# Perl: a hash of strings, a regular expression, a sum in floating point, which is the Riemann zeta function at -1/2.
turns=$(about 385)
check perl "$((26 * turns)) $((5 * turns)) -0.2079" "$(perl -e '
    my ($n, %h) = (26 * $ARGV[0]);
    $h{$_ * 7919 % 1009} .= chr(97 + $_ % 26) for 1 .. $n;
    my $s = join "", map { $h{$_} } sort { $a <=> $b } keys %h;
    my $v = () = $s =~ /[aeiou]/g;
    my $x = 0;
    $x += sqrt($_) * (sin($_) ** 2 + cos($_) ** 2) for 1 .. $n;
    printf "%d %d %.4f", length $s, $v, $x - 2 / 3 * $n ** 1.5 - sqrt($n) / 2 - 1 / 24 / sqrt($n)' $turns)"
