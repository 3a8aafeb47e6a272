//go:build perl

package check

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestPerlAnswers queries the servers of TestAnswersOfServers, except for APOP and CRAM-MD5, as
// ldirectord does in Perl. It compares the results with the table of answers.
func TestPerlAnswers(t *testing.T) {
	scripts := map[string]string{
		"http": `use LWP::UserAgent; my $r = LWP::UserAgent->new->request(HTTP::Request->new("GET", "http://$h:$p/"));
			$ok = $r->is_success && $r->content =~ /all is well/;`,
		"smtp": `use Net::SMTP; my $s = Net::SMTP->new($h, Port => $p, Timeout => 5); $ok = !!$s;`,
		"nntp": `use IO::Socket::INET; my $s = IO::Socket::INET->new("$h:$p"); sysread($s, my $b, 64); $ok = $b =~ /^2/;`,
		"pop":  `use Mail::POP3Client; my $s = Mail::POP3Client->new(USER => "me", PASSWORD => "secret", HOST => $h, PORT => $p, TIMEOUT => 5, AUTH_MODE => "PASS"); $ok = $s->login();`,
		"imap": `use Net::IMAP::Simple; my $s = Net::IMAP::Simple->new("$h:$p", timeout => 5, retry => 0); $ok = $s && $s->login("me", "secret");`,
		"ftp":  `$ok = 1;`, // Without a receive pattern, every reply is good.
	}
	for _, tt := range answers() {
		if strings.Contains(tt.name, "APOP") || strings.Contains(tt.name, "CRAM") {
			continue // Perl tries these methods first; the servers expect another order of commands
		}
		t.Run(tt.service+"/"+tt.name, func(t *testing.T) {
			addr := server(t, tt.serve)
			script := fmt.Sprintf(`my ($h, $p) = ("%s", %d); my $ok; alarm 10; %s print $ok ? "up" : "down";`, addr.Addr(), addr.Port(), scripts[tt.service])
			output, _ := exec.Command("perl", "-e", script).Output() // if the alarm kills Perl, the output is not "up"
			if up := strings.TrimSpace(string(output)) == "up"; up != tt.perl {
				t.Errorf("ldirectord says %q", output)
			}
		})
	}
}
