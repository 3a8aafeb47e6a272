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

// overOpenSSL opens a connection with the program openssl. OpenSSL can talk to servers that package
// tls cannot: with a certificate that package x509 cannot parse, with MD5, or with finite-field
// Diffie-Hellman.
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
	// The program has its own descriptors of these files, so this process closes its copies.
	_, _ = theirs.Close(), errorOutput.Close()
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
	_ = c.Close() // An error of Close is ignored: the function returns the error of the handshake.
	if crowded := session.Crowded(); crowded != nil && ctx.Err() != nil {
		return nil, crowded
	}
	return nil, err
}

// openSSLArguments returns the arguments of openssl s_client(1). With -brief, openssl writes only
// the bytes of the server to standard output. After the handshake, it writes CONNECTION ESTABLISHED
// to standard error.
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

// socketPair returns the two ends of a connection. The second end is for a program.
func socketPair() (net.Conn, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "openssl"), os.NewFile(uintptr(pair[1]), "openssl")
	defer func() { _ = ours.Close() }() // FileConn has copied the descriptor, so this process closes the original.
	c, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// established reads the output of openssl until the handshake is done. If openssl prints an error
// or ends first, established returns the reason.
func established(output io.Reader) error {
	refused, failure := "", "no session"
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		if line == "CONNECTION ESTABLISHED" {
			return nil
		}
		// Openssl prints this line for each certificate that it cannot verify, even if it
		// continues.
		if _, reason, found := strings.Cut(line, "verify error:"); found {
			_, refused, _ = strings.Cut(reason, ":")
		}
		// An error line has the form NUMBER:error:CODE:library:function:reason:file:line.
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
	// output is the pipe from the standard error of the program. It must stay open while the
	// program runs.
	output  io.Closer
	session *program.Session
}

// Close ends the program and closes the connection to it.
func (c *tunnel) Close() error {
	_ = c.session.End() // The error of End only says that End has killed the program.
	_, _ = c.Conn.Close(), c.output.Close()
	return nil
}
