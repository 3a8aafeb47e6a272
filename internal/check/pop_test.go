package check

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPOPWithoutSendingThePassword checks APOP and CRAM-MD5 with the examples of RFC 1939 7 and RFC
// 2195 2.
func TestPOPWithoutSendingThePassword(t *testing.T) {
	tests := []struct{ name, greeting, capa, challenge, login, passwd, want string }{
		{"APOP", "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>", "-ERR", "", "mrose", "tanstaaf", "APOP mrose c4c9334bac560ecc979e58001b3e22fb"},
		{"CRAM-MD5", "+OK ready", "+OK\r\nTOP\r\nsasl PLAIN cram-md5\r\n.", "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
			"tim", "tanstaaftanstaaf", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			commands := make(chan string, 20)
			addr := server(t, func(c net.Conn) {
				_, _ = io.WriteString(c, tt.greeting+"\r\n") // a write error is normal: the check can have closed the connection
				for lines := bufio.NewScanner(c); lines.Scan(); {
					commands <- lines.Text()
					answer := "-ERR"
					switch word, _, _ := strings.Cut(lines.Text(), " "); {
					case lines.Text() == tt.want, word == "STAT", word == "QUIT":
						answer = "+OK"
					case word == "CAPA":
						answer = tt.capa
					case word == "AUTH":
						answer = tt.challenge
					}
					_, _ = io.WriteString(c, answer+"\r\n")
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := negotiation(t, "pop", Target{Addr: addr, Login: tt.login, Passwd: tt.passwd}).Check(ctx); err != nil {
				t.Error(err)
			}
			var got []string
			for len(commands) > 0 {
				got = append(got, <-commands)
			}
			if !slices.Contains(got, tt.want) {
				t.Errorf("got %q, want %q among them", got, tt.want)
			}
		})
	}
}
