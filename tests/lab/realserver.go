package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// HealthPage is the name of the page that real servers serve to health checks. The page's text is
// OK.
const HealthPage = ".health.html"

// LdirectordConfig is an ldirectord.cf that balances VIP over rs1 and rs2. It is from a how-to of
// 2015.
const LdirectordConfig = `checktimeout=3
checkinterval=1
autoreload=yes
quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	fallback=127.0.0.1:80 gate
	service=http
	request=".health.html"
	receive="OK"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
	checkport=80
`

const nginxConf = `daemon off;
master_process off;
user root;
pid nginx.pid;
error_log stderr;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path tmp;
	proxy_temp_path tmp;
	fastcgi_temp_path tmp;
	uwsgi_temp_path tmp;
	scgi_temp_path tmp;
	server {
		listen 80 reuseport;
		listen [::]:80 ipv6only=on reuseport;
		root html;
	}
}
`

// StartRealServers calls Host.HideVIP and Host.Serve on rs1 and rs2. After the call, both hosts are
// real servers with direct routing for the VIPs.
func (t *Topology) StartRealServers(tb testing.TB, vips ...string) {
	tb.Helper()
	for _, name := range []string{"rs1", "rs2"} {
		t.Host(name).HideVIP(tb, vips...)
		t.Host(name).Serve(tb)
	}
}

// HideVIP adds the VIPs to lo of a real server. It sets arp_ignore=1 and arp_announce=2, so that
// the real server does not reply to ARP requests for the VIPs.
func (h *Host) HideVIP(tb testing.TB, vips ...string) {
	tb.Helper()
	h.Script(tb, `cd /proc/sys/net/ipv4/conf/all; echo 1 >arp_ignore; echo 2 >arp_announce`)
	var lines []string
	for _, vip := range vips {
		if strings.Contains(vip, ":") {
			lines = append(lines, "addr add "+vip+"/128 dev lo nodad")
			continue
		}
		lines = append(lines, "addr add "+vip+"/32 dev lo")
	}
	if len(lines) == 0 {
		return
	}
	if err := ip(h.netns, lines...); err != nil {
		tb.Fatal(err)
	}
}

// Serve starts nginx on port 80 of every address of the host. The text of the page is the host's
// name.
func (h *Host) Serve(tb testing.TB) *Process {
	tb.Helper()
	return h.serve(tb, h.Name)
}

// ServeSorry starts nginx as the sorry server of a director: the web server that
// fallback=127.0.0.1:80 names. Its page is SorryPage.
func (h *Host) ServeSorry(tb testing.TB) *Process {
	tb.Helper()
	return h.serve(tb, SorryPage)
}

func (h *Host) serve(tb testing.TB, text string) *Process {
	tb.Helper()
	dir := tb.TempDir()
	h.docRoot = filepath.Join(dir, "html")
	for _, sub := range []string{"html", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"nginx.conf": nginxConf, "html/index.html": text + "\n", "html/" + HealthPage: "OK\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	nginx := h.Start(tb, "nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	Wait(tb, 20*time.Second, "nginx on "+h.Name, func() error {
		select {
		case <-nginx.Done():
			tb.Fatalf("nginx on %s ended: %s", h.Name, nginx.Output())
		default:
		}
		page, err := h.Get(context.Background(), "http://"+h.Addr+"/")
		if err == nil && page != text+"\n" {
			err = fmt.Errorf("page is %q", page)
		}
		return err
	})
	return nginx
}

// SetHealthy renames the health page of the host if healthy is false, so that health checks fail.
// If healthy is true, it gives the page its name again.
func (h *Host) SetHealthy(tb testing.TB, healthy bool) {
	tb.Helper()
	page := filepath.Join(h.docRoot, HealthPage)
	from, to := page, page+".away"
	if healthy {
		from, to = to, from
	}
	if err := os.Rename(from, to); err != nil {
		tb.Fatal(err)
	}
}
