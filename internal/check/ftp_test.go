package check

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestFTPSendsAFile checks that a check reads a file even if the server does not support some
// commands. Net::FTP does the same.
func TestFTPSendsAFile(t *testing.T) {
	data := server(t, func(c net.Conn) { _, _ = io.WriteString(c, "all is well") })
	port := data.Port()
	epsv, pasv := fmt.Sprintf("229 ok (|||%d|)", port), fmt.Sprintf("227 ok (192,0,2,1,%d,%d)", port>>8, port&255)
	tests := []struct {
		name    string
		answers map[string]string
		want    string
	}{
		{"EPSV", map[string]string{"TYPE": "200", "EPSV": epsv}, ""},
		{"no TYPE", map[string]string{"TYPE": "502", "EPSV": epsv}, ""},
		{"PASV", map[string]string{"TYPE": "200", "EPSV": "500 what", "PASV": pasv}, ""},
		{"EPSV without a port", map[string]string{"TYPE": "200", "EPSV": "229 ok", "PASV": pasv}, ""},
		{"PASV with another number", map[string]string{"TYPE": "200", "EPSV": "202", "PASV": strings.Replace(pasv, "227", "200", 1)}, ""},
		{"neither", map[string]string{"TYPE": "200", "EPSV": "500", "PASV": "500 what"}, "PASV: refused with 500 what"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, func(c net.Conn) {
				known := map[string]string{"USER": "331", "PASS": "230", "RETR": "150\r\n226", "QUIT": "221"}
				for word, answer := range tt.answers {
					known[word] = answer
				}
				_, _ = io.WriteString(c, "220\r\n") // a write error is normal: the check can have closed the connection
				for lines := bufio.NewScanner(c); lines.Scan(); {
					word, _, _ := strings.Cut(lines.Text(), " ")
					_, _ = io.WriteString(c, known[word]+"\r\n")
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := negotiation(t, "ftp", Target{Addr: addr, Request: "/health", Receive: perls(t, "all is well")}).Check(ctx)
			says(t, err, fmt.Sprintf("ftp %s: ", addr), tt.want)
		})
	}
}
