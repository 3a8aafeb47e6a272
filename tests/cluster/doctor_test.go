package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// fenceDevice is a fence agent that fences no node. With it, the cluster has a fence device.
const fenceDevice = `#!/bin/sh
! grep -qx action=metadata || cat <<EOT
<resource-agent name="fence_lab" shortdesc="lab"><longdesc>lab</longdesc><parameters>
<parameter name="port"><content type="string"/><shortdesc lang="en">node</shortdesc></parameter></parameters>
<actions><action name="off"/><action name="reboot"/><action name="monitor"/><action name="metadata"/></actions></resource-agent>
EOT
`

const fencePrimitive = `<primitive id="fence" class="stonith" type="fence_lab"><instance_attributes id="fence-i">
<nvpair id="fence-i-hosts" name="pcmk_host_list" value="director1 director2"/><nvpair id="fence-i-check" name="pcmk_host_check" value="static-list"/>
</instance_attributes></primitive>`

// wrongOrder is a group that stays stopped.
const wrongOrder = `<group id="wrong"><primitive id="wrong-vip" class="ocf" provider="lvs" type="vip"><instance_attributes id="wrong-vip-i">
<nvpair id="wrong-vip-ip" name="ip" value="192.0.2.9"/></instance_attributes></primitive>
<primitive id="wrong-ipvs" class="ocf" provider="lvs" type="ipvs"><instance_attributes id="wrong-ipvs-i"><nvpair id="wrong-ipvs-v" name="virtual" value="192.0.2.9:80"/>
<nvpair id="wrong-ipvs-r" name="real" value="192.0.2.21 gate"/></instance_attributes></primitive>
<meta_attributes id="wrong-m"><nvpair id="wrong-m-r" name="target-role" value="Stopped"/></meta_attributes></group>`

// fileResources are an ipvs resource and a health daemon on director1, with the services of a file
// that only director1 has.
const fileResources = `
crm_resource --wait
sed 's/192.0.2.10:80/192.0.2.9:80/; s/autoreload=yes/autoreload=no/' /etc/ha.d/apply.cf >/etc/ha.d/file.cf
for type in ipvs health; do
	cibadmin --create --scope resources --xml-text "<primitive id='file-$type' class='ocf' provider='lvs' type='$type'><instance_attributes id='file-$type-i'>
<nvpair id='file-$type-c' name='config' value='/etc/ha.d/file.cf'/></instance_attributes>
<meta_attributes id='file-$type-m'><nvpair id='file-$type-m-r' name='target-role' value='Stopped'/></meta_attributes></primitive>"
	cibadmin --create --scope constraints --xml-text "<rsc_location id='file-$type-here' rsc='file-$type' node='director1' score='INFINITY' resource-discovery='exclusive'/>"
	crm_resource --resource file-$type --meta --delete-parameter target-role
	crm_resource --wait
done
`

// activeElsewhere is a health daemon on director2 with the services of a file.
const activeElsewhere = `
sed 's/192.0.2.10:80/192.0.2.8:80/' /etc/ha.d/apply.cf >/etc/ha.d/idle.cf
cibadmin --create --scope resources --xml-text "<primitive id='idle-health' class='ocf' provider='lvs' type='health'><instance_attributes id='idle-health-i'>
<nvpair id='idle-health-c' name='config' value='/etc/ha.d/idle.cf'/></instance_attributes>
<meta_attributes id='idle-health-m'><nvpair id='idle-health-m-r' name='target-role' value='Stopped'/></meta_attributes></primitive>"
cibadmin --create --scope constraints --xml-text "<rsc_location id='idle-health-there' rsc='idle-health' node='director2' score='INFINITY'/>"
crm_resource --resource idle-health --meta --delete-parameter target-role
crm_resource --wait
`

const removeElsewhere = `
crm_resource --resource idle-health --meta --set-parameter target-role --parameter-value Stopped
crm_resource --wait
cibadmin --delete --xml-text '<rsc_location id="idle-health-there"/>'
cibadmin --delete --xml-text '<primitive id="idle-health"/>'
crm_resource --wait
`

