//go:build linux

package vm

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// houseScript gives a guest what most VMs have and the lab's do not: D-Bus, udev
// and systemd-networkd, told by an administrator to do DHCP wherever there is a
// plug, to rename what comes and to give it another MAC. The guest's own NIC is
// excepted, as it would be where networkd has set it up.
const houseScript = `
for user in systemd-network:998 messagebus:997; do
	grep -q "^${user%:*}:" /etc/passwd && continue
	echo "${user%:*}:x:${user#*:}:${user#*:}::/:/usr/sbin/nologin" >>/etc/passwd
	echo "${user%:*}:x:${user#*:}:" >>/etc/group
done
mkdir -p /etc/udev/rules.d /etc/systemd/network /run/systemd/netif /run/dbus /run/house
chown systemd-network:systemd-network /run/systemd/netif
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
own=$(cat /sys/class/net/eth0/address)
printf '[Match]\nMACAddress=%s\n[Link]\nMACAddressPolicy=none\n' "$own" >/etc/systemd/network/10-own.link
printf '[Match]\nMACAddress=%s\n[Link]\nUnmanaged=yes\n' "$own" >/etc/systemd/network/10-own.network
printf '[Match]\nDriver=virtio_net\n[Link]\nNamePolicy=path\nMACAddressPolicy=random\n' >/etc/systemd/network/90-all.link
printf '[Match]\nName=*\n[Network]\nDHCP=yes\n[DHCPv4]\nUseRoutes=no\n' >/etc/systemd/network/90-all.network
start() {
	name=$1
	shift
	setsid "$@" </dev/null >"/var/log/$name.log" 2>&1 &
	echo $! >"/run/house/$name.pid"
}
until_there() {
	for i in $(seq 300); do
		[ -S "$1" ] && return
		sleep 0.1
	done
	echo "nobody serves $1: $(tail /var/log/udevd.log /var/log/dbus.log)" >&2
	exit 1
}
start udevd /lib/systemd/systemd-udevd
until_there /run/udev/control
start dbus dbus-daemon --config-file=/usr/share/dbus-1/system.conf --nofork --nopidfile
until_there /run/dbus/system_bus_socket
start networkd env SYSTEMD_LOG_LEVEL=debug /lib/systemd/systemd-networkd
for i in $(seq 300); do
	networkctl list >/dev/null 2>&1 && exit 0
	sleep 0.1
done
echo "systemd-networkd does not serve: $(tail /var/log/networkd.log)" >&2
exit 1
`

// emptyHouse undoes houseScript and what nicferry doctor has written.
const emptyHouse = `
for pid in /run/house/*.pid; do
	kill "$(cat "$pid")" || true
done
rm -rf /run/house /run/udev /run/dbus /run/systemd /etc/udev /etc/systemd
`

// house gives a guest its network managers until the test ends.
func (r *rig) house(n *cluster.Node) {
	r.t.Helper()
	r.t.Cleanup(func() { // the test's context has ended
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.Command(ctx, "sh", "-ec", emptyHouse).Run(); err != nil {
			r.t.Errorf("take the network managers from %s: %v", n.Name, err)
		}
	})
	r.sh(n, houseScript)
}

// A monitor keeps what the kernel of a guest tells of the addresses in its own
// namespace.
type monitor struct {
	mu   sync.Mutex
	text bytes.Buffer
	stop context.CancelFunc
	done chan error
}

// Write takes what is told.
func (m *monitor) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

// foreign are the lines about addresses of NICs that are not the guest's own.
func (m *monitor) foreign() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for line := range strings.Lines(m.text.String()) {
		words := strings.Fields(strings.TrimPrefix(line, "Deleted "))
		if len(words) > 3 && words[1] != "lo" && words[1] != "eth0" && words[1] != "docker0" {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// addresses begins to listen for addresses in a guest's own namespace, until the
// test ends. It has proved by then that it hears of one.
func (r *rig) addresses(n *cluster.Node) *monitor {
	r.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	m := &monitor{stop: stop, done: make(chan error, 1)}
	cmd := n.Command(ctx, "ip", "-o", "monitor", "address")
	cmd.Stdout, cmd.Stderr = m, m
	r.must(cmd.Start())
	go func() { m.done <- cmd.Wait() }()
	r.t.Cleanup(func() {
		m.stop()
		<-m.done
	})
	r.until("word of an address in "+n.Name, patience, func(ctx context.Context) error {
		err := n.Command(ctx, "sh", "-ec", "ip addr add 192.0.2.77/32 dev lo; ip addr del 192.0.2.77/32 dev lo").Run()
		m.mu.Lock()
		defer m.mu.Unlock()
		if err == nil && !strings.Contains(m.text.String(), "192.0.2.77") {
			err = fmt.Errorf("nothing is told: %q", m.text.String())
		}
		return err
	})
	return m
}
