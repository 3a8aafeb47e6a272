package ldirectord

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/logsink"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/mailbox"
)

type setter = func(s *scope, value string) error

func refuse(what, fix string) setter {
	return func(*scope, string) error { return fault.New(what, fix) }
}

func setText(field func(*scope) *string) setter {
	return func(s *scope, value string) error {
		*field(s) = value
		return nil
	}
}

func setSecret(field func(*scope) *config.Secret) setter {
	return func(s *scope, value string) error {
		*field(s) = config.NewSecret(value)
		return nil
	}
}

func setYesNo(field func(*scope) *bool) setter {
	return func(s *scope, value string) error {
		switch value {
		case "yes", "no":
			*field(s) = value == "yes"
			return nil
		}
		return fault.Errorf("write yes or no", "%s is neither yes nor no", s.named(value))
	}
}

// setChoice sets a value that remains nil if the block does not set it. Then the value of the
// file counts.
func setChoice(field func(*scope) **bool) setter {
	return func(s *scope, value string) error {
		var yes bool
		err := setYesNo(func(*scope) *bool { return &yes })(s, value)
		if err == nil {
			*field(s) = &yes
		}
		return err
	}
}

// maxSeconds limits all times to 31 days, as for persistence.
const maxSeconds = int(lvs.MaxPersistence / time.Second)