// planted is a fault of a director. plant and remove are lines of a shell script on director1. If
// remove is empty, the script runs the fix that doctor prints.
type planted struct {
	name, plant, remove string
	why, fix            string // why and fix are parts of the lines that doctor prints.
	host                string // host runs the scripts. If it is empty, director1 does.
}

// shell returns the host that runs the scripts of a fault.
func (p planted) shell(s site) *lab.Shell {
	if strings.HasPrefix(p.host, "rs") {
		return &s.topology.Host(p.host).Shell
	}
	return &s.Node(cmp.Or(p.host, "director1")).Shell
}

const setOption = "crm_attribute --type crm_config --name "

// plantedFaults returns the faults of a director. The faults in one row do not hide each other.
func plantedFaults() [][]planted {
	return [][]planted{
		{
			{
				name: "fencing off", plant: setOption + "stonith-enabled --update false",
				remove: setOption + "stonith-enabled --update true",
				why:    "stonith-enabled is false", fix: "configure a fence device",
			},
			{
				name: "quorum ignored", plant: setOption + "no-quorum-policy --update ignore",
				remove: setOption + "no-quorum-policy --delete",
				why:    "no-quorum-policy is ignore", fix: "--name=no-quorum-policy --update=stop",
			},
			{
				name: "maintenance mode", plant: setOption + "maintenance-mode --update true",
				why: "maintenance-mode is true", fix: "--name=maintenance-mode --update=false",
			},
			{
				name: "standby", plant: "crm_standby -N director2 -v on",
				why: "the node is in standby", fix: "crm_standby --node=director2 --delete",
			},
			{
				name: "maintenance of a node", plant: "crm_attribute --node director1 --name maintenance --update true",
				why: "the node is in maintenance", fix: "crm_attribute --node=director1 --name=maintenance --delete",
			},
			{
				name: "ban", plant: "crm_resource --ban --resource web-vip --node director2",
				why: "a command has banned it: constraint cli-ban-web-vip-on-director2", fix: "crm_resource --clear --resource=web-vip --node=director2",
			},
			{
				name: "enabled unit", plant: "systemctl enable keepalived",
				why: "keepalived.service is enabled", fix: "systemctl disable --now keepalived.service",
			},
			{
				name: "running unit", plant: "systemctl start pulse",
				why: "pulse.service runs", fix: "systemctl disable --now pulse.service",
			},
			{
				name: "no interface", plant: "crm_resource --resource web-vip --set-parameter nic --parameter-value eth7",
				remove: "crm_resource --resource web-vip --delete-parameter nic",
				why:    "this node has no interface eth7", fix: "create eth7, or crm_resource --resource=web-vip --set-parameter=nic",
			},
			{
				name: "agent not installed", plant: "mv /usr/lib/ocf/resource.d/lvs/health /usr/lib/ocf/resource.d/lvs/away",
				remove: "mv /usr/lib/ocf/resource.d/lvs/away /usr/lib/ocf/resource.d/lvs/health",
				why:    "the agent is not in /usr/lib/ocf/resource.d/lvs", fix: "install lvs-agents here",
			},
			{
				name: "state is read-only", plant: "mount --bind /run/lvs-agents /run/lvs-agents; mount -o remount,bind,ro /run/lvs-agents", remove: "umount /run/lvs-agents",
				why: "the file system of /run/lvs-agents is read-only", fix: "mount -o remount,rw /run/lvs-agents",
			},
		},
		{
			{
				name: "no fence device", plant: `cibadmin --delete --xml-text '<primitive id="fence"/>'`,
				remove: "cibadmin --create --scope resources --xml-text '" + fencePrimitive + "'",
				why:    "stonith-enabled is true, and no fence device is configured", fix: "configure a fence device for each director",
			},
			{
				name: "not managed", plant: "crm_resource --resource cl-ipvs --meta --set-parameter is-managed --parameter-value false",
				remove: "crm_resource --resource cl-ipvs --meta --delete-parameter is-managed",
				why:    "the resource is not managed", fix: "crm_resource --resource=cl-ipvs --meta --delete-parameter=is-managed",
			},
			{
				name: "fail count", plant: "crm_resource --fail --resource web-vip --node director1",
				remove: "crm_resource --cleanup --resource web-vip",
				why:    "its fail count there is ", fix: "crm_resource --cleanup --resource=web-vip --node=director1",
			},
			{
				name: "moved by a command", plant: "crm_resource --move --force --resource web-vip --node director1",
				why: "a command has moved it: constraint cli-prefer-web-vip", fix: "crm_resource --clear --resource=web-vip",
			},
			{
				name: "address before service", plant: "cibadmin --create --scope resources --xml-text '" + wrongOrder + "'",
				remove: `cibadmin --delete --xml-text '<group id="wrong"/>'`,
				why:    "wrong-vip is before wrong-ipvs in the group", fix: "pcs resource group add wrong wrong-vip --after wrong-ipvs",
			},
			{
				name: "firewall", plant: "iptables-legacy -A INPUT -d 192.0.2.10 -p tcp --dport 80 -j DROP", remove: "iptables-legacy -F INPUT",
				why: "the rule iptables-legacy -t filter -A INPUT -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j DROP drops them", fix: "iptables-legacy -t filter -I INPUT -p tcp -d 192.0.2.10 --dport 80 -j ACCEPT",
			},
			{
				name: "a real server answers ARP", host: "rs1", plant: "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore", remove: "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore",
				why: "the host 02:00:5e:00:53:15 answers ARP for the address", fix: "lvsctl doctor 192.0.2.10",
			},
			{
				name: "no answer to ARP", plant: "sysctl -w net.ipv4.conf.eth0.arp_ignore=8",
				why: "net.ipv4.conf.eth0.arp_ignore is 8", fix: "sysctl -w net.ipv4.conf.eth0.arp_ignore=0",
			},
			{
				name: "host name", plant: "hostname web1", remove: "hostname director1",
				why: "the host name is web1, and the cluster calls this node director1", fix: "hostnamectl set-hostname director1",
			},
		},
		{
			{
				name: "offline", host: "director2", plant: "sed -i 's/two_node: 1/two_node: 0/' /etc/corosync/corosync.conf; systemctl stop pacemaker; systemctl stop corosync",
				remove: "sed -i 's/two_node: 0/two_node: 1/' /etc/corosync/corosync.conf; systemctl start corosync pacemaker",
				why:    "Pacemaker does not run there, or the node is not reachable", fix: "on director2: systemctl start pacemaker",
			},
			{
				name: "no quorum", plant: "sed -i 's/two_node: 1/two_node: 0/' /etc/corosync/corosync.conf; corosync-cfgtool -R",
				remove: "sed -i 's/two_node: 0/two_node: 1/' /etc/corosync/corosync.conf; corosync-cfgtool -R",
				why:    "too few nodes reach each other", fix: "start the other nodes",
			},
		},
		{
			{
				name: "a changed file of a resource", plant: fileResources + "sed -i 's/192.0.2.22:80 gate/& 2/' /etc/ha.d/file.cf",
				why: "resource file-ipvs does not use the last changes of /etc/ha.d/file.cf", fix: "lvsctl check /etc/ha.d/file.cf && OCF_ROOT=",
			},
			{
				name: "a changed file of a health daemon", plant: "true",
				why: "health daemon file-health does not use the last changes of /etc/ha.d/file.cf", fix: "lvsctl check /etc/ha.d/file.cf && kill -HUP ",
			},
		},
		{
			{
				name: "a daemon on the other director", host: "director2", plant: activeElsewhere, remove: removeElsewhere,
				why: "the configuration files of the health daemons differ on ", fix: "copy the right /etc/ha.d/idle.cf to the other node",
			},
			{
				name: "another file on this director", plant: "sed 's/192.0.2.10:80/192.0.2.7:80/' /etc/ha.d/apply.cf >/etc/ha.d/idle.cf", remove: "rm /etc/ha.d/idle.cf",
				why: "health daemons differ on director1 and director2", fix: "copy the right /etc/ha.d/idle.cf to the other node",
			},
		},
		{
			{
				name: "Pacemaker hangs", plant: "kill -STOP $(pgrep pacemaker-based)",
				remove: "kill -CONT $(pgrep pacemaker-based)",
				why:    "did not reply within 6s", fix: "systemctl status pacemaker",
			},
		},
	}
}

