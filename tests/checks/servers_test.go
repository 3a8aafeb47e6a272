package checks

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon describes a server program that the checks query: its files, and the commands that start
// it.
type daemon struct {
	name  string
	owner string            // user who owns the server's directory; empty for root
	as    string            // user who runs the server; empty for root
	files map[string]string // configuration files by name; in their texts $D is the server's directory, $W its parent
	setup [][]string        // commands that run before the server starts, as the same user in the server's directory
	argv  []string          // command line of the server, which must stay in the foreground
	ready []string          // addresses on which the server listens as soon as it is ready
}

// Credentials of the servers.
const (
	login  = "checker"
	passwd = "g00d-pa55word"
	secret = "sh4red-5ecret"
)

func daemons() []daemon {
	return []daemon{nginx(), vsftpd(), postfix(), dovecot(), slapd("right"), slapd("expired"), slapd("wrong-name"), slapd("self-signed"),
		named(), mariadb(), postgres(), freeradius(), kamailio(), squid()}
}

// tlsAddr returns the address of the TLS server that uses the named certificate.
func tlsAddr(net int, certificate string) string {
	for i, c := range certificates() {
		if c.file == certificate {
			return fmt.Sprintf("127.0.%d.%d", net, i+1)
		}
	}
	return ""
}

func nginx() daemon {
	servers := `server { listen 127.0.80.1:80 default_server; listen [::1]:80 default_server; root $D;
		location = /health { return 200 "all is well\n"; }
		location = /hidden { return 404 "all is well\n"; }
		location = /move { return 302 /health; }
		location = /away { return 302 http://other.example.org/; }
		location = /loop { return 302 /loop; }
	}
`
	for _, c := range certificates() {
		servers += fmt.Sprintf(`server { listen %s:443 ssl; %s ssl_certificate $W/%s.pem; ssl_certificate_key $W/%s.key;
		location = /health { return 200 "all is well\n"; }
		location = /loop { return 302 /loop; }
	}
`, tlsAddr(80, c.file), onlyRight(c.file, "listen [::1]:443 ssl;"), c.file, c.file)
	}
	return daemon{
		name: "nginx",
		files: map[string]string{"conf": `daemon off; pid $D/pid; error_log $D/log; user nobody nogroup; worker_processes 1;
events {}
http { access_log off; client_body_temp_path $D/b; proxy_temp_path $D/p; fastcgi_temp_path $D/f; uwsgi_temp_path $D/u; scgi_temp_path $D/s;
` + servers + "}\n"},
		argv:  []string{"nginx", "-c", "$D/conf"},
		ready: []string{"127.0.80.1:80", tlsAddr(80, "self-signed") + ":443"},
	}
}

// onlyRight returns text if the server has the certificate "right", otherwise "". Only that server
// also listens on the IPv6 address.
func onlyRight(certificate, text string) string {
	if certificate == "right" {
		return text
	}
	return ""
}

// vsftpd describes the FTP server. Its only user is anonymous, because other users would need
// accounts on the test host. The server accepts a password of this user if the file passwords lists
// it.
func vsftpd() daemon {
	return daemon{
		name: "vsftpd",
		files: map[string]string{
			"conf": `listen=YES
listen_address=127.0.21.1
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=$D/root
ftp_username=daemon
secure_chroot_dir=$D/empty
secure_email_list_enable=YES
email_password_file=$D/passwords
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
`,
			"passwords": passwd + "\n", "root/health": "all is well\n", "empty/.keep": "",
		},
		argv:  []string{"vsftpd", "$D/conf"},
		ready: []string{"127.0.21.1:21"},
	}
}

