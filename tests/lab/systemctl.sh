#!/bin/sh
# Replaces systemctl on a node of the lab, which runs no systemd. It reads the unit files, and runs
# their lines ExecStart and ExecStop:
#
#	systemctl start|stop|restart|enable|disable [--now] UNIT...
#
# "systemctl boot" starts the enabled units when the node boots. "systemctl show" prints the state
# of units.
set -eu
enabled=/etc/systemd/lab-enabled

# file prints the path of a unit's file. For an instance like lvsrs@web, the file is lvsrs@.service.
file() {
	unit=${1%.service}
	case $unit in *@*) unit=${unit%%@*}@ ;; esac
	for dir in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
		[ ! -e "$dir/$unit.service" ] || {
			echo "$dir/$unit.service"
			return
		}
	done
	echo "Unit $1.service could not be found." >&2
	exit 5
}

# setting UNIT NAME prints a setting of a unit file, for example ExecStart. The result is a shell
# command.
setting() {
	unit=${1%.service}
	sed -n -e "s/%i/${unit#*@}/g" -e "s/^$2=-\{0,1\}//p" "$(file "$1")" | head -n 1
}

# prepare creates the files that a unit needs. On a real host, the package or systemd creates them.
prepare() {
	case $1 in
	pacemaker)
		mkdir -p /run/crm /var/log/pacemaker /var/lib/pacemaker/cib /var/lib/pacemaker/pengine \
			/var/lib/pacemaker/cores /var/lib/pacemaker/blackbox
		# Pacemaker waits for dc-deadtime before it elects a designated controller. The default of
		# 20 s would only make the tests slower.
		[ -e /var/lib/pacemaker/cib/cib.xml ] || {
			cibadmin --empty | sed 's|<crm_config/>|<crm_config><cluster_property_set id="cib-bootstrap-options">\
			<nvpair id="lab-dc-deadtime" name="dc-deadtime" value="5s"/>'"${LAB_OPTIONS:-}"'\
			</cluster_property_set></crm_config>|' >/var/lib/pacemaker/cib/cib.xml
			chmod 600 /var/lib/pacemaker/cib/cib.xml
		}
		chown -R hacluster:haclient /var/lib/pacemaker /run/crm /var/log/pacemaker
		chmod 750 /var/lib/pacemaker /var/lib/pacemaker/* /run/crm /var/log/pacemaker
		;;
	esac
}

# background UNIT COMMAND starts a daemon in the background. In the guest, Corosync must not lock
# its memory: locking a page takes 0.1 ms, so each node would use the CPU for 7 s. So Corosync runs
# without the right to lock memory. It logs a warning and continues.
background() {
	rights=
	[ "$1" != corosync ] || {
		ulimit -l 64
		rights="setpriv --bounding-set=-ipc_lock,-sys_resource"
	}
	# shellcheck disable=SC2086 # words
	setsid $rights sh -c "exec $2" </dev/null >"/var/log/$1/stderr.log" 2>&1 &
	echo $! >"/run/$1.unit"
}

start() {
	! running "$1" || return 0
	prepare "$1"
	mkdir -p "/var/log/$1"
	command=$(setting "$1" ExecStart)
	case $(setting "$1" Type) in
	oneshot | forking) sh -c "$command" >"/var/log/$1/stderr.log" 2>&1 ;;
	*) background "$1" "$command" ;;
	esac
}

running() { [ -e "/run/$1.unit" ] && kill -0 "$(cat "/run/$1.unit")" 2>/dev/null; }

stop() {
	if running "$1"; then
		kill "$(cat "/run/$1.unit")"
		while running "$1"; do sleep 0.1; done
	elif [ "$(setting "$1" Type)" = oneshot ]; then
		sh -c "$(setting "$1" ExecStop)" >"/var/log/$1/stderr.log" 2>&1
	fi
}

# show prints the properties Id, ActiveState and UnitFileState of a unit. As systemd does, it gives
# a unit without a file an empty UnitFileState.
show() {
	active=inactive enabling=
	! running "${1%.service}" || active=active
	[ -z "$(file "$1" 2>/dev/null)" ] || enabling=disabled
	! grep -qsx "${1%.service}" "$enabled" || enabling=enabled
	printf 'Id=%s\nActiveState=%s\nUnitFileState=%s\n\n' "$1" "$active" "$enabling"
}

action=$1 now=
shift
if [ "$action" = boot ]; then
	touch "$enabled"
	while read -r unit; do start "$unit"; done <"$enabled"
	exit
fi
for word; do
	case $word in --now) now=yes ;; esac
done
for unit; do
	case $unit in --now | --property=*) continue ;; esac
	[ "$action" = show ] || file "$unit" >/dev/null
	case $action in
	show) show "$unit" ;;
	start | stop) "$action" "$unit" ;;
	restart) stop "$unit" && start "$unit" ;;
	enable)
		mkdir -p "${enabled%/*}"
		echo "$unit" >>"$enabled"
		[ -z "$now" ] || start "$unit"
		;;
	disable)
		sed -i "\,^$unit\$,d" "$enabled"
		[ -z "$now" ] || stop "$unit"
		;;
	*)
		echo "the lab's systemctl does not know $action" >&2
		exit 1
		;;
	esac
done
