package mark

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// lists are the files with the names of the tables that legacy iptables has in this network
// namespace. Unlike iptables, reading them loads no module and creates no table.
var lists = [2]string{"/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"}

// present reports whether legacy iptables has the table mangle for a family.
func present(six int) (bool, error) {
	text, err := os.ReadFile(lists[six])
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.Contains(strings.Fields(string(text)), "mangle"), err
}

// UsesIPTables reports whether the table mangle of legacy iptables has rules or own chains, of any
// program. It returns false if it cannot read the table.
func (Kernel) UsesIPTables(ctx context.Context) bool {
	for six := range lists {
		rules, err := mangle(ctx, six)
		if err == nil && slices.ContainsFunc(rules, func(rule string) bool { return !strings.HasPrefix(rule, "-P ") }) {
			return true
		}
	}
	return false
}

// mangle returns the lines of iptables -S for the table mangle. It returns nil if there is no such
// table.
func mangle(ctx context.Context, six int) ([]string, error) {
	if found, err := present(six); err != nil || !found {
		return nil, err
	}
	text, err := iptables(ctx, host.IPTables[six], "", "-w", "5", "-t", "mangle", "-S")
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(text), "\n"), nil
}

// iptables runs a program of legacy iptables. If the program fails because of its lock, iptables
// runs it again without a lock. An example is a read-only /run.
func iptables(ctx context.Context, program, input string, args ...string) (string, error) {
	file, err := find(ctx, program)
	if err != nil {
		return "", err
	}
	for _, lock := range []string{"", "XTABLES_LOCKFILE=/dev/null"} {
		var out, problem strings.Builder
		cmd := exec.CommandContext(ctx, file, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problem
		if lock != "" {
			cmd.Env = append(cmd.Environ(), lock)
		}
		err = cmd.Run()
		switch text := strings.TrimSpace(problem.String()); {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err == nil:
			return out.String(), nil
		case strings.Contains(text, "can't initialize"):
			return "", host.NotInstalled("%s: %s", program, strings.ReplaceAll(text, "\n", "; "))
		default:
			err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.ReplaceAll(text, "\n", "; "))
			if !strings.Contains(text, "lock") {
				return "", err
			}
		}
	}
	return "", err
}

// find returns the file of a program of legacy iptables. Where iptables is only the legacy program,
// its name lacks the word legacy. The program iptables of nftables cannot replace it, because the
// rules of that program need the kernel module nft_compat.
func find(ctx context.Context, program string) (string, error) {
	for _, name := range []string{program, strings.Replace(program, "-legacy", "", 1)} {
		file, err := exec.LookPath(name)
		if err != nil {
			file = "/usr/sbin/" + name
		}
		if unix.Access(file, unix.X_OK) != nil {
			continue
		}
		if name == program {
			return file, nil
		}
		version, err := exec.CommandContext(ctx, file, "--version").Output()
		if err == nil && !strings.Contains(string(version), "nf_tables") {
			return file, nil
		}
	}
	return "", host.NotInstalled("program %s is not installed; install iptables, or use method=nftables", program)
}

// programsWork returns an error if a program that the marks need is missing, or does not work on
// this kernel. The program creates the table mangle if the table is missing.
func programsWork(ctx context.Context, m host.Marks) error {
	for six, program := range host.IPTables {
		if len(m.Family(six == 1).IP) == 0 {
			continue
		}
		if _, err := iptables(ctx, program, "", "-w", "5", "-t", "mangle", "-S", "PREROUTING"); err != nil {
			return err
		}
	}
	return nil
}

// writeChains replaces our chain of each family and its hook. Without addresses in a family, it
// deletes the chain, and every rule that jumps to it. Each family changes in one step.
func writeChains(ctx context.Context, name string, m host.Marks) error {
	for six, program := range host.IPTables {
		rules := m.IPTablesRules(name, six == 1)
		have, err := mangle(ctx, six)
		if err != nil {
			return err
		}
		lines := []string{"*mangle"}
		if len(rules) > 0 {
			lines = append(append(lines, ":"+name+" - [0:0]"), rules...)
		}
		for _, line := range have {
			if jumpsTo(line, name) {
				lines = append(lines, strings.Replace(line, "-A ", "-D ", 1))
			}
		}
		switch {
		case len(rules) > 0:
			lines = append(lines, "-I PREROUTING 1 -j "+name)
		case slices.Contains(have, "-N "+name):
			lines = append(lines, "-F "+name, "-X "+name)
		default:
			continue
		}
		input := strings.Join(append(lines, "COMMIT", ""), "\n")
		if _, err := iptables(ctx, program+"-restore", input, "-w", "5", "--noflush"); err != nil {
			return err
		}
	}
	return nil
}