// The test starts postfix with its program master, because the usual start script would use the
// configuration of the host.
func postfix() daemon {
	queue := "cd queue && mkdir -p active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace && " +
		"chown -R postfix . && chown root pid . && chgrp postdrop public maildrop && chmod 1730 maildrop && chmod 2710 public && chmod 700 private && chown postfix ../data"
	return daemon{
		name: "postfix",
		files: map[string]string{
			"main.cf": `compatibility_level = 3.6
queue_directory = $D/queue
data_directory = $D/data
maillog_file = $D/log
maillog_file_prefixes = /
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.example.org
mydestination =
local_recipient_maps =
`,
			"master.cf": `127.0.25.1:25 inet n - n - - smtpd
127.0.25.1:587 inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
cleanup unix n - n - 0 cleanup
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`, "queue/.keep": "", "data/.keep": "",
		},
		setup: [][]string{{"sh", "-ec", queue}},
		argv:  []string{"/usr/lib/postfix/sbin/master", "-c", "$D", "-d"},
		ready: []string{"127.0.25.1:25", "127.0.25.1:587"},
	}
}

func dovecot() daemon {
	locals := ""
	for _, c := range certificates() {
		locals += fmt.Sprintf("local %s {\n  ssl_cert = <$W/%s.pem\n  ssl_key = <$W/%s.key\n}\n", tlsAddr(143, c.file), c.file, c.file)
	}
	listen := make([]string, 0, 4)
	for _, c := range certificates() {
		listen = append(listen, tlsAddr(143, c.file))
	}
	return daemon{
		name: "dovecot",
		files: map[string]string{
			"conf": `base_dir = $D/run
state_dir = $D/state
instance_name = checks
log_path = $D/log
protocols = imap pop3
listen = ` + strings.Join(listen, ", ") + `
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = mbox:$D/mail:INBOX=$D/mail/inbox
mail_privileged_group =
ssl = yes
ssl_cert = <$W/right.pem
ssl_key = <$W/right.key
ssl_dh =
default_internal_user = dovecot
default_login_user = dovenull
service imap-login {
  chroot =
}
service pop3-login {
  chroot =
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = passwd-file
  args = $D/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$D/mail
}
` + locals,
			"users": login + ":{PLAIN}" + passwd + "\n", "mail/inbox": "",
		},
		setup: [][]string{{"chown", "-R", "nobody:nogroup", "mail"}},
		argv:  []string{"dovecot", "-F", "-c", "$D/conf"},
		ready: []string{"127.0.143.1:143", "127.0.143.1:110", "127.0.143.4:993", "127.0.143.4:995"},
	}
}

// slapd describes an LDAP server with one certificate. A slapd process cannot have several
// certificates, so each certificate has its own process.
func slapd(certificate string) daemon {
	addr := tlsAddr(38, certificate)
	return daemon{
		name: "slapd-" + certificate, owner: "openldap",
		files: map[string]string{
			"conf": `include /etc/ldap/schema/core.schema
pidfile $D/pid
argsfile $D/args
modulepath /usr/lib/ldap
moduleload back_mdb
require bind
TLSCertificateFile $W/` + certificate + `.pem
TLSCertificateKeyFile $W/` + certificate + `.key
database mdb
maxsize 1048576
suffix "dc=example,dc=org"
rootdn "cn=checker,dc=example,dc=org"
rootpw ` + passwd + `
directory $D/db
`,
			"ldif":     "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n",
			"db/.keep": "",
		},
		setup: [][]string{{"/usr/sbin/slapadd", "-f", "conf", "-l", "ldif"}, {"chown", "-R", "openldap:openldap", "db"}},
		argv:  []string{"slapd", "-f", "$D/conf", "-u", "openldap", "-g", "openldap", "-h", "ldap://" + addr + ":389 ldaps://" + addr + ":636" + onlyRight(certificate, " ldap://[::1]:389 ldaps://[::1]:636"), "-d", "0"},
		ready: []string{addr + ":389", addr + ":636"},
	}
}

func named() daemon {
	return daemon{
		name: "named", owner: "bind",
		files: map[string]string{
			"conf": `options { directory "$D"; listen-on { 127.0.53.1; }; listen-on-v6 { ::1; }; pid-file none; session-keyfile none; recursion no; dnssec-validation no; };
controls { };
zone "example.org" { type primary; file "$D/zone"; };
zone "2.0.192.in-addr.arpa" { type primary; file "$D/reverse"; };
`,
			"zone": `$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
ns A 127.0.53.1
www A 192.0.2.10
six AAAA 2001:db8::10
`,
			"reverse": "$TTL 60\n@ SOA ns.example.org. hostmaster.example.org. 1 60 60 60 60\n@ NS ns.example.org.\n10 PTR www.example.org.\n",
		},
		argv:  []string{"named", "-g", "-c", "$D/conf", "-u", "bind"},
		ready: []string{"127.0.53.1:53"},
	}
}

