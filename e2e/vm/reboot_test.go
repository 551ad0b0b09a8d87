//go:build linux

package vm

import (
	"context"
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// imageName is the image of all containers, and node a guest.
const imageName = lab.ImageName

type node = cluster.Node

// A VM that boots anew brings its containers back, with their MACs and
// addresses: after a reset, a reboot from inside, and one by the power button.
func TestRebootWithContainers(t *testing.T) {
	r := use(t)
	n := r.node(1)
	want := map[string]card{}
	for name, network := range map[string]string{"leased": "lab", "fixed": "fixed"} {
		r.run(n, name, "--restart", "always", "--label", "nicferry.network="+network)
		want[name] = r.eth0(n, name)
	}
	reboots := []struct {
		how string
		do  func(context.Context) error
	}{
		{"virsh reset", func(ctx context.Context) error { return r.Virt().Reset(ctx, n.Name) }},
		{"reboot in the guest", func(ctx context.Context) error {
			_, err := n.Spawn(ctx, "/dev/null", "busybox", "reboot", "-f")
			return err
		}},
		{"virsh reboot", func(ctx context.Context) error {
			_, err := r.Host().Run(ctx, "virsh", "-c", r.Host().URI(), "reboot", "--mode", "acpi", n.Name)
			return err
		}},
	}
	for _, boot := range reboots[:rounds(1, len(reboots))] {
		id := r.sh(n, "sync; cat /proc/sys/kernel/random/boot_id")
		r.must(boot.do(t.Context()))
		r.until(boot.how+" to boot anew", 2*patience, func(ctx context.Context) error {
			now, err := n.Get(ctx, "/proc/sys/kernel/random/boot_id")
			if err == nil && string(now) == id+"\n" {
				err = fmt.Errorf("it is boot %s still", id)
			}
			return err
		})
		r.must(n.Await(t.Context())) // which starts the agent, as systemd would
		for name, was := range want {
			r.until(name+" to have its NIC back", 2*patience, func(ctx context.Context) error {
				_, err := n.Docker(ctx, "exec", name, "ip", "-4", "addr", "show", "dev", "eth0")
				return err
			})
			now := r.eth0(n, name)
			if now != was {
				t.Errorf("after %s the NIC of %s is %+v, and was %+v", boot.how, name, now, was)
			}
			r.pings(now.Addr.Addr())
		}
	}
}