// doctorFindsFaults plants faults of a director, and checks that lvsctl doctor finds each of them.
// Before and after the faults, doctor prints fine.
func doctorFindsFaults(t *testing.T, s site) {
	node := s.Node("director1")
	for _, name := range []string{"director1", "director2"} {
		s.Node(name).WriteProgram(t, "/usr/sbin/fence_lab", fenceDevice)
		for _, unit := range []string{"keepalived", "pulse"} {
			s.Node(name).WriteFile(t, "/etc/systemd/system/"+unit+".service", "[Service]\nType=simple\nExecStart=/bin/sleep 600\n")
		}
	}
	node.Run(t, "cibadmin", "--create", "--scope", "resources", "--xml-text", fencePrimitive)
	node.Run(t, "crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update", "true")
	s.WaitIdle(t)
	s.Wait(t, minute, "doctor before the faults", func() error { return fine(t, node) })
	found := 0
	for _, faults := range plantedFaults() {
		began := time.Now()
		plant, remove := map[*lab.Shell]string{}, map[*lab.Shell]string{}
		for _, f := range faults {
			plant[f.shell(s)] += f.plant + "\n"
		}
		for on, script := range plant {
			on.Script(t, script)
		}
		s.Wait(t, minute, "the planted faults", func() error {
			fixes, err := examined(t, node, faults)
			for i, f := range faults[:len(fixes)] {
				remove[f.shell(s)] = cmp.Or(f.remove, fixes[i]) + "\n" + remove[f.shell(s)]
			}
			return err
		})
		found += len(faults)
		for on, script := range remove {
			on.Script(t, script)
		}
		s.Wait(t, minute, "doctor after the faults", func() error {
			err := fine(t, node)
			if err != nil && strings.Contains(err.Error(), "crm_resource --cleanup") {
				// A monitor can fail while its agent is away, and report that after the agent is back.
				node.Run(t, "crm_resource", "--cleanup")
			}
			return err
		})
		t.Logf("%d faults in %v", len(faults), time.Since(began).Round(time.Second))
	}
	s.WaitIdle(t)
	s.roundRobin(t)
	t.Logf("doctor has found %d planted faults", found)
}

