//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/nic"
)

// create makes a container and does not start it: its NIC is plugged in ahead
// and lies in the guest's own namespace.
func (r *rig) create(n *cluster.Node, name, network string) nic.MAC {
	r.t.Helper()
	r.docker(n, "create", "--init", "--network", "none", "--name", name, "--label", "nicferry.network="+network, imageName)
	mac := r.claimed(name, nic.ClaimReady).Identity.MAC
	r.until("the NIC of "+name+" in "+n.Name, patience, func(ctx context.Context) error {
		_, err := linkOf(ctx, n, mac)
		return err
	})
	return mac
}

// linkOf is the name of the link, in the guest's own namespace, of the card with
// the permanent MAC.
func linkOf(ctx context.Context, n *cluster.Node, mac nic.MAC) (string, error) {
	out, err := n.Command(ctx, "ip", "-o", "link").Output()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		permanent := "permaddr " + mac.String()
		address := "link/ether " + mac.String()
		if strings.Contains(line, permanent) || strings.Contains(line, address) && !strings.Contains(line, "permaddr") {
			name, _, _ := strings.Cut(strings.Fields(line)[1], ":")
			return name, nil
		}
	}
	return "", fmt.Errorf("no link of %s has MAC %s", n.Name, mac)
}

// doctor runs nicferry doctor in a guest. It returns what it says and whether it
// finds nothing that keeps nicferry from working.
func (r *rig) doctor(n *cluster.Node, args ...string) (string, bool) {
	r.t.Helper()
	said := &monitor{} // both of what it finds and what it does
	cmd := n.Command(r.t.Context(), append([]string{"/opt/nicferry/nicferry", "doctor"}, args...)...)
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	exit, ended := errors.AsType[*guest.ExitError](err)
	if !ended || exit.Code != 1 {
		r.must(err)
	}
	return said.text.String(), err == nil
}

// F36 and F37: in a guest whose udev gives NICs other names and MACs, and whose
// systemd-networkd does DHCP on all, NICs are grabbed and still found; doctor
// finds and mends that, and from then on none is touched.
func TestF36_F37_NetworkManagersOfAGuest(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.house(n)

	// Without our files: the guard is missed.
	mac := r.create(n, "grabbed", "lab")
	var name string
	r.until("systemd-networkd to grab the NIC", patience, func(ctx context.Context) (err error) {
		if name, err = linkOf(ctx, n, mac); err != nil {
			return err
		}
		out, err := n.Command(ctx, "ip", "-o", "-4", "addr", "show", "dev", name).Output()
		if err == nil && !strings.Contains(string(out), "10.77.0.") {
			err = fmt.Errorf("%s has no address", name)
		}
		return err
	})
	if out := r.sh(n, "ip -o link show dev "+name); !strings.Contains(out, "permaddr "+mac.String()) {
		t.Errorf("udev has given no other MAC to %s, so F37 is not tried: %s", mac, out)
	}
	said, well := r.doctor(n)
	if well || !strings.Contains(said, "was grabbed on this machine: it has 10.77.0.") || !strings.Contains(said, "would configure a NIC of ours") {
		t.Errorf("doctor does not tell that %s was grabbed:\n%s", name, said)
	}
	if said, well = r.doctor(n, "--fix"); !well || !strings.Contains(said, "took 1 addresses from") {
		t.Errorf("doctor --fix says:\n%s", said)
	}
	if out := r.sh(n, "ip -o -4 addr show"); strings.Contains(out, "10.77.") {
		t.Errorf("after doctor --fix: %s", out)
	}
	r.starts(n, "grabbed", mac)

	// With them: NICs lie in the guest's own namespace and nobody minds them.
	if said, well = r.doctor(n); !well {
		t.Errorf("doctor after --fix:\n%s", said)
	}
	told := r.addresses(n)
	const batch = 5
	for round := range rounds(2, 20) {
		names := make([]string, batch)
		for i := range names {
			names[i] = fmt.Sprintf("left%d-%d", round, i)
			r.create(n, names[i], "lab")
		}
		out := r.sh(n, "udevadm settle; ip -o link | grep -c '<BROADCAST,MULTICAST>.*link/ether e2:4e:' || true")
		if out != fmt.Sprint(batch) {
			t.Errorf("of %d NICs, those that are down and have their MACs: %s\n%s", batch, out, r.sh(n, "ip -o link; networkctl list --no-legend"))
		}
		r.docker(n, append([]string{"rm", "-f"}, names...)...)
		r.until("their NICs to go", patience, func(context.Context) error {
			if live, _ := r.cards(n.Name); len(live) > 1 {
				return fmt.Errorf("%d cards are left", len(live))
			}
			return nil
		})
	}
	if lines := told.foreign(); len(lines) > 0 {
		t.Errorf("addresses in the guest's own namespace:\n%s", strings.Join(lines, "\n"))
	}
}