func mariadb() daemon {
	return daemon{
		name: "mariadb", owner: "nobody",
		files: map[string]string{"init.sql": "CREATE DATABASE shop;\nCREATE USER '" + login + "'@'%' IDENTIFIED BY '" + passwd + "';\n" +
			"GRANT SELECT ON *.* TO '" + login + "'@'%';\nCREATE TABLE shop.empty (a INT);\n"},
		// This command creates the system tables as mariadb-install-db does. That script is in a
		// package that the tests do not install.
		setup: [][]string{{"sh", "-ec", "mkdir -p data/mysql && chown -R nobody data && " +
			"{ echo 'use mysql;'; echo 'set @auth_root_socket=NULL, @skip_auth_anonymous=1;'; cat /usr/share/mysql/mysql_system_tables.sql /usr/share/mysql/mysql_system_tables_data.sql; } | " +
			"mariadbd --no-defaults --bootstrap --datadir=$D/data --user=nobody --innodb-buffer-pool-size=8M"}},
		argv: []string{"mariadbd", "--no-defaults", "--datadir=$D/data", "--user=nobody", "--socket=$D/socket", "--pid-file=$D/pid", "--bind-address=127.0.33.1,::1",
			"--skip-name-resolve", "--init-file=$D/init.sql", "--innodb-buffer-pool-size=8M", "--performance-schema=OFF", "--innodb-flush-log-at-trx-commit=0"},
		ready: []string{"127.0.33.1:3306"},
	}
}

func postgres() daemon {
	bin := "/usr/lib/postgresql/15/bin"
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err == nil && len(found) > 0 {
		bin = found[len(found)-1]
	}
	return daemon{
		name: "postgres", owner: "postgres", as: "postgres",
		files: map[string]string{"password": passwd + "\n"},
		setup: [][]string{
			{bin + "/initdb", "-D", "$D/data", "-U", login, "-A", "scram-sha-256", "--pwfile=$D/password", "--no-sync", "--locale=C"},
			{"sh", "-c", "{ echo host all all 127.0.0.0/8 scram-sha-256; echo host all all ::1/128 scram-sha-256; } >$D/data/pg_hba.conf"},
		},
		argv: []string{bin + "/postgres", "-D", "$D/data", "-c", "listen_addresses=127.0.54.1,::1", "-c", "unix_socket_directories=$D", "-c", "fsync=off",
			"-c", "dynamic_shared_memory_type=mmap", "-c", "shared_buffers=8MB", "-c", "ssl=off"},
		ready: []string{"127.0.54.1:5432"},
	}
}

func freeradius() daemon {
	return daemon{
		name: "freeradius",
		files: map[string]string{
			"radiusd.conf": `prefix = /usr
logdir = $D
raddbdir = $D
radacctdir = $D
confdir = $D
run_dir = $D
db_dir = $D
name = freeradius
libdir = /usr/lib/freeradius
pidfile = $D/pid
correct_escapes = true
max_requests = 256
security {
	reject_delay = 0
}
client local {
	ipaddr = 127.0.0.0/8
	secret = ` + secret + `
}
modules {
	pap {
	}
	files {
		filename = $D/users
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.18.1
		port = 1812
	}
	authorize {
		files
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
`, "users": login + ` Cleartext-Password := "` + passwd + "\"\n"},
		argv:  []string{"freeradius", "-f", "-l", "stdout", "-d", "$D", "-D", "/usr/share/freeradius"},
		ready: []string{"udp 127.0.18.1:1812"},
	}
}

