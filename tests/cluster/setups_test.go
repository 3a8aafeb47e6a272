package cluster

import (
	"errors"
	"strings"
	"testing"

	"lvs-agents/tests/lab"
)

// keepalivedConf is the file of the first of two routers.
const keepalivedConf = `vrrp_instance web {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.10/24
    }
    notify_master /usr/bin/true
}
virtual_server 192.0.2.10 80 {
    delay_loop 2
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 192.0.2.22 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
`

// vacate removes the service that the page before has made: daemons, resources and addresses.
func vacate(t *testing.T, s site) {
	t.Helper()
	s.Node("director1").Script(t, `cibadmin --replace --scope constraints --xml-text '<constraints/>'
cibadmin --replace --scope resources --xml-text '<resources/>'`)
	for _, name := range []string{"director1", "director2"} {
		node := s.Node(name)
		node.Script(t, "systemctl stop ldirectord keepalived; ip addr flush dev eth0 to "+lab.VIP)
		s.waitGone(t, node)
	}
	s.WaitIdle(t)
}

// waitGone waits until a node has no part of the service.
func (s site) waitGone(t *testing.T, node *lab.Node) {
	t.Helper()
	s.Wait(t, minute, "no service on "+node.Name, func() error {
		if left := s.left(t, node); left != "" {
			return errors.New(left)
		}
		return nil
	})
}

// keepalived starts keepalived on both directors, and waits until the first one serves.
func keepalived(t *testing.T, s site) {
	vacate(t, s)
	for name, conf := range map[string]string{
		"director1": keepalivedConf,
		"director2": strings.NewReplacer("MASTER", "BACKUP", "priority 100", "priority 50").Replace(keepalivedConf),
	} {
		s.Node(name).WriteFile(t, "/etc/keepalived/keepalived.conf", conf)
		s.Node(name).Run(t, "systemctl", "start", "keepalived")
	}
	lab.Wait(t, minute, "pages through keepalived", func() error {
		_, err := s.topology.Host("client").Get(t.Context(), "http://192.0.2.10/")
		return err
	})
}

// piranha writes the file of two directors of piranha. No system of the lab has the program.
func piranha(t *testing.T, s site) {
	vacate(t, s)
	for _, name := range []string{"director1", "director2"} {
		s.Node(name).WriteFile(t, "/etc/sysconfig/ha/lvs.cf", lvsCF)
	}
}

// lvsCF is the file of both directors of piranha.
const lvsCF = `serial_no = 12
primary = 192.0.2.11
service = lvs
backup_active = 1
backup = 192.0.2.12
heartbeat = 1
keepalive = 6
deadtime = 18
network = direct
virtual web {
    active = 1
    address = 192.0.2.10 eth0:1
    vip_nmask = 255.255.255.0
    port = 80
    send = "GET / HTTP/1.0\r\n\r\n"
    expect = "HTTP"
    scheduler = rr
    protocol = tcp
    timeout = 6
    reentry = 15
    server rs1 {
        address = 192.0.2.21
        active = 1
        weight = 1
    }
    server rs2 {
        address = 192.0.2.22
        active = 1
        weight = 1
    }
}
`

// heartbeat writes the files of two directors of heartbeat. heartbeat does not run, because
// Corosync runs on the directors.
func heartbeat(t *testing.T, s site) {
	vacate(t, s)
	for _, name := range []string{"director1", "director2"} {
		node := s.Node(name)
		node.WriteFile(t, "/etc/ha.d/haresources", "director1 IPaddr::192.0.2.10/24/eth0 ldirectord::ldirectord.cf MailTo::root@example.com\n")
		node.WriteFile(t, "/etc/ha.d/ha.cf", "deadtime 10\nbcast eth0\nauto_failback on\nnode director1 director2\n")
		node.WriteFile(t, "/etc/ha.d/authkeys", "auth 1\n1 sha1 unused\n")
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", `checktimeout=3
checkinterval=1
quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	service=http
	request="health.html"
	receive="OK"
	scheduler=rr
	checktype=negotiate
`)
	}
}

// manual makes the service on director1 with the commands of an operator.
func manual(t *testing.T, s site) {
	vacate(t, s)
	s.Node("director1").Script(t, `ip addr add 192.0.2.10/24 dev eth0
ipvsadm -A -t 192.0.2.10:80 -s rr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21 -g
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22 -g`)
}
