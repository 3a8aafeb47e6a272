# Reads lines "EXPRESSION-IN-HEX TEXT-IN-HEX" and says of each whether Perl matches: 1, 0, or
# "error" and why.
no warnings;
$SIG{ALRM} = sub { die "slow\n" };
$| = 1;
while (<STDIN>) {
	chomp;
	my ($expression, $text) = map { pack "H*", $_ } split / /, $_, 2;
	my $found = eval { $expression eq '' || $text =~ /$expression/ ? 1 : 0 };
	my $why = $@;
	$why =~ s/[^ -~]/?/g;
	print defined $found ? "$found\n" : "error $why\n";
}
