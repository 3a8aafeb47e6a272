package setting

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// arptables runs one of the arptables programs, because the kernel's own interface can only replace
// whole tables. The legacy arptables and the nftables variant do not see each other's rules. So the
// agent must use the same program as the operator.
func arptables(ctx context.Context, program string, args ...string) (string, error) {
	file, err := exec.LookPath(program)
	if err != nil {
		file = "/usr/sbin/" + program
	}
	if unix.Access(file, unix.X_OK) != nil {
		return "", host.NotInstalled("program %s is not installed; install arptables or use another method", program)
	}
	out, err := exec.CommandContext(ctx, file, args...).CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.ReplaceAll(text, "\n", "; "), err)
	}
	return text, nil
}

// ARPTables returns the name of the first arptables program that works on this kernel. Some kernels
// have only the legacy interface, and some kernels have only nftables.
func (Kernel) ARPTables(ctx context.Context) (string, error) {
	var errs []error
	for _, program := range host.ARPTablesPrograms {
		err := works(ctx, program)
		if err == nil {
			return program, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", program, err))
	}
	return "", host.NotInstalled("no arptables program works on this host (%v)", errors.Join(errs...))
}

// works returns nil if a program works on this kernel. Without nftables in the kernel, arptables
// 1.8 lists no rules and reports no error, so works queries the kernel for nftables too.
func works(ctx context.Context, program string) error {
	version, err := arptables(ctx, program, "--version")
	if err == nil && strings.Contains(version, "nf_tables") {
		err = haveNFT()
	}
	if err == nil {
		_, err = arptables(ctx, program, "-L", "INPUT", "-n")
	}
	return err
}

func arpRule(ctx context.Context, s host.Setting) (string, error) {
	args := s.ARPRule("-L")
	out, err := arptables(ctx, s.Name, "-L", args[1], "-n")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if sameRule(strings.Fields(line), args[2:]) {
			return host.On, nil
		}
	}
	return host.Off, nil
}

// sameRule compares the options of two rules. It ignores the order of the options, because
// arptables prints them in another order.
func sameRule(printed, ours []string) bool {
	pairs := func(words []string) map[string]string {
		m := map[string]string{}
		for i := 0; i+1 < len(words); i += 2 {
			m[words[i]] = words[i+1]
		}
		return m
	}
	if len(printed) != len(ours) {
		return false
	}
	have := pairs(printed)
	for name, value := range pairs(ours) {
		if have[name] != value {
			return false
		}
	}
	return true
}

func setARPRule(ctx context.Context, s host.Setting, on bool) error {
	verb := "-D"
	if on {
		verb = "-I"
	}
	_, err := arptables(ctx, s.Name, s.ARPRule(verb)...)
	if err != nil && !on && !errors.Is(err, host.ErrNotInstalled) {
		if value, failed := arpRule(ctx, s); failed == nil && value == host.Off {
			return fs.ErrNotExist
		}
	}
	return err
}