// hang is how long lvsctl doctor can take in a lab whose host is busy. On an idle host, it is less
// than 10 seconds.
const hang = 30 * time.Second

// diagnose returns the output of lvsctl doctor, and reports whether its exit code is 0. It fails
// the test if doctor hangs.
func diagnose(t *testing.T, node *lab.Node) (out string, right bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	began := time.Now()
	text, err := node.Command(ctx, "lvsctl", "doctor").CombinedOutput()
	if took := time.Since(began); took > hang {
		t.Errorf("lvsctl doctor took %v:\n%s", took, text)
	}
	return string(text), err == nil
}

// hint begins the line about the clock: no program synchronises the clock of a guest.
const hint = "lvsctl: hint: orders and certificates can end at a wrong time"

func fine(t *testing.T, node *lab.Node) error {
	out, right := diagnose(t, node)
	first, rest, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(first, hint) || rest != "fine\n" || !right {
		return errors.New(out)
	}
	return nil
}

// examined returns the fix that doctor prints for each fault. It returns an error and no fixes if
// doctor does not print the cause of each fault, followed by its fix.
func examined(t *testing.T, node *lab.Node, faults []planted) (fixes []string, err error) {
	t.Helper()
	out, right := diagnose(t, node)
	if right {
		return nil, errors.New("the exit code is 0")
	}
	for _, f := range faults {
		_, rest, found := strings.Cut(out, f.why)
		_, fix, _ := strings.Cut(rest, "\n    fix: ")
		fix, _, _ = strings.Cut(fix, "\n")
		if !found || !strings.Contains(fix, f.fix) {
			return nil, fmt.Errorf("%s: no %q with the fix %q in\n%s", f.name, f.why, f.fix, out)
		}
		fixes = append(fixes, fix)
	}
	return fixes, nil
}