func (s *scope) number(value, what string, limit int) (int, error) {
	if digits := strings.TrimRight(value, "second"); what == "seconds" && digits != value && strings.HasPrefix("seconds", value[len(digits):]) {
		s.warn(s.named(value)+" has a unit after the number", "write "+s.st.dir.line(digits))
		value = digits
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n < 1 || int(n) > limit {
		fix := ""
		if d, err := time.ParseDuration(value); err == nil && what == "seconds" && d >= time.Second && d%time.Second == 0 {
			fix = "write " + strconv.Itoa(int(d/time.Second))
		}
		return 0, fault.Errorf(fix, "%s is not a number of %s from 1 to %d", s.named(value), what, limit)
	}
	return int(n), nil
}

func setSeconds(field func(*scope) *time.Duration) setter {
	return func(s *scope, value string) error {
		n, err := s.number(value, "seconds", maxSeconds)
		if err == nil {
			*field(s) = time.Duration(n) * time.Second
		}
		return err
	}
}

func setCount(what string, field func(*scope) *int) setter {
	return func(s *scope, value string) error {
		n, err := s.number(value, what, 1000)
		if err == nil {
			*field(s) = n
		}
		return err
	}
}

// setWords splits at blanks. A text in double quotes is one word.
func setWords(field func(*scope) *[]string) setter {
	return func(s *scope, value string) error {
		words, err := splitWords(value)
		if err != nil {
			return s.in(value, err)
		}
		for i := range words {
			words[i] = strings.Trim(words[i], `"`)
		}
		if len(words) == 0 || words[0] == "" {
			return fault.Errorf("write the path of a program, or delete the line", "%s has no value", s.st.dir.name)
		}
		*field(s) = words
		return nil
	}
}

func addExecute(s *scope, value string) error {
	if value == "" || strings.HasPrefix(value, "-") {
		return fault.Errorf("write the name of another file", "%s is not the name of a configuration", s.named(value))
	}
	s.config.Execute = append(s.config.Execute, value)
	return nil
}

func isFacility(name string) bool {
	_, known := logsink.Facility(name)
	return known
}

func setLogFile(s *scope, value string) error {
	s.config.LogFile = value
	if value == "" || value[0] == '/' || isFacility(value) {
		return nil
	}
	s.config.LogFile = "local0"
	s.warn(s.named(value)+" is neither a path nor a syslog facility, so local0 is used"+orUse(value, "a path that begins with /, or a facility as local0", logsink.Facilities()...), "")
	return nil
}

func setMethod(s *scope, value string) error {
	switch method := strings.ToUpper(value); method {
	case "GET", "HEAD":
		s.block.check.Method = strings.TrimPrefix(method, "GET") // An empty Method means GET.
		return nil
	}
	return fault.Errorf("write GET or HEAD", "%s is neither GET nor HEAD", s.named(value))
}

func warnUnused(s *scope, _ string) error {
	s.warn(s.st.dir.name+" has no effect", "delete the line")
	return nil
}

// setReadd accepts readdquiescent. A real server that is not checked yet never gets connections.
func setReadd(s *scope, value string) error {
	readd := true
	err := setYesNo(func(*scope) *bool { return &readd })(s, value)
	if err == nil && !readd {
		s.warn("readdquiescent=no has no effect", "delete the line")
	}
	return err
}

// listed splits a list at commas and blanks.
func listed(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func setAddresses(s *scope, value string) error {
	to := mailbox.List(value)
	for _, address := range to {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if len(to) == 0 {
		return fault.Errorf("write USER@HOST, or delete the line", "emailalert has no address")
	}
	s.alert.To = to
	return nil
}

func setSender(s *scope, value string) error {
	if err := checkAddress(value); err != nil {
		return err
	}
	s.config.AlertFrom = value
	return nil
}

// checkAddress validates a mail address with the function that the sender of mail uses. The result
// does not depend on the host name of the sender, so the name here is localhost.
func checkAddress(address string) error {
	if _, err := mailbox.Address(address, "localhost"); err != nil {
		return fault.Errorf("write USER@HOST, or NAME <USER@HOST>", "%s is not a mail address", fault.Quote(address))
	}
	return nil
}

func setRepeat(s *scope, value string) error {
	if value == "0" {
		s.alert.Repeat = 0
		return nil
	}
	return setSeconds(func(s *scope) *time.Duration { return &s.alert.Repeat })(s, value)
}

func setPhases(s *scope, value string) error {
	all := []config.Phase{config.Starting, config.Running, config.Stopping, config.Reloading}
	phases := []config.Phase{}
	words := listed(value)
	for _, word := range words {
		switch {
		case word == "all":
			phases = append(phases, all...)
		case slices.Contains(all, config.Phase(word)):
			phases = append(phases, config.Phase(word))
		case word != "none":
			return fault.Errorf("", "unknown state %s in emailalertstatus%s", fault.Quote(word),
				orUse(word, "all, none, starting, running, stopping or reloading", "all", "none", "starting", "running", "stopping", "reloading"))
		case len(words) > 1:
			return fault.Errorf("write none alone, or delete it", "emailalertstatus has none and others")
		}
	}
	if len(words) == 0 {
		return fault.Errorf("write all or none", "emailalertstatus has no value")
	}
	s.alert.Phases = phases
	return nil
}

func setRelay(s *scope, value string) error {
	if _, _, err := mailbox.Relay(value); err != nil {
		return s.in(value, fault.Errorf("write HOST, HOST:PORT or [IPv6 address]:PORT", "%v", err))
	}
	s.alert.Relay = value
	return nil
}

func setPersistent(s *scope, value string) error {
	if value == "0" {
		return fault.Errorf("delete the line for no persistence", "persistence of 0 seconds")
	}
	return setSeconds(func(s *scope) *time.Duration { return &s.block.service.Persistence })(s, value)
}

func setScheduler(s *scope, value string) (err error) {
	if s.block.service.Scheduler, err = lvs.ParseScheduler(fault.Short(value)); err != nil {
		names := lvs.Schedulers()
		return fault.New(err.Error()+orUse(value, strings.Join(names, ", "), names...), "")
	}
	return nil
}

func setSchedulerFlags(s *scope, value string) error {
	flags, err := ParseSchedulerFlags(value)
	s.block.service.Flags |= flags
	return err
}

// ParseSchedulerFlags parses the value of schedflags.
func ParseSchedulerFlags(value string) (lvs.Flags, error) {
	op, err := lvs.ParseOp("-A -f 1 -b " + value)
	if err != nil || len(strings.Fields(value)) != 1 {
		return 0, fault.Errorf("use sh-fallback, sh-port, mh-fallback, mh-port or flag-1 to flag-3", "unknown scheduler flag in %s", fault.Quote(value))
	}
	return op.Service.Flags, nil
}

func setService(s *scope, value string) error {
	var names []string
	for _, application := range config.Applications() {
		names = append(names, string(application))
	}
	if !slices.Contains(names, value) {
		return fault.Errorf("", "unknown service %s%s", fault.Quote(value), orUse(value, strings.Join(names, ", "), names...))
	}
	s.block.check.Application = config.Application(value)
	return nil
}

func setCheckType(s *scope, value string) error {
	names := []string{string(config.Negotiate), string(config.Connect), string(config.Ping), string(config.UDP), string(config.On), string(config.Off), string(config.External), string(config.ExternalPerl)}
	if connects, err := strconv.ParseUint(value, 10, 16); err == nil {
		s.block.check.Type, s.block.check.Connects = config.Combined, int(connects)
		return nil
	}
	if !slices.Contains(names, value) {
		return fault.Errorf("", "unknown checktype %s%s", fault.Quote(value), orUse(value, strings.Join(names, ", ")+" or a number", names...))
	}
	s.block.check.Type = config.CheckType(value)
	return nil
}

func setCheckPort(s *scope, value string) error {
	port, err := parsePort(value)
	if err != nil || port == 0 {
		return fault.Errorf("", "%s is not a port from 1 to 65535", s.named(value))
	}
	s.block.check.Port = port
	return nil
}

func setReceive(s *scope, value string) error {
	s.block.check.Receive, s.block.receiveAt = value, s.st
	return nil
}

func setReal(ipv6 bool) setter {
	return func(s *scope, value string) error {
		r, err := ParseReal(value)
		if err != nil {
			return s.in(value, err)
		}
		if ipv6 && !s.block.ipv6 {
			return fault.Errorf("write real=", "real6= in a block of virtual=")
		}
		if r.lost != "" {
			s.warn("ldirectord loses "+r.lost, `write ADDRESS METHOD WEIGHT "REQUEST", "RECEIVE" l:N u:N`)
		}
		s.block.reals = append(s.block.reals, writtenReal{r, s.st})
		return nil
	}
}

func setFallback(ipv6 bool) setter {
	return func(s *scope, value string) error {
		if value == "" {
			value = map[bool]string{false: "127.0.0.1", true: "[::1]"}[ipv6]
			s.warn("no address, so "+value+" is used", "write "+s.st.dir.name+"="+value)
		}
		f, err := parseFallback(value, ipv6)
		if err != nil {
			return s.in(value, err)
		}
		f.line = s.st.line
		if f.ipv6 && s.block != nil && !s.block.ipv6 {
			return fault.Errorf("write an IPv4 address", "IPv6 fallback in a block of virtual=")
		}
		if f.ipv6 || s.block != nil && s.block.ipv6 {
			s.fallback6 = &f
			return nil
		}
		s.fallback = &f
		return nil
	}
}
