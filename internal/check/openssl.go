package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// overOpenSSL opens a connection with the program openssl, whose TLS takes what package tls does
// not: a certificate that package x509 cannot parse, MD5, finite-field Diffie-Hellman.
func (t Target) overOpenSSL(ctx context.Context) (*conn, error) {
	waitedLong, err := t.Programs.enter(ctx)
	if err != nil {
		return nil, err
	}
	tunnel, err := t.startOpenSSL(ctx)
	switch {
	case err == nil:
		return ending(ctx, tunnel), nil
	case waitedLong && ctx.Err() != nil: // it did not have its whole time
		err = t.Programs.full()
	}
	t.Programs.leave()
	return nil, err
}

func (t Target) startOpenSSL(ctx context.Context) (*tunnel, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	said, theirSaid, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	cmd, err := t.Programs.Start(append([]string{"openssl"}, t.openSSLArguments()...), func(argv []string) *exec.Cmd {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirSaid
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Env = t.Programs.environment(t.Programs.mark())
		return cmd
	})
	_, _ = theirs.Close(), theirSaid.Close() // the program has its own
	if err != nil {
		_, _ = ours.Close(), said.Close()
		return nil, startError(err)
	}
	c := &tunnel{Conn: ours, said: said, cmd: cmd, programs: t.Programs}
	stop := context.AfterFunc(ctx, c.kill)
	err = established(said)
	stop()
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// openSSLArguments are those of openssl s_client(1). With -brief, it prints nothing but what the
// server sends to its standard output, and a line on its standard error after the handshake.
func (t Target) openSSLArguments() []string {
	arguments := []string{"s_client", "-brief", "-ign_eof", "-nocommands", "-verify_quiet", "-connect", t.Addr.String()}
	if source := t.Source.Source(t.Addr.Addr()); source.IsValid() {
		arguments = append(arguments, "-bind", netip.AddrPortFrom(source, 0).String())
	}
	name := t.tls().ServerName
	if name == "" {
		arguments = append(arguments, "-noservername")
	} else {
		arguments = append(arguments, "-servername", name)
	}
	if t.Verify == VerifyNothing {
		return append(arguments, "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1", "-legacy_server_connect")
	}
	arguments = append(arguments, "-verify_return_error")
	switch {
	case t.Verify != VerifyName:
		return arguments
	case name == "":
		return append(arguments, "-verify_ip", t.hostName())
	}
	return append(arguments, "-verify_hostname", name)
}

// socketPair returns two ends of one connection, the second for a program.
func socketPair() (net.Conn, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "openssl"), os.NewFile(uintptr(pair[1]), "openssl")
	defer func() { _ = ours.Close() }() // FileConn has a copy
	c, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// established reads what openssl prints until the handshake is done. It fails with what openssl
// says, or when openssl ends.
func established(said io.Reader) error {
	refused, failure := "", "no session"
	for lines := bufio.NewScanner(said); lines.Scan(); {
		line := lines.Text()
		if line == "CONNECTION ESTABLISHED" {
			return nil
		}
		// Of each certificate, also where openssl goes on.
		if _, reason, found := strings.Cut(line, "verify error:"); found {
			_, refused, _ = strings.Cut(reason, ":")
		}
		// NUMBER:error:CODE:library:function:reason:file:line:
		if fields := strings.Split(line, ":"); len(fields) > 5 && fields[1] == "error" {
			failure = fields[5]
			break
		}
	}
	if failure == "certificate verify failed" && refused != "" {
		failure = refused
	}
	return errors.New(ascii(failure))
}

// tunnel is a connection to the standard input and output of a program.
type tunnel struct {
	net.Conn
	said     io.Closer // the standard error of the program, open as long as it writes
	cmd      *exec.Cmd
	programs *Programs
	mu       sync.Mutex
	ended    bool
}

// Close ends the program and gives its room back.
func (c *tunnel) Close() error {
	if c.end() {
		c.programs.leave()
	}
	return nil
}

// kill ends the program; until it is waited for, no other process has its number.
func (c *tunnel) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	}
}

// end kills the program and waits for it. It reports whether this is the first time.
func (c *tunnel) end() bool {
	c.kill()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.ended = true
	_, _ = c.Conn.Close(), c.said.Close()
	_ = c.cmd.Wait() // it was killed
	c.programs.Ended(c.cmd)
	return true
}
