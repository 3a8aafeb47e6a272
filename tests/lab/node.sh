# The first process of a cluster node: sh -c "$(cat node.sh)" node NAME DIR ROOT MANAGER [CGROUP]
# DIR is the node's disk, a directory on a tmpfs. ROOT is an installed tree laid over the machine's, or "".
# MANAGER is pacemaker, heartbeat, or none: then the node starts what systemctl.sh has enabled.
# MANAGER can also be systemd. Then systemd takes the place of this shell, in the control group CGROUP.
set -eu
name=$1 dir=$2 root=$3 manager=$4 cgroup=${5:-}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
hostname "$name"
mount --make-rprivate / 2>/dev/null || nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
mount -t proc proc /proc

# These directories are on the node's disk, so a reboot keeps their files.
for path in /var/lib/pacemaker /var/lib/corosync /var/lib/heartbeat /var/lib/lvs-agents /var/log; do
	mkdir -p "$dir$path" "$path"
	mount --bind "$dir$path" "$path"
done
for path in /etc /usr/sbin /usr/lib/ocf /usr/lib/systemd/system /usr/share/doc /var/www; do
	mkdir -p "$dir/upper$path" "$dir/work$path"
	lower=$path
	[ -z "$root" ] || [ ! -d "$root$path" ] || lower=$root$path:$path
	[ ! -d "$path" ] || mount -t overlay -o "lowerdir=$lower,upperdir=$dir/upper$path,workdir=$dir/work$path" "$name" "$path"
done

# These directories are in memory, so a reboot loses their files. /dev/shm must have mode 1777,
# otherwise libqb reports "Invalid IPC credentials".
mount -t tmpfs -o mode=1777 "$name" /dev/shm
mount -t tmpfs -o mode=755 "$name" /run
mkdir -p /run/lock /run/crm /run/resource-agents /var/log/crmsh /var/log/corosync /var/log/pacemaker

run_none() { systemctl boot; }

run_pacemaker() {
	LAB_OPTIONS='<nvpair id="lab-stonith-enabled" name="stonith-enabled" value="false"/>' systemctl start corosync pacemaker
}

run_heartbeat() {
	mkdir -p /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd /var/lib/heartbeat/cores/root
	chown -R hacluster:haclient /run/heartbeat
	chmod -R 750 /run/heartbeat
	/usr/libexec/heartbeat/heartbeat >/var/log/heartbeat-stderr.log 2>&1
}

# run_systemd ends with systemd as the first process. Its boot starts the journal and nothing else,
# because the other units of the test host could change the kernel for all nodes.
run_systemd() {
	echo 1 >"$cgroup/cgroup.procs"
	rm -rf /etc/systemd/system/*.wants /etc/systemd/system/*.requires /usr/lib/systemd/system/*.wants
	mkdir /usr/lib/systemd/system/sysinit.target.wants
	ln -s ../systemd-journald.service /usr/lib/systemd/system/sysinit.target.wants
	echo up >/run/lab-node
	# shellcheck disable=SC2016 # the inner shell has the new namespace
	exec unshare --cgroup sh -ec 'mount -t cgroup2 cgroup /sys/fs/cgroup
		exec env -i container=lab PATH="$PATH" /lib/systemd/systemd --system --unit=basic.target --log-target=journal' </dev/null
}

"run_$manager"
# This shell stays the first process and reaps orphans of agents, as init does. pacemakerd as the
# first process would not reap orphans, and kill(pid, 0) would succeed for a dead daemon.
echo up >/run/lab-node
while :; do
	wait
	sleep 1
done