func kamailio() daemon {
	return daemon{
		name: "kamailio", owner: "nobody",
		files: map[string]string{"conf": `children=1
tcp_children=1
log_stderror=yes
debug=0
listen=udp:127.0.50.1:5060
listen=tcp:127.0.50.1:5060
auto_aliases=no
loadmodule "sl.so"
request_route {
	if (method == "OPTIONS" && !(uri =~ "stranger")) { sl_send_reply("200", "OK"); } else { sl_send_reply("403", "Forbidden"); }
}
`},
		argv:  []string{"kamailio", "-f", "$D/conf", "-DD", "-E", "-Y", "$D", "-u", "nobody", "-g", "nogroup"},
		ready: []string{"127.0.50.1:5060"},
	}
}

func squid() daemon {
	return daemon{
		name: "squid", owner: "proxy",
		files: map[string]string{"conf": `http_port 127.0.31.1:3128
http_access allow all
cache deny all
cache_log $D/log
access_log none
pid_filename none
coredump_dir $D
visible_hostname proxy.example.org
pinger_enable off
netdb_filename none
max_filedescriptors 1024
`},
		argv:  []string{"squid", "-N", "-n", filepath.Base(work), "-f", "$D/conf"}, // -n is the prefix of the names of squid's shared memory
		ready: []string{"127.0.31.1:3128"},
	}
}

// startAll starts every server and waits until each of them listens.
func startAll(t *testing.T) {
	t.Helper()
	serveNews(t)
	var starting sync.WaitGroup
	for _, d := range daemons() {
		starting.Go(func() {
			if err := d.start(); err != nil {
				t.Errorf("%s: %v", d.name, err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (d daemon) start() error {
	dir := filepath.Join(work, d.name)
	fill := strings.NewReplacer("$D", dir, "$W", work)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range d.files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	if d.owner != "" {
		if out, err := exec.Command("chown", d.owner, dir).CombinedOutput(); err != nil {
			return fmt.Errorf("chown: %w: %s", err, out)
		}
	}
	for _, words := range d.setup {
		cmd, err := d.command(dir, fill, words)
		if err != nil {
			return err
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", words[0], err, out)
		}
	}
	cmd, err := d.command(dir, fill, d.argv)
	if err != nil {
		return err
	}
	var said bytes.Buffer // said is the output of the server. A server that await gives up still writes.
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for _, addr := range d.ready {
		if err := await(addr, ended); err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
	}
	return nil
}

// command returns a command that runs in the server's directory, as the user of the server.
func (d daemon) command(dir string, fill *strings.Replacer, words []string) (*exec.Cmd, error) {
	argv := make([]string, len(words))
	for i := range words {
		argv[i] = fill.Replace(words[i])
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if d.as != "" {
		owner, err := user.Lookup(d.as)
		if err != nil {
			return nil, err
		}
		uid, err := strconv.ParseUint(owner.Uid, 10, 32)
		gid, other := strconv.ParseUint(owner.Gid, 10, 32)
		if err = errors.Join(err, other); err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return cmd, nil
}

// await waits until a program listens on the address, or until the server has ended.
func await(addr string, ended <-chan error) error {
	const timeout = 60 * time.Second
	late := time.After(timeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("ended: %w", err)
		case <-late:
			return fmt.Errorf("%s does not listen after %s", addr, timeout)
		case <-tick.C:
		}
		if listens(addr) {
			return nil
		}
	}
}

func listens(addr string) bool {
	if udp, found := strings.CutPrefix(addr, "udp "); found {
		// A UDP socket on the address already exists if the kernel refuses a second socket with
		// this address.
		c, err := net.ListenPacket("udp", udp)
		if err != nil {
			return errors.Is(err, syscall.EADDRINUSE)
		}
		_ = c.Close()
		return false
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// serveNews listens on the NNTP port and starts a leafnode for each connection, as inetd does.
func serveNews(t *testing.T) {
	t.Helper()
	news := daemon{name: "leafnode", as: "news"}
	listener := listen(t, "127.0.119.1:119")
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				socket, err := c.(*net.TCPConn).File()
				if err != nil {
					return
				}
				defer func() { _ = socket.Close() }()
				cmd, err := news.command("/", strings.NewReplacer(), []string{"leafnode"})
				if err != nil {
					return
				}
				cmd.Stdin, cmd.Stdout = socket, socket
				_ = cmd.Run() // The exit code does not matter, because the check has already read the reply.
			}()
		}
	}()
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
