#!/bin/busybox sh
# The first program of a guest: it makes a root of the host's /usr, read-only over
# 9p and under an overlay, and of the archive's etc/, and hands over to the lab's
# own program. The lab fills in modules/order, etc/ and links/.
export PATH=/bin
fail() {
	echo "nicferry-guest: $*" >/dev/console
	poweroff -f
}
mkdir -p /proc /sys /dev /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
while read -r module; do
	insmod "/modules/$module" || fail "load $module"
done </modules/order

share() { mount -t 9p -o "ro,trans=virtio,version=9p2000.L,cache=loose,msize=1048576" "$1" "$2" || fail "mount $1"; }
mount -t tmpfs -o mode=755,size=25% root /new || fail "mount the root"
cd /new
mkdir -p etc proc sys dev run tmp var/log var/lib var/cache root home mnt srv opt usr .guest/usr .guest/upper .guest/work
chmod 700 root
chmod 1777 tmp
share usr .guest/usr
mount -t overlay -o lowerdir=.guest/usr,upperdir=.guest/upper,workdir=.guest/work overlay usr || fail "lay the overlay"
mkdir -p usr/lib/modules
share modules usr/lib/modules
cp -a /etc/. etc/
cp -a /links/. .
ln -s /run var/run
ln -s /run/lock var/lock
cp /nicferry-guest .guest/init
for tree in proc sys dev; do
	mount --move "/$tree" "/new/$tree"
done
exec switch_root /new /bin/sh -c 'exec docker-init -s -- /.guest/init guest-init'
