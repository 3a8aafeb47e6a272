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
	"strings"

	"lvs-agents/internal/program"

	"golang.org/x/sys/unix"
)

// overOpenSSL opens a connection with the program openssl, whose TLS takes what package tls does
// not: a certificate that package x509 cannot parse, MD5, finite-field Diffie-Hellman.
func (t Target) overOpenSSL(ctx context.Context) (*conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	output, errorOutput, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	session, err := t.Programs.StartSession(ctx, program.Command{
		Argv: append([]string{"openssl"}, t.openSSLArguments()...), Stdin: theirs, Stdout: theirs, Stderr: errorOutput,
	})
	_, _ = theirs.Close(), errorOutput.Close() // the program has its own
	if err != nil {
		_, _ = ours.Close(), output.Close()
		return nil, err
	}
	c := &tunnel{Conn: ours, output: output, session: session}
	stop := context.AfterFunc(ctx, session.Kill)
	err = established(output)
	stop()
	if err == nil {
		return ending(ctx, c), nil
	}
	_ = c.Close() // the error of the handshake counts
	if crowded := session.Crowded(); crowded != nil && ctx.Err() != nil {
		return nil, crowded
	}
	return nil, err
}

// openSSLArguments returns the arguments of openssl s_client(1). With -brief, its standard output
// has only the bytes of the server, and its standard error gets a line after the handshake.
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

// established reads the output of openssl until the handshake is done. It fails with the reason
// that openssl prints, or when openssl ends.
func established(output io.Reader) error {
	refused, failure := "", "no session"
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		if line == "CONNECTION ESTABLISHED" {
			return nil
		}
		// Openssl prints this for each certificate, even if it continues.
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
	output  io.Closer // the standard error of the program, open as long as it writes
	session *program.Session
}

// Close ends the program.
func (c *tunnel) Close() error {
	_ = c.session.End() // it was killed
	_, _ = c.Conn.Close(), c.output.Close()
	return nil
}