// jumpsTo reports whether a rule continues in a chain.
func jumpsTo(rule, chain string) bool {
	return strings.HasSuffix(rule, " -j "+chain) || strings.HasSuffix(rule, " -g "+chain)
}

// readChains returns the value of our chains in both families.
func readChains(ctx context.Context, name string) (string, error) {
	var all host.Marks
	for six := range lists {
		rules, err := mangle(ctx, six)
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(rules, func(rule string) bool { return rule == "-N "+name || jumpsTo(rule, name) }) {
			continue
		}
		m, different := chainMarks(rules, name, six)
		if different == nil && all.Mark != 0 {
			same := m
			if same.IP = all.IP; same.String() != all.String() {
				different = errors.New("changed (the rules of IPv4 and IPv6 differ)")
			}
			m.IP = append(m.IP, all.IP...)
		}
		if different != nil {
			return different.Error(), nil //nolint:nilerr // the error is the difference
		}
		all = m
	}
	if all.Mark == 0 {
		return host.Off, nil
	}
	return all.Normal().String(), nil
}

// chainMarks returns the marks of our chain among the lines of iptables -S. The error says how the
// rules differ from the rules of writeChains.
func chainMarks(rules []string, name string, six int) (host.Marks, error) {
	var own []string
	for _, rule := range rules {
		if strings.HasPrefix(rule, "-A "+name+" ") {
			own = append(own, rule)
		}
	}
	if len(own) == 0 {
		return host.Marks{}, errEmpty
	}
	var m host.Marks
	for _, rule := range own {
		if err := addRule(&m, rule, six); err != nil {
			return m, fmt.Errorf("changed (%w)", err)
		}
	}
	if m = m.Normal(); !slices.Equal(m.IPTablesRules(name, six == 1), own) {
		return m, errors.New("changed (it has other rules)")
	}
	return m, hookedFirst(rules, name)
}

// addRule adds the words of a rule to marks.
func addRule(m *host.Marks, rule string, six int) error {
	words := strings.Fields(rule)[2:]
	ip := families[six].all
	for i := 0; i+1 < len(words); i += 2 {
		var err error
		switch word := words[i+1]; words[i] {
		case "-d":
			ip, err = host.ParseNetwork(word)
		case "-i":
			m.Interface = word
		case "-p":
			m.Protocols = append(m.Protocols, word)
		case "--dports":
			for text := range strings.SplitSeq(word, ",") {
				ports, wrong := host.ParsePorts(text)
				m.Ports, err = append(m.Ports, ports), errors.Join(err, wrong)
			}
		case "--set-xmark":
			text, _, _ := strings.Cut(word, "/")
			var mark uint64
			mark, err = strconv.ParseUint(text, 0, 32)
			m.Mark = uint32(mark)
		}
		if err != nil {
			return err
		}
	}
	m.IP = append(m.IP, ip)
	return nil
}

// hookedFirst returns an error if PREROUTING does not jump to our chain exactly once, or if another
// rule calls the chain. It also returns an error if an earlier rule of PREROUTING can accept
// packets. An earlier rule that only drops packets is not an error.
func hookedFirst(rules []string, name string) error {
	var prior []string
	hooks := 0
	for _, rule := range rules {
		switch {
		case rule == "-A PREROUTING -j "+name:
			hooks++
		case jumpsTo(rule, name):
			return fmt.Errorf("called by another rule: %s", rule)
		case hooks == 0 && strings.HasPrefix(rule, "-A PREROUTING "):
			prior = append(prior, rule)
		}
	}
	if hooks != 1 {
		return fmt.Errorf("called by %d rules of PREROUTING", hooks)
	}
	for _, rule := range prior {
		if accepts(rules, rule, map[string]bool{}) {
			return fmt.Errorf("preceded by a rule that can accept packets: %s", rule)
		}
	}
	return nil
}

// accepts reports whether a rule, or a chain that it calls, can end the way of a packet through
// PREROUTING without dropping it.
func accepts(rules []string, rule string, seen map[string]bool) bool {
	words := strings.Fields(rule)
	at := slices.IndexFunc(words, func(w string) bool { return w == "-j" || w == "-g" })
	if at < 0 || at+1 >= len(words) {
		return false
	}
	target := words[at+1]
	if target == "ACCEPT" || words[at] == "-g" || target == "RETURN" && words[1] == "PREROUTING" || slices.Contains(stealing, target) {
		return true
	}
	if seen[target] {
		return false
	}
	seen[target] = true
	return slices.ContainsFunc(rules, func(r string) bool {
		return strings.HasPrefix(r, "-A "+target+" ") && accepts(rules, r, seen)
	})
}

// stealing are the targets that end the way of a packet, or give it to a program.
var stealing = []string{"QUEUE", "NFQUEUE", "TPROXY"}
