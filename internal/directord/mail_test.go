package directord

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// relay starts an SMTP server and returns its address. The channel mails receives the mail that the
// server accepts.
func relay(t *testing.T) (addr string, mails <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go receive(conn, accepted)
		}
	}()
	return l.Addr().String(), accepted
}

func receive(conn net.Conn, accepted chan<- string) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 test\r\n")
	for {
		line, err := reader.ReadString('\n')
		switch {
		case err != nil:
			return
		case !strings.HasPrefix(line, "DATA"):
			fmt.Fprint(conn, "250 ok\r\n")
			continue
		}
		fmt.Fprint(conn, "354 go on\r\n")
		text := ""
		for line != ".\r\n" && err == nil {
			line, err = reader.ReadString('\n')
			text += line
		}
		accepted <- strings.ReplaceAll(text, "\r\n", "\n")
		fmt.Fprint(conn, "250 done\r\n")
	}
}

// TestMailAboutARealServer checks the mail when a real server becomes bad, when it becomes good,
// and when the daemon ends.
func TestMailAboutARealServer(t *testing.T) {
	s := newSite(t)
	addr, mails := relay(t)
	s.sys.Environ = append([]string{"USER=lvs", "HOSTNAME=director1"}, s.sys.Environ...)
	second := listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	server := fmt.Sprintf("127.0.0.2:%d (192.0.2.10:80)", s.port)
	s.write("quiescent=yes\nemailalert=admin@example.org\nemailalertstatus=running,stopping\nsmtp=" + addr + "\n" +
		s.service("192.0.2.10:80", "127.0.0.2") + "\tservicename=\"shop\"\n\tcomment=\"ask Jane\"\n")
	s.serve()
	s.wait(func() string { return fmt.Sprint(strings.Contains(s.kernel.String(), "-w 1")) }, "true")
	next := func(subject, phase string) {
		t.Helper()
		select {
		case mail := <-mails:
			body := fmt.Sprintf("ldirectord host: director1\nLog-Message: [shop] %s\nDaemon-Status: %s\nService name: shop\nComment: ask Jane\n", subject, phase)
			unfolded := strings.NewReplacer("\n ", " ", "=\n", "").Replace(mail)
			for _, want := range []string{"From: <lvs@director1>\n", "To: <admin@example.org>\n", "Subject: [shop] " + subject + "\n", body} {
				if !strings.Contains(unfolded, want) {
					t.Errorf("no %q in\n%s", want, mail)
				}
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no mail about %s; log: %s", subject, s.read("log"))
		}
	}
	_ = second.Close()
	next("Quiescent real server: "+server+" (Weight set to 0)", "running")
	listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	next("Restored real server: "+server+" (Weight set to 1)", "running")
	s.stop()
	next("Purged real server (stop): "+server, "stopping")
	select {
	case mail := <-mails:
		t.Errorf("one more: %s", mail)
	default:
	}
}

// TestReminders checks that a reminder is due after the interval of its service. For a real server
// that was good meanwhile, the interval starts again.
func TestReminders(t *testing.T) {
	service := &health.Service{Alert: config.Alert{Repeat: time.Minute}}
	service.ID = lvs.MarkService(1, false)
	one := health.Event{Service: service, Server: netip.MustParseAddrPort("192.0.2.21:80")}
	two := health.Event{Service: service, Server: netip.MustParseAddrPort("192.0.2.22:80")}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	last := reminders{}
	for _, step := range []struct {
		after time.Duration
		down  []health.Event
		want  string
	}{
		{0, []health.Event{one}, "[]"},
		{30 * time.Second, []health.Event{one, two}, "[]"},
		{60 * time.Second, []health.Event{one, two}, "[192.0.2.21:80]"},
		{89 * time.Second, []health.Event{one, two}, "[]"},
		{90 * time.Second, []health.Event{one, two}, "[192.0.2.22:80]"},
		{120 * time.Second, []health.Event{two}, "[]"},
		{121 * time.Second, []health.Event{one, two}, "[]"},
		{180 * time.Second, []health.Event{one, two}, "[192.0.2.22:80]"},
		{181 * time.Second, []health.Event{one, two}, "[192.0.2.21:80]"},
	} {
		servers := []netip.AddrPort{}
		for _, e := range last.due(began.Add(step.after), step.down) {
			servers = append(servers, e.Server)
		}
		if got := fmt.Sprint(servers); got != step.want {
			t.Errorf("after %s: got %s, want %s", step.after, got, step.want)
		}
	}
}
