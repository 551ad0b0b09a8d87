#!/bin/sh
# Makes a machine of namespaces and becomes its first process, systemd: boot.sh
# DIR NAME. What is installed on this machine is installed there too, but what is
# written to /usr, /etc and dpkg's records stays in DIR. NAME is the machine's
# control group, in version 2 of them, whatever else there is.
set -eu

dir=$1 name=$2
if [ -z "${3:-}" ]; then
	umask 022
	mkdir -p "$dir/cgroup"
	mount -t cgroup2 cgroup2 "$dir/cgroup"
	mkdir "$dir/cgroup/$name"
	echo 0 >"$dir/cgroup/$name/cgroup.procs"
	umount "$dir/cgroup"
	exec unshare --pid --mount --net --uts --ipc --cgroup --fork --kill-child \
		/bin/sh "$0" "$dir" "$name" inside </dev/null
fi

mount --make-rprivate /
root=$dir/root
mkdir -p "$root" "$dir/docker"
mount -t tmpfs -o mode=755 root "$root"
cd "$root"
mkdir -p usr etc proc sys dev run old tmp root home mnt srv opt \
	var/log var/cache var/tmp var/lib/dpkg var/lib/docker
chmod 1777 tmp var/tmp
chmod 700 root
ln -s /run var/run
ln -s /run/lock var/lock
for link in bin sbin lib lib32 lib64 libx32; do
	[ ! -L "/$link" ] || ln -s "usr/$link" "$link"
done
lay() {
	mkdir -p "$dir/$2/upper" "$dir/$2/work"
	mount -t overlay -o "lowerdir=$1,upperdir=$dir/$2/upper,workdir=$dir/$2/work" overlay "$root$3"
}
lay /usr usr /usr
lay "${NICFERRY_ETC:-/etc}" etc /etc
lay "${NICFERRY_DPKG:-/var/lib/dpkg}" dpkg /var/lib/dpkg
! mountpoint -q /usr/lib/modules || mount --bind /usr/lib/modules usr/lib/modules
mount --bind "$dir/docker" var/lib/docker

# Nothing starts that somebody has enabled on this machine.
rm -rf etc/systemd/system/* etc/rc?.d/S* etc/fstab etc/cron.d etc/docker etc/nicferry
# Such as that of an image for containers, in which nothing is to start.
rm -f usr/sbin/policy-rc.d
: >etc/machine-id
: >etc/resolv.conf
echo node1 >etc/hostname
hostname node1

mount -t proc proc proc
# Read-only, as systemd takes it for the sign that udev is somebody else's.
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for device in null zero full random urandom tty; do
	: >"dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mount -t tmpfs -o mode=755 run run
ip link set lo up

pivot_root . old
umount -l old
exec env -i container=nicferry-lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --log-target=console --log-level=warning systemd.unit=multi-user.target
