package keepalived

import (
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

const noQuorumMail = "the health daemon sends mail about real servers, and not about quorums"

// mailDefault reads smtp_alert or smtp_alert_checker of global_defs.
func (p *parser) mailDefault(s *statement) bool {
	on := p.yes(s)
	switch {
	case on && s.key() == "smtp_alert":
		p.drop(s, noQuorumMail+" or directors", "write programs for quorum_up and quorum_down, and configure an alert of Pacemaker")
	case on:
		p.drop(s, noQuorumMail, "write programs for quorum_up and quorum_down")
	}
	return on
}

// mailed reports whether keepalived sends mail about a real server. Only for real servers, mail is
// on by default.
func (p *parser) mailed(real *statement) bool {
	if s := real.find("smtp_alert"); s != nil {
		return p.yes(s)
	}
	for _, key := range []string{"smtp_alert_checker", "smtp_alert"} {
		if on, given := p.mails[key]; given {
			return on
		}
	}
	return true
}

// mail sets the mail of a service: it has mail if one of its real servers has mail.
func (p *parser) mail(v *virtual) {
	var silent *statement
	mailed := 0
	for _, real := range v.reals {
		s := real.find("smtp_alert")
		switch {
		case len(p.alert.To) == 0 && s != nil && p.yes(s):
			p.report(s.line, config.Ignored, fault.New(s.title()+": global_defs has no notification_email", ""))
		case p.mailed(real):
			mailed++
		case silent == nil:
			silent = real
		}
	}
	if mailed == 0 || len(p.alert.To) == 0 {
		return
	}
	v.service.Alert = p.alert
	if silent != nil {
		p.report(silent.line, config.Dropped, fault.New(silent.title()+": mail is a setting of the whole service: changes of each real server send mail",
			"divide the service, or filter the mail by the address of the real server"))
	}
}

// unmailed reports mail addresses that no service has.
func (p *parser) unmailed() {
	for _, s := range p.config.Services {
		if len(s.Alert.To) > 0 {
			return
		}
	}
	if len(p.alert.To) > 0 {
		p.report(p.recipients.line, config.Ignored, fault.New("notification_email: no real server sends mail", ""))
	}
}

// silence writes that a real server sends no mail, though global_defs has addresses for mail.
func (w *writer) silence(s config.Service) {
	if len(w.mail) > 0 && len(s.Alert.To) == 0 {
		w.line("smtp_alert", "off")
	}
}