// starts starts a container that was created, and demands that its eth0 is the
// card with the MAC.
func (r *rig) starts(n *cluster.Node, container string, mac nic.MAC) {
	r.t.Helper()
	r.docker(n, "start", container)
	got := r.eth0(n, container)
	if got.MAC != mac.String() {
		r.t.Errorf("eth0 of %s has MAC %s, want %s", container, got.MAC, mac)
	}
	r.pings(got.Addr.Addr())
}

// F37: whoever renames a NIC and gives it another MAC before its container
// starts, the agent knows it by the MAC that it was made with.
func TestF37_RenamedAndGivenAnotherMAC(t *testing.T) {
	r := use(t)
	n := r.node(1)
	mac := r.create(n, "renamed", "fixed")
	other := r.create(n, "other", "fixed")
	name, err := linkOf(t.Context(), n, mac)
	r.must(err)
	otherName, err := linkOf(t.Context(), n, other)
	r.must(err)
	// Each gets what the other one has had.
	r.sh(n, fmt.Sprintf(`ip link set %[1]s name late0; ip link set %[2]s name %[1]s; ip link set late0 name %[2]s
ip link set %[2]s address %[4]s; ip link set %[1]s address 02:00:00:00:00:37; ip link set %[2]s up; ip addr add 192.0.2.37/32 dev %[2]s`,
		name, otherName, mac, other))
	r.starts(n, "renamed", mac)
	r.starts(n, "other", other)
}

// A NIC that the guest never gets to see is unplugged after its deadline, and
// the claim says which half has failed. When the guest is well, the container
// gets a NIC.
func TestF09_AGuestWithoutTheDriver(t *testing.T) {
	r := use(t)
	n := r.node(1)
	const autoprobe = "/sys/bus/virtio/drivers_autoprobe"
	r.t.Cleanup(func() {
		if err := n.Command(context.Background(), "sh", "-ec", "echo 1 >"+autoprobe).Run(); err != nil {
			t.Error(err)
		}
	})
	r.sh(n, "echo 0 >"+autoprobe) // no driver takes what is plugged in
	r.run(n, "blind", "--label", "nicferry.network=lab")
	const why = "not seen within"
	r.until("the claim to say which half failed", 2*patience, func(ctx context.Context) error {
		c, err := r.claim(ctx, "blind")
		if err != nil {
			return err
		}
		said := fmt.Sprint(c.Conditions)
		if !strings.Contains(said, why) || !strings.Contains(said, "provider vms says attached at 0000:") || !strings.Contains(said, "the guest vm1 has not seen MAC") {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
	// The agent cannot take what it never saw, and the next try may be plugged in
	// by now: what counts is that the first card goes.
	r.sh(n, "echo 1 >"+autoprobe)
	mac := r.eth0(n, "blind").MAC
	r.until("the cards in vain to be unplugged", patience, func(context.Context) error {
		live, stored := r.cards(n.Name)
		if len(live) != 1 || len(stored) != 1 || live[0].MAC.String() != mac {
			return fmt.Errorf("vm1 has live %+v and stored %+v", live, stored)
		}
		return nil
	})
}

// A guest sees programs of the host's /usr, and nothing of what belongs to
// people there.
func TestGuestsSeeNothingOfTheHost(t *testing.T) {
	r := use(t)
	n := r.node(1)
	canary := filepath.Join(t.TempDir(), "canary-of-the-host")
	r.must(os.WriteFile(canary, nil, 0o600))
	mounts := r.sh(n, `awk '$3 == "9p" {print $1, $4 ~ /^ro,/}' /proc/mounts | sort`)
	want := []string{"modules 1", "nicferry 1", "usr 1"}
	if got := strings.Split(mounts, "\n"); !slices.Equal(got, want) {
		t.Errorf("trees of the host, and whether they are read-only: %q; want %q", got, want)
	}
	if out := r.sh(n, "ls -A /root /home /mnt /srv | grep -v : | grep . || true"); out != "" {
		t.Errorf("/root, /home, /mnt and /srv have %q", out)
	}
	if out := r.sh(n, "ls -d /etc/shadow /etc/gshadow /etc/ssh /etc/ssl/private /var/lib/libvirt "+canary+" 2>/dev/null || true"); out != "" {
		t.Errorf("there are %s", out)
	}
	if out := r.sh(n, "cat /etc/passwd"); len(strings.Split(out, "\n")) > 6 || strings.Contains(out, ":1000:") {
		t.Errorf("/etc/passwd is\n%s", out)
	}
	// Everywhere but in /usr, which is all of the host's that there is.
	if out := r.sh(n, `find / \( -path /usr -o -path /.guest/usr -o -path /proc -o -path /sys -o -path /var/lib/docker \) -prune -o -name canary-of-the-host -print`); out != "" {
		t.Errorf("the host's file is at %s", out)
	}
}
